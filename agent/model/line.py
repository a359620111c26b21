"""What travels down the line of one source: frozen, units in the names.

In this order::

    Block, Title, Loss, RunStarted, RunEnded, SplitHere    what a source and its owner say   (SourceItem)
    Frame, Resumed                                         whole codec units, each once      (Unit)
    DatedFrame, Break, DatedTitle, DatedSplit, Pause       units with a place in time        (Dated)
    SegmentOpen, SegmentData, SegmentTitle, SegmentClose,
    SegmentFill                                            cut at the wall clock             (Part)
    the same with GapLine, SegmentGap, GapHeld             gaps accounted for                (Entry)
    and SegmentLevels, SegmentEvents, Heard, Level         what is heard in it
    SegmentBroken                                          and what cannot be heard
    FinishedSegment                                        a file, for the sinks

Inside the line times are integer nanoseconds of UTC since 1970 (`…_ns`); what leaves it is an aware UTC datetime in
whole milliseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from agent.model.audio import AudioFormat, Instant
from agent.model.heard import EventAt, Level, Loudness, SoundEvent
from agent.model.segment import ClockStep, Gap
from agent.model.words import CloseReason, GapCause

# --- what a source says ---


@dataclass(frozen=True, slots=True)
class RunStarting:
    """An attempt to capture begins; there is no audio yet."""

    at: Instant


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run (one arecord, one connection) delivers audio of this format from here on.

    `url` is the address that it comes from, without anything secret; None for a card.
    """

    format: AudioFormat
    at: Instant
    url: str | None = None


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
    """Audio is missing here although the run goes on: so many samples, or where that is None as the clock will tell."""

    cause: GapCause
    detail: str
    at: Instant
    samples: int | None = None


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
    """Whole units of a codec that know their length: a block of PCM, or packets of a stream that came together.

    `samples` counts per channel. `received_at` is when its last byte was read. `borders` lie between the packets of a
    compressed stream: how many bytes and samples come before each. A frame without borders is a single packet. PCM has
    none either; it can be divided behind every sample. `priming` are the packets just before the first, as many as a
    decoder needs to be warm; they are part of another frame, or of none.
    """

    data: bytes
    samples: int
    format: AudioFormat
    received_at: Instant
    borders: tuple[tuple[int, int], ...] = ()
    priming: tuple[bytes, ...] = ()

    def packets(self) -> Iterator[tuple[bytes, int]]:
        """Each packet with its length in samples."""
        at = done = 0
        for size, samples in (*self.borders, (len(self.data), self.samples)):
            yield self.data[at:size], samples - done
            at, done = size, samples

    def split(self, samples: int) -> "tuple[Frame, Frame]":
        """Two frames, the first `samples` long; one may be empty. ValueError where a packet would be cut in two."""
        width = self.format.bytes_per_sample
        if width is not None or samples in (0, self.samples):
            cut = samples * width if width is not None else len(self.data) if samples else 0
        else:
            cut = next((size for size, before in self.borders if before == samples), 0)
            if not cut:
                raise ValueError(f"no packet of this {self.format.codec} frame ends behind sample {samples}")
        before = tuple(border for border in self.borders if border[1] < samples)
        behind = tuple((size - cut, done - samples) for size, done in self.borders if done > samples)
        first = Frame(self.data[:cut], samples, self.format, self.received_at, before, self.priming)
        primed = self.priming if not samples else (*self.priming, *(data for data, _ in first.packets()))
        priming = primed[len(primed) - len(self.priming) :]
        return first, Frame(self.data[cut:], self.samples - samples, self.format, self.received_at, behind, priming)


@dataclass(frozen=True, slots=True)
class Resumed:
    """What follows comes right behind the last frame of the run before: nothing is missing between them."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What an earlier line of the source has recorded last: whole packets, oldest first, and when they ended."""

    format: AudioFormat
    packets: tuple[bytes, ...]
    ended: Instant


Unit: TypeAlias = RunStarting | RunStarted | Frame | Title | Loss | RunEnded | SplitHere | Resumed


# --- units with a place in time ---


@dataclass(frozen=True, slots=True)
class DatedFrame:
    """A frame and the UTC of its first sample and of the sample after its last.

    `fills` is the break that it fills with digital silence: its frame then has samples, but no data yet.
    """

    frame: Frame
    start_ns: int
    end_ns: int
    start_boottime_ns: int
    drift_ppm: float | None
    fills: "Break | None" = None


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
    """The audio ends here: the sample after the last one would have been at `at_ns`.

    `step_ns` is by how much the clock was set, where that is the cause.
    """

    cause: GapCause
    detail: str | None
    at_ns: int
    step_ns: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """The audio of a card ends here, as a Break tells it, but may go on before long in the same segment."""

    broken: Break


Dated: TypeAlias = DatedFrame | DatedTitle | DatedSplit | Break | Pause


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
    steps: tuple[ClockStep, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentData:
    """A frame of the open segment, and the UTC of the sample after its last. `is_filled`: silence in place of audio."""

    frame: Frame
    end: datetime
    is_filled: bool = False


@dataclass(frozen=True, slots=True)
class SegmentFill:
    """So many samples of digital silence follow in the open segment, in place of audio that is missing."""

    cause: GapCause
    detail: str | None
    start: datetime
    end: datetime
    samples: int


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
    loudness: Loudness | None = None
    steps: tuple[ClockStep, ...] = ()


Part: TypeAlias = SegmentOpen | SegmentData | SegmentFill | SegmentTitle | SegmentClose | Break | Pause


@dataclass(frozen=True, slots=True)
class GapLine:
    """One line of the ledger: `at` is `begin`, `midnight` or `end`."""

    at: str
    gap: Gap


@dataclass(frozen=True, slots=True)
class SegmentGap:
    """A gap in the open segment; the silence that fills it follows."""

    gap: Gap


@dataclass(frozen=True, slots=True)
class GapHeld:
    """A gap that may yet be filled: the ledger hears of it when that is decided."""

    gap: Gap


# --- what is heard in it; the meter puts it before the audio that it was heard in ---


@dataclass(frozen=True, slots=True)
class SegmentBroken:
    """Packets that follow in the open segment cannot be decoded: a gap, up to sample `end_sample` of the segment."""

    gap: Gap
    end_sample: int


@dataclass(frozen=True, slots=True)
class SegmentLevels:
    """More rows of the open segment's level series, laid out as archive_format/levels.py says."""

    rows: bytes


@dataclass(frozen=True, slots=True)
class SegmentEvents:
    """All events heard in the open segment so far."""

    events: tuple[EventAt, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """An end of an event, `offset_s` into the segment that was opened `segments_back` before the open one."""

    event: SoundEvent
    segments_back: int
    offset_s: float


Entry: TypeAlias = Part | GapLine | SegmentGap | GapHeld | SegmentBroken | SegmentLevels | SegmentEvents | Heard | Level
