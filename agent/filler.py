"""Holds a short break of a card open, and fills it with digital silence once the audio goes on. Pure.

A break is passed on as a Pause, and the segment stays open. When the audio is back in time, so much silence is put in
its place as the clock tells, and every later sample stands at its wall time; else the break is let go, and the segment
ends where the audio did. Streams are never filled, and neither is what was not asked for or ends the line.
"""

from collections.abc import Iterator
from dataclasses import replace

from agent.model import Break, Dated, DatedFrame, DatedSplit, Frame, GapCause, Instant, Pause

_NEVER = (
    GapCause.STOPPED,
    GapCause.SCHEDULED,
    GapCause.AGENT_STOPPED,
    GapCause.AGENT_CRASHED,
    GapCause.CLOCK_STEP,
)
_UNSURE_NS = 10_000_000
"""Less than this is what the clock may err by: nothing is missing then. And so far boottime and wall clock may differ
over a gap; more, and the clock was set in it."""
_DATED_WITHIN_NS = 4_000_000_000
"""So long it may take until audio that goes on is dated (timeline.py), and half a second more."""


class Filler:
    """Fills the breaks of one source that are no longer than `up_to_ns`; with 0 everything passes unchanged."""

    def __init__(self, *, up_to_ns: int) -> None:
        self._up_to_ns = up_to_ns
        self._last: DatedFrame | None = None
        self._held: Break | None = None
        self._since_ns: int | None = None
        self._split: DatedSplit | None = None

    def push(self, item: Dated) -> Iterator[Dated]:
        """What `item`, and a break that was held before it, have become."""
        match item:
            case DatedFrame():
                if self._held is not None:
                    yield from self._goes_on(item)
                yield item
                self._last = item if item.frame.format.bytes_per_sample is not None else None
            case Break() if self._held is not None and item.cause in (GapCause.STARTING, self._held.cause):
                return  # one more try in the same outage
            case Break() if self._may_fill(item):
                assert self._last is not None
                # Where the last sample was said to end, whatever the clock has learned since.
                self._held, self._since_ns = replace(item, at_ns=self._last.end_ns), None
                yield Pause(self._held)
            case Break():
                yield from self.let_go()
                self._last = None
                yield item
            case DatedSplit() if self._held is not None:
                self._split = item
            case _:
                yield item

    def tick(self, now: Instant) -> Iterator[Dated]:
        """Nothing more waits for now: a break that has lasted too long is let go."""
        if self._held is None:
            return
        if self._since_ns is None:
            self._since_ns = now.boottime_ns
        if now.boottime_ns - self._since_ns > self._up_to_ns + _DATED_WITHIN_NS:
            yield from self.let_go()

    def let_go(self) -> Iterator[Break]:
        """The break that is held, for good. It makes a new file as well as any split."""
        held, self._held, self._split = self._held, None, None
        if held is not None:
            self._last = None
            yield held

    def _may_fill(self, item: Break) -> bool:
        return self._up_to_ns > 0 and self._held is None and self._last is not None and item.cause not in _NEVER

    def _goes_on(self, item: DatedFrame) -> Iterator[Dated]:
        assert self._held is not None
        assert self._last is not None
        held, last = self._held, self._last
        missing_ns = item.start_ns - held.at_ns
        last_end_boottime_ns = last.start_boottime_ns + last.end_ns - last.start_ns
        stepped_ns = missing_ns - (item.start_boottime_ns - last_end_boottime_ns)
        is_short = -_UNSURE_NS <= missing_ns <= self._up_to_ns and abs(stepped_ns) <= _UNSURE_NS
        if not is_short or item.frame.format != last.frame.format:
            yield from self.let_go()
            return
        split, self._held, self._split = self._split, None, None
        if missing_ns > _UNSURE_NS:
            yield _silence(held, item, missing_ns)
        if split is not None:
            yield replace(split, at_ns=item.start_ns)


def _silence(held: Break, item: DatedFrame, missing_ns: int) -> DatedFrame:
    """As many samples as the card would have made."""
    rate_hz = item.frame.format.sample_rate_hz * (1 + (item.drift_ppm or 0.0) * 1e-6)
    frame = Frame(b"", round(missing_ns * rate_hz / 1e9), item.frame.format, item.frame.received_at)
    start_boottime_ns = item.start_boottime_ns - missing_ns
    return DatedFrame(frame, held.at_ns, item.start_ns, start_boottime_ns, item.drift_ppm, held)
