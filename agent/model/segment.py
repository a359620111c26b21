"""What is known of a file and of a gap between two files."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.model.audio import AudioFormat
from agent.model.words import CloseReason, GapCause


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
class Clock:
    """How a segment's samples hang on the wall clock. `map` pairs sample numbers with UTC, first and last always."""

    synchronized: bool | None
    start_boottime_s: float | None
    drift_ppm: float | None
    overlap_s: float
    map: tuple[tuple[int, datetime], ...]


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
    url: str | None = None
    recovered: bool = False

    @property
    def duration_s(self) -> float:
        """Samples over the nominal rate: the length that a player shows."""
        return self.samples / self.format.sample_rate_hz


@dataclass(frozen=True, slots=True)
class FinishedSegment:
    """A segment whose file and sidecar are complete and safe on disk."""

    segment: Segment
    path: Path
