"""What the routes work with."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request

from agent import clock
from agent.config import Settings
from archive_api.analysis.decoder import Decoder
from archive_api.analysis.store import LevelStore
from archive_api.answers.problem import Problem
from archive_api.events.hub import Hub
from archive_api.index.current import Current
from archive_api.index.describe import Box
from archive_api.index.index import Index, IndexUnavailableError
from archive_api.index.reader import Reader
from archive_api.recordings.listing import Entry, Listing
from archive_api.recordings.live import Live, read_live
from archive_api.recordings.snapshots import Snapshots

FOLDER_UNREADABLE = "The recordings folder cannot be read."
INDEX_UNAVAILABLE = "The index cannot be read right now; it is being built, or its disk is in trouble."
FOLDER_HINT = (
    "Is the agent's recording.directory the folder that the archive sees (the same configuration file, the same"
    " mount), and may the archive's user read it?"
)


@dataclass(frozen=True, slots=True)
class Archive:
    """One recordings folder. `stopping` is set when the server is about to end."""

    recordings: Path
    listing: Listing
    index: Index
    box: Box
    events: Hub
    levels: LevelStore
    decoder: Decoder
    stopping: asyncio.Event
    snapshots: Snapshots = field(default_factory=Snapshots)

    @staticmethod
    def of(settings: Settings) -> "Archive":
        """The archive that a configuration tells of."""
        listing = Listing(settings.recordings, settings.agent.state_directory, settings.agent.timezone)
        box = Box(settings.agent.id, settings.agent.timezone)
        index = Index(settings.archive.state_directory, settings.recordings, settings.agent.state_directory, box)
        levels = LevelStore(settings.archive.state_directory / "levels")
        stopping = asyncio.Event()
        return Archive(
            recordings=settings.recordings,
            listing=listing,
            index=index,
            box=box,
            events=Hub(settings.recordings, index),
            levels=levels,
            decoder=Decoder(levels, stopping),
            stopping=stopping,
        )

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

    @contextlib.contextmanager
    def looking(self) -> Iterator[tuple[Reader, Current]]:
        """The index, and what is right now. Raises Problem 503 where one of them cannot be read."""
        now = clock.now()
        current = Current(self.recordings, self.live(), self.box, now.wall_ns)
        try:
            with self.index.reading() as reader:
                yield reader, current
        except IndexUnavailableError as error:
            raise Problem(503, INDEX_UNAVAILABLE, headers={"retry-after": "1"}) from error
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
