"""Cuts dated frames at period boundaries, at gaps and where it is asked to. Pure.

A boundary falls between two samples of a card, and between the two packets of a stream whose border is nearest to it.
The end of one segment is the start of the next, to the nanosecond, unless audio is missing between them. The same holds
for the clock that never steps, to the millisecond and across a step of the wall clock too, so that what is corrected
later by that clock still joins.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from agent.archive_format.times import from_ns, ms_from, to_ns
from agent.earlier_audio import Ask, EarlierAudio
from agent.model import (
    AudioFormat,
    Break,
    ClockStep,
    CloseReason,
    Dated,
    DatedFrame,
    DatedSplit,
    DatedTitle,
    GapCause,
    Part,
    Pause,
    SegmentClose,
    SegmentData,
    SegmentFill,
    SegmentOpen,
    SegmentTitle,
)
from agent.periods import next_boundary_ns

_REASONS = {
    GapCause.STOPPED: CloseReason.STOP,
    GapCause.SCHEDULED: CloseReason.SCHEDULE,
    GapCause.AGENT_STOPPED: CloseReason.SHUTDOWN,
    GapCause.CLOCK_STEP: CloseReason.CLOCK_STEP,
}


_SAME_MS = 20
"""A segment begins on the boottime clock where the one before ended, unless that is further away than this."""


class Segmenter:
    """The segments of one source, `period_s` long, with boundaries at local clock times of `zone`.

    `ended` is when the audio of an earlier line did; `recorded_in` is asked what was recorded of a time before that
    (earlier_audio.py). What begins before the end of such audio says so.
    """

    def __init__(
        self,
        *,
        period_s: int,
        zone: ZoneInfo,
        ended: datetime | None = None,
        recorded_in: Ask = lambda _begin, _end: (),
    ) -> None:
        self._period_s = period_s
        self._zone = zone
        self._format: AudioFormat | None = None
        self._boundary_ns = 0
        self._end_ns = 0 if ended is None else to_ns(ended)
        self._start_ns = 0
        self._earlier = EarlierAudio(self._end_ns, recorded_in)
        self._drift_ppm: float | None = None
        self._joins = False
        self._aligned = False
        self._offset_ms = 0
        self._step_ns = 0
        self._follows = False

    @property
    def _is_open(self) -> bool:
        return self._format is not None

    def push(self, item: Dated) -> Iterator[Part]:
        """What `item` adds to the open segment, and what it opens and closes."""
        match item:
            case DatedFrame():
                yield from self._frame(item)
            case DatedTitle():
                yield SegmentTitle(item.text, from_ns(item.at_ns))
            case DatedSplit():
                yield from self._close(CloseReason.COMMAND)
            case Pause():
                yield item
            case Break():
                if self._is_open:
                    self._end_ns = item.at_ns
                elif self._joins:  # the file was closed just now, and its end has been told
                    item = replace(item, at_ns=self._end_ns)
                yield from self._close(_REASONS.get(item.cause, CloseReason.GAP), step_ns=item.step_ns)
                self._follows = self._follows and item.cause is GapCause.CLOCK_STEP
                self._step_ns = self._step_ns + item.step_ns if self._follows else 0
                self._joins = False
                yield item

    def _frame(self, item: DatedFrame) -> Iterator[Part]:
        if self._is_open and item.frame.format != self._format:
            yield from self._close(CloseReason.FORMAT_CHANGE)
        while item.frame.samples:
            if not self._is_open:
                yield self._open(item)
            self._drift_ppm = item.drift_ppm
            if item.end_ns < self._boundary_ns:
                yield from self._data(item)
                return
            before, item = _cut(item, self._boundary_ns)
            if before.frame.samples:
                yield from self._data(before)
            self._end_ns = before.end_ns
            yield from self._close(CloseReason.BOUNDARY, aligned=True)

    def _data(self, item: DatedFrame) -> Iterator[Part]:
        start_ns, self._end_ns = self._end_ns, item.end_ns
        if item.fills is None:
            yield SegmentData(item.frame, from_ns(item.end_ns))
            return
        fills, frame = item.fills, item.frame
        yield SegmentFill(fills.cause, fills.detail, from_ns(start_ns), from_ns(item.end_ns), frame.samples)
        length_ns, done = item.end_ns - item.start_ns, 0
        while done < frame.samples:
            samples = min(frame.samples - done, frame.format.sample_rate_hz)
            done += samples
            silence = bytes(samples * (frame.format.bytes_per_sample or 0))
            end = from_ns(item.start_ns + length_ns * done // frame.samples)
            yield SegmentData(replace(frame, data=silence, samples=samples), end, is_filled=True)

    def _open(self, item: DatedFrame) -> SegmentOpen:
        start_ns = self._end_ns if self._joins else item.start_ns
        unit_ns = _unit_ns(item)
        # Half a unit further on: a start that the nearest cut put just before a boundary belongs to that boundary.
        first_ns = max(start_ns, item.start_ns) + unit_ns // 2
        self._boundary_ns = next_boundary_ns(first_ns, self._period_s, self._zone)
        self._format = item.frame.format
        reached_ns = max(self._end_ns, self._earlier.reached_ns((start_ns, self._boundary_ns)))
        overlap = max(timedelta(0), from_ns(reached_ns) - from_ns(start_ns))
        boottime_ms = self._boottime_ms(item.start_boottime_ns + start_ns - item.start_ns)
        self._offset_ms, self._start_ns, self._end_ns = ms_from(start_ns) - boottime_ms, start_ns, start_ns
        step_ns, self._step_ns = self._step_ns, 0
        return SegmentOpen(
            start=from_ns(start_ns),
            start_boottime_s=boottime_ms / 1000,
            format=item.frame.format,
            aligned_start=self._joins and self._aligned,
            overlap_s=overlap.total_seconds(),
            steps=_steps(start_ns, step_ns),
        )

    def _boottime_ms(self, boottime_ns: int) -> int:
        """When a segment begins on the clock that never steps."""
        own_ms, ended_ms = ms_from(boottime_ns), ms_from(self._end_ns) - self._offset_ms
        return ended_ms if self._follows and abs(own_ms - ended_ms) <= _SAME_MS else own_ms

    def _close(self, reason: CloseReason, *, aligned: bool = False, step_ns: int = 0) -> Iterator[SegmentClose]:
        if not self._is_open:
            return
        self._format, self._joins, self._aligned, self._follows = None, True, aligned, True
        self._earlier.put((self._start_ns, self._end_ns))
        steps = _steps(self._end_ns, step_ns)
        yield SegmentClose(from_ns(self._end_ns), reason, aligned, self._drift_ppm, steps=steps)


def _steps(at_ns: int, step_ns: int) -> tuple[ClockStep, ...]:
    return (ClockStep(from_ns(at_ns), round(step_ns / 1e9, 3)),) if step_ns else ()


def _unit_ns(item: DatedFrame) -> int:
    """How long the smallest thing is that can be cut off the beginning of this frame."""
    frame = item.frame
    samples = 1 if frame.format.bytes_per_sample else frame.borders[0][1] if frame.borders else frame.samples
    return (item.end_ns - item.start_ns) * samples // max(1, frame.samples)


def _cut(item: DatedFrame, boundary_ns: int) -> tuple[DatedFrame, DatedFrame]:
    """The part of the frame before the boundary and the part after it; one of them may have no samples."""
    length_ns = max(1, item.end_ns - item.start_ns)
    samples = _samples_before(item, boundary_ns, length_ns)
    edge_ns = next_ns = item.start_ns + length_ns * samples // item.frame.samples
    if item.frame.format.bytes_per_sample is not None:
        # Where the estimate has moved past a boundary between two frames, the cut is late and its time says so.
        edge_ns = max(boundary_ns, item.start_ns)
    first, second = item.frame.split(samples)
    end_ns = max(next_ns, item.end_ns)
    next_boottime_ns = item.start_boottime_ns + next_ns - item.start_ns
    return (
        replace(item, frame=first, end_ns=edge_ns),
        replace(item, frame=second, start_ns=next_ns, end_ns=end_ns, start_boottime_ns=next_boottime_ns),
    )


def _samples_before(item: DatedFrame, boundary_ns: int, length_ns: int) -> int:
    """Where the cut nearest to the boundary lies: behind any sample of PCM, between two packets of a stream."""
    frame, ahead_ns = item.frame, boundary_ns - item.start_ns
    if frame.format.bytes_per_sample is not None:
        return min(frame.samples, max(0, (2 * frame.samples * ahead_ns + length_ns) // (2 * length_ns)))
    begin = 0
    for end in (*(samples for _, samples in frame.borders), frame.samples):
        if length_ns * (begin + end) >= 2 * frame.samples * ahead_ns:  # its middle lies behind the boundary
            return begin
        begin = end
    return frame.samples
