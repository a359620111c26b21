"""What travels down the line of one source: frozen, units in the names.

In this order::

    Block, Title, Loss, RunStarted, RunEnded, SplitHere    what a source and its owner say   (SourceItem)
    Frame                                                  whole codec units                 (Unit)
    DatedFrame, Break, DatedTitle, DatedSplit              units with a place in time        (Dated)
    SegmentOpen, SegmentData, SegmentTitle, SegmentClose   cut at the wall clock             (Part)
    the same with GapLine                                  gaps accounted for                (Entry)
    FinishedSegment                                        a file, for the sinks

Inside the line times are integer nanoseconds of UTC since 1970 (`…_ns`); what leaves it is an aware UTC datetime in
whole milliseconds.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from agent.model.audio import AudioFormat, Instant
from agent.model.segment import Gap
from agent.model.words import CloseReason, GapCause

# --- what a source says ---


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


# --- whole codec units ---


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


# --- units with a place in time ---


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


# --- cut at the wall clock ---


@dataclass(frozen=True, slots=True)
class SegmentOpen:
    """A segment begins with the frame that follows."""

    start: datetime
    start_boottime_s: float
    format: AudioFormat
    aligned_start: bool
    overlap_s: float = 0.0
    gap_before: Gap | None = None


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


@dataclass(frozen=True, slots=True)
class GapLine:
    """One line of the ledger: `at` is `begin`, `midnight` or `end`."""

    at: str
    gap: Gap


Entry: TypeAlias = Part | GapLine
