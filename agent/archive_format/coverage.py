"""How recordings and gaps tile the time of a source: what was recorded, what is missing and why, what nobody asked
for. Pure.

Times are milliseconds since 1970, stretches half-open. Every moment counts once: as recorded where there is audio, else
as missing where a gap of that kind lies, else as not asked for. Silence that fills a gap inside a file is no audio of
that file; another one, where the clock was set back, may have some for the same time.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from agent.model import GapCause
from agent.periods import local_midnight_ns, next_midnight_ns

Span: TypeAlias = tuple[int, int]
"""Start and end."""

_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Hole:
    """A gap as far as it is known; one that lasts ends now. `inside` of a file, where silence stands for it."""

    start_ms: int
    end_ms: int
    cause: GapCause
    inside: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the tiling; without a cause it is recorded."""

    start_ms: int
    end_ms: int
    cause: GapCause | None


@dataclass(frozen=True, slots=True)
class Sums:
    """How much of a span was recorded, is missing, was not asked for; in milliseconds. What nothing is known of, as the
    time before a source was first asked to record, is in none of them."""

    recorded_ms: int
    missing_ms: int
    not_asked_ms: int

    @property
    def completeness_pct(self) -> float | None:
        """Recorded of what was asked for, in percent; None where nothing was. Less than 100 if anything is missing."""
        asked_ms = self.recorded_ms + self.missing_ms
        return math.floor(self.recorded_ms * 100_000 / asked_ms) / 1000 if asked_ms else None


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the local clock, which has 23 or 25 hours where that is set."""

    date: date
    start_ms: int
    end_ms: int

    @property
    def span(self) -> Span:
        """From its first moment to that of the next."""
        return self.start_ms, self.end_ms


def day_of(at_ms: int, zone: ZoneInfo) -> Day:
    """The local day that holds a moment."""
    local = datetime.fromtimestamp(at_ms // 1000, zone).date()
    start_ns = local_midnight_ns(at_ms * _NS, zone)
    return Day(local, start_ns // _NS, next_midnight_ns(at_ms * _NS, zone) // _NS)


def days_of(span: Span, zone: ZoneInfo) -> Iterator[Day]:
    """The local days that a span touches, in order."""
    if span[0] >= span[1]:
        return
    day = day_of(span[0], zone)
    yield day
    while day.end_ms < span[1]:
        local = datetime.fromtimestamp(day.end_ms // 1000, zone).date()
        day = Day(local, day.end_ms, next_midnight_ns(day.end_ms * _NS, zone) // _NS)
        yield day


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in order, none of it twice, as few spans as it takes."""
    ordered = sorted([span for span in spans if span[0] < span[1]])
    if not ordered:
        return []
    found: list[Span] = []
    first, edge = ordered[0]
    for start, end in ordered:
        if start > edge:
            found.append((first, edge))
            first, edge = start, end
        elif end > edge:
            edge = end
    found.append((first, edge))
    return found


def clipped(spans: Iterable[Span], to: Span) -> Iterator[Span]:
    """What of spans lies within another."""
    for span in spans:
        start, end = max(span[0], to[0]), min(span[1], to[1])
        if start < end:
            yield start, end


def audible(files: Iterable[Span], silences: Iterable[Span]) -> list[Span]:
    """Where at least one file has audio, merged: each silence stands in one of the files that lie there."""
    silent = merged(silences := list(silences))
    if not silent:
        return merged(files)
    starts, ends = [start for start, _ in silent], [end for _, end in silent]
    near, others = list[Span](), list[Span]()
    for file in files:
        at = bisect_right(ends, file[0])
        (near if at < len(starts) and starts[at] < file[1] else others).append(file)
    return merged([*others, *_audible(near, silences)])


def _audible(files: list[Span], silences: list[Span]) -> Iterator[Span]:
    """Where more files lie than silences."""
    edges = [(at, step) for start, end in files if start < end for at, step in ((start, 1), (end, -1))]
    edges += [(at, step) for start, end in silences if start < end for at, step in ((start, -1), (end, 1))]
    heard = since = 0
    for at, step in sorted(edges):
        if heard > 0:
            yield since, at
        heard, since = heard + step, at


