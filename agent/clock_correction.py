"""Corrects what was recorded before the clock of a boot was synchronised. Pure.

Segments know when they began on the boottime clock, so their true time is that plus the true offset; steps in between
are no concern. Gaps follow the segments that they touch; an edge between two gaps is found by what the wall clock is
known to have been (boot_clock.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.archive_format.coverage import Span
from agent.archive_format.times import from_ns, ms_of
from agent.boot_clock import BootClock
from agent.model import Correction, Gap, GapCause, Segment

_STEP_MS = 10
_AFTER_A_START = (GapCause.AGENT_CRASHED, GapCause.AGENT_STOPPED)
"""Gaps that the next start of the agent writes down may begin in an earlier boot."""


@dataclass(frozen=True, slots=True)
class Edges:
    """What the correction of its neighbours has to know of a segment: times as recorded, in
    milliseconds since 1970, and by how much they are wrong."""

    start_ms: int
    end_ms: int
    by_ms: int
    gaps: tuple[str, ...] = ()
    gap_before: str | None = None


def is_wrong(segment: Segment, clock: BootClock) -> bool:
    """Whether the times of a segment are to be corrected now that the clock of its boot is known."""
    return (
        segment.boot == clock.boot
        and segment.clock.synchronized is False
        and clock.is_before(segment.clock.start_boottime_s)
        and segment.clock.corrected is None
    )


def true_offset_ms(clock: BootClock, offsets: Iterable[tuple[int | None, int | None]]) -> int:
    """The true offset as the segments of a source have it, as (boottime, offset): that of the first that stays as it
    is, or while there is none, of the last before it that was right already.

    A look at the clock and a recording thread read it at different moments, and may differ by a millisecond; then
    what is corrected would not join what is right.
    """
    assert clock.synchronized is not None
    true_ms = clock.synchronized.offset_ms
    right = [
        (boottime, offset)
        for boottime, offset in offsets
        if boottime is not None and offset is not None and abs(offset - true_ms) <= _STEP_MS
    ]
    after = [one for one in right if one[0] >= clock.synchronized.since_ms]
    return min(after)[1] if after else max(right)[1] if right else true_ms


def offset_ms(segment: Segment) -> int | None:
    """By how much the wall clock was ahead of boottime when the segment was recorded (or, corrected, should have been);
    None where it does not tell."""
    if segment.clock.start_boottime_s is None:
        return None
    return ms_of(segment.start) - round(segment.clock.start_boottime_s * 1000)


def overlaps_moved(segment: Segment, moved: Iterable[Span]) -> bool:
    """Whether a segment says that it overlaps with one that lay in such a stretch of time, as recorded, and was
    corrected."""
    reached_ms = ms_of(segment.start) + round(segment.clock.overlap_s * 1000)
    return segment.clock.overlap_s > 0 and any(start_ms < reached_ms <= end_ms for start_ms, end_ms in moved)


def corrected_segment(segment: Segment, true_ms: int, at: datetime) -> Segment:
    """The segment by the true clock. What lay at a boundary of the wrong one does not lie at one any more."""
    known_ms = offset_ms(segment)
    assert known_ms is not None
    by = timedelta(milliseconds=true_ms - known_ms)
    clock = replace(
        segment.clock,
        synchronized=True,
        overlap_s=0.0,
        map=tuple((sample, when + by) for sample, when in segment.clock.map),
        steps=tuple(replace(step, at=step.at + by) for step in segment.clock.steps),
        corrected=Correction(at, segment.start, segment.end),
    )
    return replace(
        segment,
        start=segment.start + by,
        end=segment.end + by,
        clock=clock,
        gaps=tuple(_shifted(gap, by, at) for gap in segment.gaps),
        titles=tuple(replace(title, at=title.at + by) for title in segment.titles),
        events=tuple(
            replace(event, start=event.start + by, end=None if event.end is None else event.end + by)
            for event in segment.events
        ),
        aligned_start=segment.aligned_start and not by,
        aligned_end=segment.aligned_end and not by,
    )


def corrected_gaps(
    gaps: Iterable[Gap], begun_before: set[str], segments: list[Edges], clock: BootClock, true_ms: int, at: datetime
) -> Iterator[Gap]:
    """The ended gaps of this boot that were told by a wrong clock, in the order of the ledger, as they really were.

    `begun_before` are those that began in an earlier boot; `segments` are those of this boot, times as recorded.
    """
    # A gap over which the clock was set back was told to end where it began; the segment behind it knows better.
    behind = {one.gap_before: one.start_ms + one.by_ms for one in segments if one.gap_before is not None}
    ends = {one.end_ms: one.end_ms + one.by_ms for one in segments}
    inside = {gap: one.by_ms for one in segments for gap in one.gaps}
    last_ms: int | None = None
    for gap in gaps:
        if gap.end is None:
            continue
        start_ms, end_ms = ms_of(gap.start), ms_of(gap.end)
        if gap.corrected is not None:
            ends[ms_of(gap.corrected.end_as_recorded)] = last_ms = end_ms
            continue
        if gap.id in inside:
            yield from _moved(gap, start_ms + inside[gap.id], end_ms + inside[gap.id], at)
            continue
        if gap.filled_samples:
            continue  # it lies in a file of an earlier boot, and was told by the start after a crash
        is_foreign = gap.id in begun_before or (gap.cause in _AFTER_A_START and start_ms not in ends)
        true_start_ms = start_ms if is_foreign else ends.get(start_ms) or _by_clock(start_ms, last_ms, clock, true_ms)
        not_before_ms = last_ms if is_foreign else true_start_ms
        true_end_ms = behind.get(gap.id) or _by_clock(end_ms, not_before_ms, clock, true_ms)
        true_end_ms = max(true_start_ms, true_end_ms)
        ends.setdefault(end_ms, true_end_ms)
        last_ms = true_end_ms
        yield from _moved(gap, true_start_ms, true_end_ms, at)


def _by_clock(wall_ms: int, not_before_ms: int | None, clock: BootClock, true_ms: int) -> int:
    """When the wall clock really said this; the same time where nothing is known of it."""
    found = [boottime_ms + true_ms for boottime_ms in clock.boottimes(wall_ms)]
    later = [one for one in found if not_before_ms is None or one >= not_before_ms]
    return (later or found or [wall_ms])[0]


def _moved(gap: Gap, start_ms: int, end_ms: int, at: datetime) -> Iterator[Gap]:
    """The gap at its true place, where that is another."""
    assert gap.end is not None
    start, end = from_ns(start_ms * 1_000_000), from_ns(end_ms * 1_000_000)
    if (start, end) != (gap.start, gap.end):
        yield replace(gap, start=start, end=end, corrected=Correction(at, gap.start, gap.end))


def _shifted(gap: Gap, by: timedelta, at: datetime) -> Gap:
    if gap.end is None or not by:
        return gap
    return replace(gap, start=gap.start + by, end=gap.end + by, corrected=Correction(at, gap.start, gap.end))
