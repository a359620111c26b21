"""One recording as the index has it. Pure."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from agent.archive_format.times import rfc3339
from archive_api.index.times import at_ms


class State(StrEnum):
    """`open`: being recorded or just being closed. `damaged`: cut short, unreadable, or left behind by a crash.
    `deleted`: the agent has deleted the audio, and what is known of it is kept."""

    OPEN = "open"
    DONE = "done"
    DAMAGED = "damaged"
    DELETED = "deleted"


LISTED = frozenset(State) - {State.DELETED}
"""What is listed unless something else is asked for."""


@dataclass(frozen=True, slots=True)
class Title:
    """A title and when it came on air."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something heard. `end_ms` is None where it went on when the file ended."""

    id: str
    type: str
    start_ms: int
    end_ms: int | None
    offset_s: float
    max_dbfs: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A recording. `file` is its path once finished, below the recordings folder, and never changes; `end_ms` equals
    `start_ms` where the length is not known. Times are milliseconds since 1970.

    Of open audio the index knows who it is and when it began; the rest is read where it is asked for.
    """

    file: str
    id: str
    agent: str | None
    source: str | None
    container: str | None
    codec: str | None
    start_ms: int
    end_ms: int
    duration_s: float | None
    bytes: int
    samples: int | None
    sample_rate_hz: int | None
    channels: int | None
    state: str
    reason: str | None
    missing_s: float | None
    rms_dbfs: float | None
    peak_dbfs: float | None
    loud_events: int
    title: str | None
    tz: str
    titles: tuple[Title, ...] = ()
    events: tuple[Event, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As lists show it."""
        address = f"/api/v1/segments/{self.id}"
        loudness = {"rms_dbfs": self.rms_dbfs, "peak_dbfs": self.peak_dbfs}
        return {
            "id": self.id,
            "source": self.source,
            "agent": self.agent,
            "file": self.file,
            "container": self.container,
            "codec": self.codec,
            "start": rfc3339(at_ms(self.start_ms)),
            "end": None if self.duration_s is None else rfc3339(at_ms(self.end_ms)),
            "duration_s": self.duration_s,
            "bytes": self.bytes,
            "samples": self.samples,
            "sample_rate_hz": self.sample_rate_hz,
            "channels": self.channels,
            "state": self.state,
            "reason": self.reason,
            "missing_s": self.missing_s,
            "loudness": None if self.peak_dbfs is None else loudness,
            "loud_events": self.loud_events,
            "title": self.title,
            "tz": self.tz,
            "links": links(address),
        }


def links(address: str) -> dict[str, str]:
    """Where more of a recording is to be had."""
    return {"self": address, "audio": f"{address}/audio", "download": f"{address}/download"}


LISTS = ("titles", "events")
COLUMNS = tuple(field.name for field in fields(Row) if field.name not in LISTS)
"""Fields that stand in the table of recordings itself, in the order of Row."""
