"""Gives every unit its place in time: arrival times and sample counts become dated frames. Pure.

Between anchors only samples count; the arrivals only say where the whole run lies (lateness.py). At the start of a
run the units are held until that estimate stands still, because with a burst the audio began before the connection.
Wall time is boottime plus an offset; when that offset moves, the wall clock was set, and a break says so. Boottime that
goes on while monotonic stands still is a sleep of the box, and another break.

Where a run goes on with the very next packet of the one before (overlap.py), so does the clock: an outage that a burst
covers is no more than a stall.
"""

from collections.abc import Iterator
from dataclasses import replace

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
    Resumed,
    RunEnded,
    RunStarted,
    RunStarting,
    SplitHere,
    Tail,
    Title,
    Unit,
)

_STEP_NS = 10_000_000
"""A wall clock that moves by more than this against boottime was set; less is taken in quietly."""
_SLEPT_NS = 50_000_000
"""Boottime that moves by more than this against monotonic went on while the box slept."""
_NOT_ASKED = (GapCause.STOPPED, GapCause.SCHEDULED)


class Timeline:
    """The time of one source. `latency_ns` is how long a sample takes from the world to our end of the pipe; `tail` is
    what an earlier line has recorded last."""

    def __init__(self, *, latency_ns: int = 0, tail: Tail | None = None) -> None:
        self._latency_ns = latency_ns
        self._lateness: Lateness | None = None
        self._rate = 0
        self._samples = 0
        self._has_audio = False
        self._held: list[Frame | Title | SplitHere | Loss] = []
        self._held_samples = 0
        self._settled = False
        self._wall_offset_ns = 0
        self._slept_ns = 0
        self._before: tuple[Lateness, int, int] | None = None
        self._joins_ns: int | None = None
        self._unasked = False
        self._asked: Instant | None = None
        if tail is not None:
            self._before = Lateness(tail.format.sample_rate_hz), tail.format.sample_rate_hz, 0
            self._before[0].arrived(0, tail.ended.boottime_ns + latency_ns)
            self._wall_offset_ns = _wall_offset_ns(tail.ended)

    def push(self, unit: Unit) -> Iterator[Dated]:
        """What `unit` and, where it settles the clock, the units held before it have become."""
        match unit:
            case RunStarting():
                # A burst tells of the time before, and nobody asked for that.
                self._asked, self._unasked = unit.at if self._unasked else self._asked, False
                yield Break(GapCause.STARTING, None, unit.at.wall_ns)
            case RunStarted(format=audio_format):
                self._slept_ns = _slept_ns(unit.at)
                self._begin(Lateness(audio_format.sample_rate_hz), audio_format.sample_rate_hz)
            case Resumed():
                self._resume()
                yield from self._release()
            case Frame():
                yield from self._woken(unit.received_at)
                if unit.format.sample_rate_hz != self._rate:
                    # Samples of another rate are another scale; what was held is dated by its own.
                    yield from self._release()
                    self._begin(Lateness(unit.format.sample_rate_hz), unit.format.sample_rate_hz)
                yield from self._frame(unit)
            case Title() | SplitHere():
                if self._lateness is not None and not self._settled:
                    self._held.append(unit)
                else:
                    yield from self._mark(unit)
            case Loss():
                yield from self._woken(unit.at)
                yield from self._lost(unit)
            case RunEnded():
                yield from self._ended(unit)

    def _begin(self, lateness: Lateness, sample_rate_hz: int) -> None:
        self._lateness, self._rate = lateness, sample_rate_hz
        self._samples, self._has_audio, self._settled = 0, False, False
        self._joins_ns = None

    def _ended(self, unit: RunEnded) -> Iterator[Dated]:
        yield from self._woken(unit.at)
        yield from self._release()
        ended_ns = self._utc_ns(self._samples) if self._has_audio else unit.at.wall_ns
        self._end()
        self._unasked = unit.cause in _NOT_ASKED
        yield Break(unit.cause, unit.detail, ended_ns)

    def _end(self) -> None:
        if self._lateness is not None and self._has_audio:
            self._before = self._lateness, self._rate, self._samples
        self._lateness, self._samples, self._has_audio = None, 0, False

    def _resume(self) -> None:
        """Go on with the clock of the run before, at the sample where it ended."""
        if self._before is not None:
            self._lateness, self._rate, self._samples = self._before
            self._settled = self._has_audio = True
            self._joins_ns = self._utc_ns(self._samples)

    def _woken(self, at: Instant) -> Iterator[Dated]:
        """Where the box has slept since the last look, the audio ends with what was read before."""
        slept_ns = _slept_ns(at) - self._slept_ns
        if abs(slept_ns) <= _SLEPT_NS or self._lateness is None:
            return
        self._slept_ns += slept_ns
        yield from self._release()
        yield from self._break_off(GapCause.SUSPENDED, f"the box slept for {slept_ns / 1e9:.1f} s")

    def _break_off(self, cause: GapCause, detail: str) -> Iterator[Dated]:
        """The run goes on behind a stretch whose length only the clock can tell."""
        if self._lateness is not None and self._has_audio:
            yield from self._broken(cause, detail, self._utc_ns(self._samples))
            lateness = self._lateness
            self._end()
            self._begin(lateness.behind_loss(), self._rate)

    def _frame(self, frame: Frame) -> Iterator[Dated]:
        if self._lateness is None:
            raise ValueError("a frame came before its run was announced")
        self._lateness.arrived(self._samples + self._held_samples + frame.samples, frame.received_at.boottime_ns)
        if self._settled:
            yield from self._step(frame.received_at)
            if self._lateness.lost and frame.format.bytes_per_sample is not None:
                # Samples are missing although nobody said so: the clock tells how many, from here on.
                yield from self._broken(GapCause.OVERRUN, "the card fell behind the clock", self._utc_ns(self._samples))
                self._lateness.take_loss()
            yield from self._date(frame)
            return
        self._held.append(frame)
        self._held_samples += frame.samples
        if self._lateness.settled:
            yield from self._release()

    def _lost(self, loss: Loss) -> Iterator[Dated]:
        if not self._has_audio and not any(isinstance(unit, Frame) for unit in self._held):
            return  # what is missing before the first sample is no hole in anything
        if loss.samples is None:
            yield from self._release()
            yield from self._break_off(loss.cause, loss.detail)
            return
        self._held.append(loss)
        self._held_samples += loss.samples
        if self._settled:
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
                yield from self._date(unit)
            elif isinstance(unit, Loss):
                yield from self._broken(unit.cause, unit.detail, self._utc_ns(self._samples))
                self._samples += unit.samples or 0
            else:
                yield from self._mark(unit)

    def _date(self, frame: Frame) -> Iterator[DatedFrame]:
        first, self._samples = self._samples, self._samples + frame.samples
        self._has_audio = True
        start_ns, end_ns = self._utc_ns(first), self._utc_ns(self._samples)
        joins_ns, self._joins_ns = self._joins_ns, None
        if joins_ns is not None and start_ns - _STEP_NS <= joins_ns < end_ns:
            start_ns = joins_ns  # The estimate may have moved since.
        assert self._lateness is not None
        item = DatedFrame(frame, start_ns, end_ns, start_ns - self._wall_offset_ns, self._lateness.drift_ppm)
        if self._asked is None:
            yield item
        elif (since := _made_since(item, self._asked)) is not None:
            self._asked = None
            yield since

    def _step(self, received_at: Instant) -> Iterator[Break]:
        moved_ns = _wall_offset_ns(received_at) - self._wall_offset_ns
        before_ns = self._utc_ns(self._samples)
        self._wall_offset_ns += moved_ns
        if abs(moved_ns) > _STEP_NS:
            self._joins_ns = None
            detail = f"the clock was set by {moved_ns / 1e9:+.3f} s"
            yield from self._broken(GapCause.CLOCK_STEP, detail, before_ns, moved_ns)

    def _broken(self, cause: GapCause, detail: str, at_ns: int, moved_ns: int = 0) -> Iterator[Break]:
        if self._asked is None:  # else nothing has begun that could break
            yield Break(cause, detail, at_ns, moved_ns)

    def _mark(self, unit: Title | SplitHere) -> Iterator[DatedTitle | DatedSplit]:
        at = unit.received_at if isinstance(unit, Title) else unit.at
        at_ns = self._utc_ns(self._samples) if self._lateness is not None and self._has_audio else at.wall_ns
        yield DatedTitle(unit.text, at_ns) if isinstance(unit, Title) else DatedSplit(at_ns)

    def _utc_ns(self, sample: int) -> int:
        assert self._lateness is not None
        return self._lateness.boottime_ns(sample) + self._wall_offset_ns - self._latency_ns


