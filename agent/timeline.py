"""Gives every unit its place in time: arrival times and sample counts become dated frames. Pure.

Between anchors only samples count; the arrivals only say where the whole run lies (lateness.py). At the start of a
run the units are held until that estimate stands still, because with a burst the audio began before the connection.
Wall time is boottime plus an offset; when that offset moves, the wall clock was set, and a break says so.
"""

from collections.abc import Iterator

from agent.lateness import Lateness
from agent.model import (
    Break,
    Dated,
    DatedFrame,
    DatedSplit,
    DatedTitle,
    Frame,
    GapCause,
    Instant,
    Loss,
    RunEnded,
    RunStarted,
    RunStarting,
    SplitHere,
    Title,
    Unit,
)

_STEP_NS = 10_000_000
"""A wall clock that moves by more than this against boottime was set; less is taken in quietly."""


class Timeline:
    """The time of one source. `latency_ns` is how long a sample takes from the world to our end of the pipe."""

    def __init__(self, *, latency_ns: int = 0) -> None:
        self._latency_ns = latency_ns
        self._lateness: Lateness | None = None
        self._rate = 0
        self._samples = 0
        self._held: list[Frame | Title | SplitHere] = []
        self._held_samples = 0
        self._settled = False
        self._wall_offset_ns = 0

    def push(self, unit: Unit) -> Iterator[Dated]:
        """What `unit` and, where it settles the clock, the units held before it have become."""
        match unit:
            case RunStarting():
                yield Break(GapCause.STARTING, None, unit.at.wall_ns)
            case RunStarted(format=audio_format):
                self._begin(audio_format.sample_rate_hz)
            case Frame():
                if unit.format.sample_rate_hz != self._rate:
                    # Samples of another rate are another scale; what was held is dated by its own.
                    yield from self._release()
                    self._begin(unit.format.sample_rate_hz)
                yield from self._frame(unit)
            case Title() | SplitHere():
                if self._lateness is not None and not self._settled:
                    self._held.append(unit)
                else:
                    yield from self._mark(unit)
            case Loss():
                yield from self._release()
                if self._lateness is not None and self._samples:
                    yield Break(unit.cause, unit.detail, self._utc_ns(self._samples))
                    self._begin(self._rate)
            case RunEnded():
                yield from self._release()
                ended_ns = self._utc_ns(self._samples) if self._samples else unit.at.wall_ns
                self._lateness, self._samples = None, 0
                yield Break(unit.cause, unit.detail, ended_ns)

    def _begin(self, sample_rate_hz: int) -> None:
        self._lateness, self._rate = Lateness(sample_rate_hz), sample_rate_hz
        self._samples, self._settled = 0, False

    def _frame(self, frame: Frame) -> Iterator[Dated]:
        if self._lateness is None:
            raise ValueError("a frame came before its run was announced")
        self._lateness.arrived(self._samples + self._held_samples + frame.samples, frame.received_at.boottime_ns)
        if self._settled:
            yield from self._step(frame.received_at)
            if not self._lateness.lost or frame.format.bytes_per_sample is None:
                yield self._date(frame)
                return
            # Samples are missing although nobody said so: the clock tells how many, from here on.
            yield Break(GapCause.OVERRUN, "the card fell behind the clock", self._utc_ns(self._samples))
            self._begin(self._rate)
            self._lateness.arrived(frame.samples, frame.received_at.boottime_ns)
        self._held.append(frame)
        self._held_samples += frame.samples
        if self._lateness.settled:
            yield from self._release()

    def _release(self) -> Iterator[Dated]:
        """Date what was held back, by the estimate as it stands now."""
        held, self._held, self._held_samples = self._held, [], 0
        if self._lateness is None or not held:
            return
        if not self._settled:
            arrivals = [unit.received_at for unit in held if isinstance(unit, Frame)]
            if arrivals:
                self._wall_offset_ns = _wall_offset_ns(arrivals[-1])
            self._settled = True
        for unit in held:
            if isinstance(unit, Frame):
                yield self._date(unit)
            else:
                yield from self._mark(unit)

    def _date(self, frame: Frame) -> DatedFrame:
        first, self._samples = self._samples, self._samples + frame.samples
        start_ns, end_ns = self._utc_ns(first), self._utc_ns(self._samples)
        assert self._lateness is not None
        return DatedFrame(frame, start_ns, end_ns, start_ns - self._wall_offset_ns, self._lateness.drift_ppm)

    def _step(self, received_at: Instant) -> Iterator[Break]:
        moved_ns = _wall_offset_ns(received_at) - self._wall_offset_ns
        before_ns = self._utc_ns(self._samples)
        self._wall_offset_ns += moved_ns
        if abs(moved_ns) > _STEP_NS:
            yield Break(GapCause.CLOCK_STEP, f"the clock was set by {moved_ns / 1e9:+.3f} s", before_ns)

    def _mark(self, unit: Title | SplitHere) -> Iterator[DatedTitle | DatedSplit]:
        at = unit.received_at if isinstance(unit, Title) else unit.at
        at_ns = self._utc_ns(self._samples) if self._lateness is not None and self._samples else at.wall_ns
        yield DatedTitle(unit.text, at_ns) if isinstance(unit, Title) else DatedSplit(at_ns)

    def _utc_ns(self, sample: int) -> int:
        assert self._lateness is not None
        return self._lateness.boottime_ns(sample) + self._wall_offset_ns - self._latency_ns


def _wall_offset_ns(at: Instant) -> int:
    return at.wall_ns - at.boottime_ns
