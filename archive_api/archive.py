"""What the routes work with."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request

from agent import clock
from agent.config import Settings
from archive_api.answers.problem import Problem
from archive_api.recordings.listing import Entry, Listing
from archive_api.recordings.live import Live, read_live
from archive_api.recordings.snapshots import Snapshots

FOLDER_UNREADABLE = "The recordings folder cannot be read."
FOLDER_HINT = (
    "Is the agent's recording.directory the folder that the archive sees (the same configuration file, the same"
    " mount), and may the archive's user read it?"
)


@dataclass(frozen=True, slots=True)
class Archive:
    """One recordings folder. `stopping` is set when the server is about to end."""

    recordings: Path
    listing: Listing
    snapshots: Snapshots = field(default_factory=Snapshots)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @staticmethod
    def of(settings: Settings) -> "Archive":
        """The archive that a configuration tells of."""
        listing = Listing(settings.recordings, settings.agent.state_directory, settings.agent.timezone)
        return Archive(settings.recordings, listing)

    def live(self) -> Live:
        """The agent's last word. Raises Problem 503 where the folder cannot be read."""
        try:
            return read_live(self.recordings, clock.utc_now())
        except OSError as error:
            raise unreadable() from error

    def newest(self, limit: int) -> list[Entry]:
        """At most `limit` recordings, newest first. Raises Problem 503 where the folder cannot be read."""
        live = self.live()
        try:
            return self.listing.newest(live, limit)
        except OSError as error:
            raise unreadable() from error


def archive_of(request: Request) -> Archive:
    """The archive that a request is for."""
    archive = request.app.state.archive
    assert isinstance(archive, Archive)
    return archive


def unreadable() -> Problem:
    """The problem that nothing can be told, because the folder cannot be read."""
    return Problem(503, FOLDER_UNREADABLE, headers={"retry-after": "5"}, extra={"hint": FOLDER_HINT})
