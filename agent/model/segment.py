"""What is known of a file and of a gap between two files."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.model.audio import AudioFormat
from agent.model.heard import EventAt, Loudness
from agent.model.words import CloseReason, GapCause


@dataclass(frozen=True, slots=True)
class Correction:
    """When the times of something were corrected, because the clock had been wrong, and what they were before."""

    at: datetime
    start_as_recorded: datetime
    end_as_recorded: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a source's wall-clock time without audio. `end` is None while it lasts."""

    id: str
    source: str
    start: datetime
    end: datetime | None
    cause: GapCause
    detail: str | None = None
    filled_samples: int = 0
    corrected: Correction | None = None

    @property
    def duration_s(self) -> float | None:
        """Length in seconds of wall-clock time; None while it lasts."""
        return None if self.end is None else (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class TitleAt:
    """A title and its place in a segment."""

    text: str
    at: datetime
    offset_s: float


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock was set. `at` is the edge of the segment that tells it, by that segment's own times."""

    at: datetime
    by_s: float


@dataclass(frozen=True, slots=True)
class Clock:
    """How a segment's samples hang on the wall clock. `map` pairs sample numbers with UTC, first and last always.

    `synchronized` is what the kernel said: False where at any time of the segment the clock was not, None where that
    cannot be known. `start_boottime_s` is the start on the clock that never steps.
    """

    synchronized: bool | None
    start_boottime_s: float | None
    drift_ppm: float | None
    overlap_s: float
    map: tuple[tuple[int, datetime], ...]
    steps: tuple[ClockStep, ...] = ()
    corrected: Correction | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """That the audio of a segment was deleted: when, and by which rule or whose command."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of one source, as its sidecar tells it; of an open one `end` and the counts are as last made safe."""

    id: str
    agent: str
    source: str
    boot: str
    run: str
    file: str
    container: str
    format: AudioFormat
    start: datetime
    end: datetime
    tz: str
    samples: int
    packets: int | None
    bytes: int
    payload_offset: int
    aligned_start: bool
    clock: Clock
    aligned_end: bool = False
    reason: CloseReason | None = None
    rev: int = 1
    priming_packets: int = 0
    sha256: str | None = None
    gap_before: Gap | None = None
    gaps: tuple[Gap, ...] = ()
    titles: tuple[TitleAt, ...] = ()
    events: tuple[EventAt, ...] = ()
    loudness: Loudness | None = None
    url: str | None = None
    recovered: bool = False
    protected: bool = False
    deleted: Deletion | None = None

    @property
    def duration_s(self) -> float:
        """Samples over the nominal rate: the length that a player shows."""
        return self.samples / self.format.sample_rate_hz


@dataclass(frozen=True, slots=True)
class FinishedSegment:
    """A segment whose file and sidecar are complete and safe on disk."""

    segment: Segment
    path: Path
