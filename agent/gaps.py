"""Accounts for every stretch without audio: breaks and openings become ledger lines. Pure.

Segments and gaps tile the time since a source was first asked to record: a gap begins where the audio ended and ends
where it begins again. While it lasts its cause may give way to another (a stopped source that is started, a crashed
agent that finds its device gone); then one gap ends and the next begins at that moment.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from agent.archive_format.times import from_ns, to_ns
from agent.ids import uuid7
from agent.model import (
    Break,
    Entry,
    Gap,
    GapCause,
    GapHeld,
    GapLine,
    Part,
    Pause,
    SegmentData,
    SegmentFill,
    SegmentGap,
    SegmentOpen,
)
from agent.periods import local_midnight_ns

_NOT_ASKED = (GapCause.STOPPED, GapCause.SCHEDULED)
_GIVES_WAY = (
    GapCause.STARTING,
    GapCause.AGENT_STOPPED,
    GapCause.AGENT_CRASHED,
    GapCause.OVERRUN,
    GapCause.SUSPENDED,
    *_NOT_ASKED,
)


class GapAccount:
    """The gaps of one source. `open_gap` is one that lasts since before this agent's start; `told_until` is the last
    midnight that has a line of it."""

    def __init__(
        self, source: str, zone: ZoneInfo, *, open_gap: Gap | None = None, told_until: datetime | None = None
    ) -> None:
        self._source = source
        self._zone = zone
        self.open_gap = open_gap
        self._stepped: Break | None = None
        self._held: Gap | None = None
        self._midnight = told_until

    def push(self, part: Part) -> Iterator[Entry]:
        """The part itself, with the ledger lines that it causes; an opening also carries the gap before it."""
        match part:
            case Break():
                yield from self._break(part)
            case SegmentOpen():
                yield from self._opened(part)
            case Pause():
                self._held = self._new(part.broken.cause, from_ns(part.broken.at_ns), part.broken.detail)
                yield GapHeld(self._held)
            case SegmentFill():
                yield SegmentGap(self._filled(part))
            case SegmentData():
                if not part.is_filled:
                    self._held = None  # whatever it was, nothing is missing any more
                yield part
            case _:
                yield part

    def begin(self, cause: GapCause, at: datetime, detail: str | None = None) -> Iterator[GapLine]:
        """There is no audio from `at` on."""
        if self.open_gap is not None:
            if not _replaces(cause, self.open_gap.cause):
                return
            at = max(at, self.open_gap.start)
            yield from self._end(at)
        held, self._held = self._held, None
        is_held = held is not None and (held.cause, held.start) == (cause, at)
        self.open_gap = held if is_held else self._new(cause, at, detail)
        assert self.open_gap is not None
        yield GapLine("begin", self.open_gap)

    def is_midnight(self, now_ns: int, last_ns: int) -> bool:
        """Whether a local day has begun between the two moments."""
        if from_ns(last_ns).astimezone(self._zone).date() == from_ns(now_ns).astimezone(self._zone).date():
            return False
        return last_ns < local_midnight_ns(now_ns, self._zone) <= now_ns

    def tick(self, now_ns: int) -> Iterator[GapLine]:
        """A line for a gap that has lasted over the local midnight before this moment, once.

        Of several midnights that went by unseen (the agent was stopped, the box asleep) the newest has a line: it says
        what theirs would have said.
        """
        gap = self.open_gap
        if gap is None:
            return
        midnight = from_ns(local_midnight_ns(now_ns, self._zone))
        if gap.start < midnight and (self._midnight is None or self._midnight < midnight):
            self._midnight = midnight
            yield GapLine("midnight", replace(gap, end=midnight))

    def _new(self, cause: GapCause, at: datetime, detail: str | None) -> Gap:
        return Gap(uuid7(to_ns(at) // 1_000_000), self._source, at, None, cause, detail)

    def _filled(self, part: SegmentFill) -> Gap:
        """Behind a cut the rest is a gap of its own: what is missing in a file is listed in that file."""
        held, self._held = self._held, None
        gap = self._new(part.cause, part.start, part.detail) if held is None else held
        return replace(gap, start=part.start, end=part.end, filled_samples=part.samples)

    def _break(self, item: Break) -> Iterator[GapLine]:
        if item.cause is GapCause.CLOCK_STEP:
            # Whether time is missing or twice there shows when the audio goes on.
            self._stepped = item
            return
        self._stepped = None
        yield from self.begin(item.cause, from_ns(item.at_ns), item.detail)

    def _opened(self, part: SegmentOpen) -> Iterator[Entry]:
        stepped, self._stepped = self._stepped, None
        if stepped is not None and part.start > from_ns(stepped.at_ns):
            yield from self.begin(stepped.cause, from_ns(stepped.at_ns), stepped.detail)
        gap = self.open_gap
        if gap is not None:
            gap = replace(gap, end=max(gap.start, part.start))
            yield from self._end(part.start)
        yield replace(part, gap_before=gap)

    def _end(self, at: datetime) -> Iterator[GapLine]:
        assert self.open_gap is not None
        gap, self.open_gap = self.open_gap, None
        yield GapLine("end", replace(gap, end=max(gap.start, at)))


def filled_lines(gap: Gap) -> Iterator[GapLine]:
    """The lines of a gap that is over and filled. Both say that it is filled: it never lasts."""
    yield GapLine("begin", replace(gap, end=None))
    yield GapLine("end", gap)


def broken_gap(source: str, start: datetime, end: datetime, packets: int, samples: int) -> Gap:
    """The gap of packets that are stored as they came, but cannot be decoded: `samples` by their headers."""
    detail = "a packet that cannot be decoded" if packets == 1 else f"{packets} packets that cannot be decoded"
    identifier = uuid7(to_ns(start) // 1_000_000)
    return Gap(identifier, source, start, end, GapCause.CORRUPT, detail, filled_samples=samples)


def _replaces(new: GapCause, old: GapCause) -> bool:
    """Whether a gap of cause `old` ends where `new` sets in; otherwise the first cause of an outage stands."""
    if new is old:
        return False
    if new is GapCause.STARTING:
        return old in _NOT_ASKED
    if new is GapCause.AGENT_STOPPED:
        return old not in _NOT_ASKED
    return new in _NOT_ASKED or old in _GIVES_WAY
