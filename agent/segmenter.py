"""Cuts dated frames at period boundaries, at gaps and where it is asked to. Pure.

A boundary falls between two samples of a card, and between the two packets of a stream whose border is nearest to it.
The end of one segment is the start of the next, to the nanosecond, unless audio is missing between them.
"""

from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

from agent.archive_format.times import from_ns
from agent.model import (
    AudioFormat,
    Break,
    CloseReason,
    Dated,
    DatedFrame,
    DatedSplit,
    DatedTitle,
    Frame,
    GapCause,
    Part,
    SegmentClose,
    SegmentData,
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


class Segmenter:
    """The segments of one source, `period_s` long, with boundaries at local clock times of `zone`."""

    def __init__(self, *, period_s: int, zone: ZoneInfo) -> None:
        self._period_s = period_s
        self._zone = zone
        self._format: AudioFormat | None = None
        self._boundary_ns = 0
        self._end_ns = 0
        self._drift_ppm: float | None = None
        self._joins = False
        self._aligned = False

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
            case Break():
                if self._is_open:
                    self._end_ns = item.at_ns
                yield from self._close(_REASONS.get(item.cause, CloseReason.GAP))
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
                yield self._data(item)
                return
            before, item = _cut(item, self._boundary_ns)
            if before.frame.samples:
                yield self._data(before)
            self._end_ns = before.end_ns
            yield from self._close(CloseReason.BOUNDARY, aligned=True)

    def _data(self, item: DatedFrame) -> SegmentData:
        self._end_ns = item.end_ns
        return SegmentData(item.frame, from_ns(item.end_ns))

    def _open(self, item: DatedFrame) -> SegmentOpen:
        start_ns = self._end_ns if self._joins else item.start_ns
        overlap = max(timedelta(0), from_ns(self._end_ns) - from_ns(start_ns))
        unit_ns = _unit_ns(item)
        # Half a unit further on: a start that the nearest cut put just before a boundary belongs to that boundary.
        first_ns = max(start_ns, item.start_ns) + unit_ns // 2
        self._boundary_ns = next_boundary_ns(first_ns, self._period_s, self._zone)
        self._format = item.frame.format
        return SegmentOpen(
            start=from_ns(start_ns),
            start_boottime_s=round(item.start_boottime_ns / 1e9, 3),
            format=item.frame.format,
            aligned_start=self._joins and self._aligned,
            overlap_s=overlap.total_seconds(),
        )

    def _close(self, reason: CloseReason, *, aligned: bool = False) -> Iterator[SegmentClose]:
        if not self._is_open:
            return
        self._format, self._joins, self._aligned = None, True, aligned
        yield SegmentClose(from_ns(self._end_ns), reason, aligned, self._drift_ppm)


def _unit_ns(item: DatedFrame) -> int:
    """How long the smallest thing is that can be cut off this frame."""
    units = item.frame.samples if item.frame.format.bytes_per_sample else 1
    return (item.end_ns - item.start_ns) // max(1, units)


def _cut(item: DatedFrame, boundary_ns: int) -> tuple[DatedFrame, DatedFrame]:
    """The part of the frame before the boundary and the part after it; one of them may have no samples."""
    length_ns = max(1, item.end_ns - item.start_ns)
    if item.frame.format.bytes_per_sample is None:
        whole_before = boundary_ns - item.start_ns > item.end_ns - boundary_ns
        samples = item.frame.samples if whole_before else 0
        edge_ns = next_ns = item.end_ns if whole_before else item.start_ns
    else:
        share = item.frame.samples * (boundary_ns - item.start_ns)
        samples = min(item.frame.samples, max(0, (2 * share + length_ns) // (2 * length_ns)))
        # Where the estimate has moved past a boundary between two frames, the cut is late and its time says so.
        edge_ns = max(boundary_ns, item.start_ns)
        next_ns = item.start_ns + length_ns * samples // item.frame.samples
    first, second = _divide(item, samples)
    next_boottime_ns = item.start_boottime_ns + next_ns - item.start_ns
    return (
        DatedFrame(first, item.start_ns, edge_ns, item.start_boottime_ns, item.drift_ppm),
        DatedFrame(second, next_ns, max(next_ns, item.end_ns), next_boottime_ns, item.drift_ppm),
    )


def _divide(item: DatedFrame, samples: int) -> tuple[Frame, Frame]:
    frame = item.frame
    nothing = Frame(b"", 0, frame.format, frame.received_at)
    if samples == 0:
        return nothing, frame
    if samples == frame.samples:
        return frame, nothing
    return frame.split(samples)
