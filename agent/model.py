"""The value types that travel: frozen, units in the names.

Down the line of one source go, in this order::

    Block, Title, Loss, RunStarted, RunEnded, SplitHere    what a source and its owner say   (SourceItem)
    Frame                                                  whole codec units                 (Unit)
    DatedFrame, Break, DatedTitle, DatedSplit              units with a place in time        (Dated)
    SegmentOpen, SegmentData, SegmentTitle, SegmentClose   cut at the wall clock             (Part)
    the same with GapLine                                  gaps accounted for                (Entry)
    FinishedSegment                                        a file, for the sinks

Inside the line times are integer nanoseconds of UTC since 1970 (`…_ns`); what leaves it is an aware UTC datetime in
whole milliseconds.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias


class SampleFormat(StrEnum):
    """Layouts of a PCM sample, by the names that ALSA gives them."""

    S16_LE = "S16_LE"
    S24_3LE = "S24_3LE"
    S24_LE = "S24_LE"
    S32_LE = "S32_LE"
    FLOAT_LE = "FLOAT_LE"

    @property
    def bytes_per_sample(self) -> int:
        """Bytes that one sample of one channel takes."""
        return {"S16_LE": 2, "S24_3LE": 3}.get(self.value, 4)

    @property
    def bits(self) -> int:
        """Bits that carry the signal."""
        return {"S16_LE": 16, "S24_3LE": 24, "S24_LE": 24}.get(self.value, 32)


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What a source delivers. `bits` and `sample_format` are None for a compressed stream."""

    codec: str
    sample_rate_hz: int
    channels: int
    bits: int | None = None
    sample_format: SampleFormat | None = None

    @staticmethod
    def pcm(sample_rate_hz: int, channels: int, sample_format: SampleFormat) -> "AudioFormat":
        """The format of raw samples in the given layout."""
        return AudioFormat("pcm", sample_rate_hz, channels, sample_format.bits, sample_format)

    @property
    def bytes_per_sample(self) -> int | None:
        """Bytes of one sample of all channels; None where a unit of this codec cannot be divided."""
        return None if self.sample_format is None else self.channels * self.sample_format.bytes_per_sample


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on the three clocks of the machine, in nanoseconds.

    `wall_ns` is UTC and may step; `boottime_ns` counts through a suspend, `monotonic_ns` does not.
    """

    wall_ns: int
    boottime_ns: int
    monotonic_ns: int


class GapCause(StrEnum):
    """Why there is no audio."""

    OVERRUN = "overrun"
    STALL = "stall"
    DISCONNECTED = "disconnected"
    DEVICE_LOST = "device_lost"
    REFUSED = "refused"
    STARTING = "starting"
    DISK_FULL = "disk_full"
    CLOCK_STEP = "clock_step"
    SUSPENDED = "suspended"
    CORRUPT = "corrupt"
    QUEUE_OVERFLOW = "queue_overflow"
    AGENT_STOPPED = "agent_stopped"
    AGENT_CRASHED = "agent_crashed"
    STOPPED = "stopped"
    SCHEDULED = "scheduled"

    @property
    def missing(self) -> bool:
        """Whether the audio was asked for: a source that was told to stop misses nothing."""
        return self not in (GapCause.STOPPED, GapCause.SCHEDULED)


class CloseReason(StrEnum):
    """Why a segment ended."""

    BOUNDARY = "boundary"
    COMMAND = "command"
    STOP = "stop"
    SCHEDULE = "schedule"
    GAP = "gap"
    CLOCK_STEP = "clock_step"
    FORMAT_CHANGE = "format_change"
    SHUTDOWN = "shutdown"
    RECOVERED = "recovered"


class SourceState(StrEnum):
    """What a source is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    RECORDING = "recording"
    RECONNECTING = "reconnecting"
    STALLED = "stalled"
    STOPPING = "stopping"
    ERROR = "error"
    DISK_FULL = "disk_full"


class Desired(StrEnum):
    """What a source has been asked to do."""

    RECORD = "record"
    STOP = "stop"


