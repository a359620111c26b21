"""Do the segments and gaps of a source cover its time without a hole and without an overlap? Pure."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from operator import itemgetter

from agent.archive_format.times import rfc3339
from agent.model import Clock, CloseReason, Gap, Segment
from agent.verify.finding import Check, Finding

_ROUNDED = timedelta(milliseconds=1)
_LEDGER = "nothing can be done for the audio; keep this line with it: the ledger does not tell the whole story"


@dataclass(frozen=True, slots=True)
class Piece:
    """A finished segment, and the name that a finding about it carries."""

    file: str
    segment: Segment


def judge_tiling(
    pieces: Iterable[Piece], gaps: Iterable[Gap], unknown: Iterable[datetime], forgotten: datetime | None = None
) -> Iterator[Finding]:
    """What is not accounted for between the segments of one source. `unknown` are the starts, by their names, of
    segments that are still open or cannot be read: nothing is said of the time around them. Of the time before
    `forgotten` no account is left, on purpose."""
    ordered = in_order(pieces)
    known = {gap.id: gap for piece in ordered if (gap := piece.segment.gap_before) is not None}
    known |= {gap.id: gap for gap in gaps}
    told = _Told.of(known.values())
    doubts = sorted(unknown)
    if not ordered:
        return
    ends = {piece.segment.end for piece in ordered}
    starts = Counter(piece.segment.start for piece in ordered)
    reached, is_flagged = ordered[0], False
    for before, after in pairwise(ordered):
        flagged = _is_flagged(before.segment, after.segment)
        is_flagged |= flagged
        doubt = bisect_left(doubts, before.segment.start)
        if doubt == len(doubts) or doubts[doubt] > after.segment.start:
            yield from _hole(reached, after, told, forgotten)
            # What goes on where another one ends is told by the one that it goes on from.
            joins = after.segment.start in ends and starts[after.segment.start] == 1
            if not flagged and not joins and not _has_overlap(reached.segment):
                yield from _overlap(reached, after)
        if flagged or after.segment.end >= reached.segment.end:
            reached = after
    if not is_flagged and not any(_has_overlap(piece.segment) for piece in ordered):
        yield from _twice(ordered, told)


@dataclass(frozen=True, slots=True)
class _Told:
    """The gaps that have ended and lie between segments, by their start; none is longer than `longest`."""

    gaps: list[Gap]
    spans: list[tuple[datetime, datetime]]
    longest: timedelta

    @staticmethod
    def of(gaps: Iterable[Gap]) -> "_Told":
        ended = [(gap.start, gap.end, gap) for gap in gaps if gap.end is not None and not gap.filled_samples]
        ended.sort(key=itemgetter(0, 1))
        spans = [(start, end) for start, end, _ in ended]
        return _Told(
            [gap for *_, gap in ended], spans, max((end - start for start, end in spans), default=timedelta(0))
        )

    def near(self, start: datetime, end: datetime) -> range:
        """The numbers of those that may lie between two moments."""
        first = bisect_left(self.spans, start - self.longest, key=itemgetter(0))
        return range(first, bisect_left(self.spans, end, key=itemgetter(0)))


def in_order(pieces: Iterable[Piece]) -> list[Piece]:
    """As they were recorded: the boots by their wall clocks, within one by the clock that never steps."""
    ordered = sorted(pieces, key=lambda piece: piece.segment.start)
    for boot in {piece.segment.boot for piece in ordered}:
        places = [
            place
            for place, piece in enumerate(ordered)
            if piece.segment.boot == boot and piece.segment.clock.start_boottime_s is not None
        ]
        own = sorted((ordered[place] for place in places), key=lambda piece: _began(piece.segment.clock))
        for place, piece in zip(places, own, strict=True):
            ordered[place] = piece
    return ordered


def _began(clock: Clock) -> tuple[float, float]:
    """What began at the same moment comes behind what it says that it overlaps."""
    return clock.start_boottime_s or 0.0, clock.overlap_s


def _overlap(before: Piece, after: Piece) -> Iterator[Finding]:
    end, start = before.segment.end, after.segment.start
    if start < end - _ROUNDED - _packet(before.segment):
        found = f"a start {_s(end - start)} before the end of {before.file}"
        yield Finding(after.file, Check.OVERLAP, found, f"{rfc3339(end)}, or `clock.overlap_s`", _LEDGER)


def _hole(before: Piece, after: Piece, told: _Told, forgotten: datetime | None) -> Iterator[Finding]:
    end, start = before.segment.end, after.segment.start
    end = end if forgotten is None else max(end, forgotten)
    uncovered, at = timedelta(0), end
    for low, high in (told.spans[number] for number in told.near(end, start)):
        uncovered += max(timedelta(0), low - at)
        at = max(at, high)
    uncovered += max(timedelta(0), start - at)
    if uncovered > _ROUNDED + _packet(before.segment):
        found = f"{_s(uncovered)} that nothing tells of between {rfc3339(end)} and {rfc3339(start)}"
        yield Finding(after.file, Check.HOLE, found, "a gap in the ledger, or audio", _LEDGER)


def _twice(ordered: list[Piece], told: _Told) -> Iterator[Finding]:
    """Gaps that are said to lie where there is audio."""
    for piece in ordered:
        segment = piece.segment
        own = {gap.id for gap in segment.gaps}
        for number in told.near(segment.start, segment.end):
            gap, (start, end) = told.gaps[number], told.spans[number]
            shared = min(end, segment.end) - max(start, segment.start)
            if shared > _ROUNDED + _packet(segment) and gap.id not in own:
                found = f"a gap ({gap.cause}) from {rfc3339(start)} to {rfc3339(end)}, where this is audio"
                yield Finding(piece.file, Check.OVERLAP, found, "either a gap or audio", _LEDGER)


def _is_flagged(before: Segment, after: Segment) -> bool:
    """Whether it is told that wall times lie twice here, or whether the clock was not to be relied on."""
    return (
        _has_overlap(after)
        or before.reason is CloseReason.CLOCK_STEP
        or (before.boot != after.boot and not (before.clock.synchronized and after.clock.synchronized))
    )


def _has_overlap(segment: Segment) -> bool:
    """Whether the segment says that it began before the one ended that was recorded before it.

    Where a server sent old audio, that other one may begin later, so that it comes second here.
    """
    return segment.clock.overlap_s > 0


def _packet(segment: Segment) -> timedelta:
    """The longest that one codec unit may be: what a join of streams is good for."""
    if not segment.packets:
        return timedelta(0)
    return timedelta(seconds=segment.samples / segment.packets / segment.format.sample_rate_hz)


def _s(length: timedelta) -> str:
    return f"{length / timedelta(seconds=1):.3f} s"