def tile(recorded: Iterable[Span], holes: Iterable[Hole], within: Span) -> list[Stretch]:
    """The stretches of a span, in order. `recorded` has each file once."""
    gaps = sorted(holes, key=lambda hole: (hole.start_ms, hole.end_ms))
    inside = [(gap.start_ms, gap.end_ms) for gap in gaps if gap.inside]
    audio = list(clipped(audible(recorded, inside), within))
    missing = _less(_one_by_one((gap for gap in gaps if gap.cause.missing), within), audio)
    taken = merged([*audio, *((gap.start_ms, gap.end_ms) for gap in missing)])
    not_asked = _less(_one_by_one((gap for gap in gaps if not gap.cause.missing), within), taken)
    tiles = [*(Stretch(start, end, None) for start, end in audio), *missing, *not_asked]
    return sorted(tiles, key=lambda stretch: stretch.start_ms)


def sums(stretches: Iterable[Stretch]) -> Sums:
    """How much there is of each."""
    recorded = missing = not_asked = 0
    for stretch in stretches:
        length = stretch.end_ms - stretch.start_ms
        if stretch.cause is None:
            recorded += length
        elif stretch.cause.missing:
            missing += length
        else:
            not_asked += length
    return Sums(recorded, missing, not_asked)


def causes(stretches: Iterable[Stretch]) -> dict[GapCause, int]:
    """Milliseconds without audio by their cause, the most first."""
    found: dict[GapCause, int] = {}
    for stretch in stretches:
        if stretch.cause is not None:
            found[stretch.cause] = found.get(stretch.cause, 0) + stretch.end_ms - stretch.start_ms
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def coarse(stretches: list[Stretch], within: Span, most: int) -> list[Stretch]:
    """About the same in `most` stretches at most, for a picture: where they are finer, whatever is missing shows."""
    if len(stretches) <= most:
        return stretches
    step = -(-(within[1] - within[0]) // most)
    cells: dict[int, Stretch] = {}
    for stretch in stretches:
        for number in range((stretch.start_ms - within[0]) // step, (stretch.end_ms - 1 - within[0]) // step + 1):
            known = cells.get(number)
            if known is None or _weight(stretch) > _weight(known):
                start_ms = within[0] + number * step
                cells[number] = Stretch(start_ms, min(start_ms + step, within[1]), stretch.cause)
    found: list[Stretch] = []
    for _, cell in sorted(cells.items()):
        if found and (found[-1].end_ms, found[-1].cause) == (cell.start_ms, cell.cause):
            found[-1] = Stretch(found[-1].start_ms, cell.end_ms, cell.cause)
        else:
            found.append(cell)
    return found


def _weight(stretch: Stretch) -> int:
    return 1 if stretch.cause is None else 2 if stretch.cause.missing else 0


def _one_by_one(gaps: Iterable[Hole], within: Span) -> list[Stretch]:
    """Gaps in order of their start, each from where those before have ended."""
    found: list[Stretch] = []
    edge = within[0]
    for gap in gaps:
        start, end = max(gap.start_ms, edge), min(gap.end_ms, within[1])
        if start < end:
            found.append(Stretch(start, end, gap.cause))
            edge = end
    return found


def _less(stretches: list[Stretch], holes: list[Span]) -> list[Stretch]:
    """Stretches less the time of holes; both in order, and neither overlapping itself."""
    found: list[Stretch] = []
    first = 0
    for stretch in stretches:
        at = stretch.start_ms
        while first < len(holes) and holes[first][1] <= at:
            first += 1
        number = first
        while number < len(holes) and holes[number][0] < stretch.end_ms:
            if at < holes[number][0]:
                found.append(Stretch(at, holes[number][0], stretch.cause))
            at = max(at, holes[number][1])
            number += 1
        if at < stretch.end_ms:
            found.append(Stretch(at, stretch.end_ms, stretch.cause))
    return found