# --- what a source says ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunStarting:
    """An attempt to capture begins; there is no audio yet."""

    at: Instant


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run (one arecord, one connection) delivers audio of this format from here on."""

    format: AudioFormat
    at: Instant


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes as they came, stamped when they were read."""

    data: bytes
    received_at: Instant


@dataclass(frozen=True, slots=True)
class Title:
    """What the station says is on air from here on."""

    text: str
    received_at: Instant


@dataclass(frozen=True, slots=True)
class Loss:
    """Audio is missing here although the run goes on; how much, the clock will tell."""

    cause: GapCause
    detail: str
    at: Instant


@dataclass(frozen=True, slots=True)
class RunEnded:
    """No more audio of this run, or no run came about. `permanent` as in SourceFault."""

    cause: GapCause
    detail: str | None
    at: Instant
    hint: str | None = None
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class SplitHere:
    """Somebody asked for a new file."""

    at: Instant


SourceItem: TypeAlias = RunStarting | RunStarted | Block | Title | Loss | RunEnded | SplitHere


# --- whole codec units -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """Whole units of a codec that know their length: a block of PCM, or one packet of a compressed stream.

    `samples` counts per channel. `received_at` is when its last byte was read.
    """

    data: bytes
    samples: int
    format: AudioFormat
    received_at: Instant

    def split(self, samples: int) -> "tuple[Frame, Frame]":
        """Two frames, the first `samples` long. Only for formats that can be divided (PCM)."""
        width = self.format.bytes_per_sample
        if width is None:
            raise ValueError(f"a {self.format.codec} frame cannot be divided")
        cut = samples * width
        return (
            Frame(self.data[:cut], samples, self.format, self.received_at),
            Frame(self.data[cut:], self.samples - samples, self.format, self.received_at),
        )


Unit: TypeAlias = RunStarting | RunStarted | Frame | Title | Loss | RunEnded | SplitHere


# --- units with a place in time --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DatedFrame:
    """A frame and the UTC of its first sample and of the sample after its last."""

    frame: Frame
    start_ns: int
    end_ns: int
    start_boottime_ns: int
    drift_ppm: float | None


@dataclass(frozen=True, slots=True)
class DatedTitle:
    """A title and when it came."""

    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class DatedSplit:
    """A wish for a new file, at its place in the audio."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class Break:
    """The audio ends here: the sample after the last one would have been at `at_ns`."""

    cause: GapCause
    detail: str | None
    at_ns: int


Dated: TypeAlias = DatedFrame | DatedTitle | DatedSplit | Break


# --- cut at the wall clock -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SegmentOpen:
    """A segment begins with the frame that follows."""

    start: datetime
    start_boottime_s: float
    format: AudioFormat
    aligned_start: bool
    overlap_s: float = 0.0
    gap_before: "Gap | None" = None


@dataclass(frozen=True, slots=True)
class SegmentData:
    """A frame of the open segment, and the UTC of the sample after its last."""

    frame: Frame
    end: datetime


@dataclass(frozen=True, slots=True)
class SegmentTitle:
    """What is on air from here on, in the open segment or the next."""

    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SegmentClose:
    """The open segment is complete."""

    end: datetime
    reason: CloseReason
    aligned_end: bool
    drift_ppm: float | None


Part: TypeAlias = SegmentOpen | SegmentData | SegmentTitle | SegmentClose | Break


# --- results ---------------------------------------------------------------------------------------------------------


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
class GapLine:
    """One line of the ledger: `at` is `begin`, `midnight` or `end`."""

    at: str
    gap: Gap


Entry: TypeAlias = Part | GapLine


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


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """The file being written: how much of it would survive a power cut."""

    file: str
    start: datetime
    samples_safe: int
    bytes_safe: int


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What is known of one source right now."""

    id: str
    name: str
    type: str
    state: SourceState
    desired: Desired
    since: datetime
    format: AudioFormat | None = None
    open_segment: OpenSegment | None = None
    title: str | None = None
    gap: Gap | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """One look at the whole agent, for status.json."""

    at: datetime
    agent: str
    boot: str
    run: str
    pid: int
    version: str
    tz: str
    free_bytes: int | None
    sources: tuple[SourceStatus, ...] = field(default=())