def _made_since(item: DatedFrame, asked: Instant) -> DatedFrame | None:
    """The frame from its first unit on that was not made before this moment; None where all of it was."""
    frame, length_ns, before_ns = item.frame, item.end_ns - item.start_ns, asked.boottime_ns - item.start_boottime_ns
    if before_ns <= 0:
        return _not_before(item, asked.wall_ns)
    if frame.format.bytes_per_sample is not None:
        samples = -(-before_ns * frame.samples // max(1, length_ns))
    else:
        begins = (done for _, done in frame.borders)
        samples = next((done for done in begins if length_ns * done >= before_ns * frame.samples), frame.samples)
    if samples >= frame.samples:
        return None
    start_ns = item.start_ns + length_ns * samples // frame.samples
    start_boottime_ns = item.start_boottime_ns + start_ns - item.start_ns
    since = DatedFrame(frame.split(samples)[1], start_ns, item.end_ns, start_boottime_ns, item.drift_ppm)
    return _not_before(since, asked.wall_ns)


def _not_before(item: DatedFrame, wall_ns: int) -> DatedFrame:
    """On a busy box two readings of the clocks differ a little; a file begins where the gap before it has ended by the
    wall clock too."""
    is_near = item.start_ns < wall_ns <= item.start_ns + _STEP_NS and wall_ns < item.end_ns
    return replace(item, start_ns=wall_ns) if is_near else item


def _wall_offset_ns(at: Instant) -> int:
    return at.wall_ns - at.boottime_ns


def _slept_ns(at: Instant) -> int:
    return at.boottime_ns - at.monotonic_ns
