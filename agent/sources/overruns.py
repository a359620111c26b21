"""Finds what a card has lost, by the clock. Pure.

What arecord says of an overrun is not enough: its number can be bogus, now and then nothing is missing at all, and
other losses come without a word. The samples tell: after a loss every one of them comes later than its number says, by
as much as was lost. So the audio is held, behind a message or where it comes late, until its lateness is known; then it
goes on, behind a Loss of that many samples, or as if nothing had been.

The monotonic clock is the judge, because it stands still while the box sleeps: a suspend is no overrun.
"""

from collections import deque
from collections.abc import Iterator

from agent.model import Block, GapCause, Loss

NS = 1_000_000_000
_RECENT_NS = 5 * NS
"""Lateness is held against the least of so long. One read in 2 s is prompt (pace.py), and no crystal drifts by more
than a millisecond meanwhile."""
_PROMPT_NS = 5_000_000
"""Behind a message, a block that is no later than this proves that nothing is missing."""
_LOST_NS = 10_000_000
_STILL_NS = 500_000_000
_HOLD_MAX_NS = 2 * NS
_TOGETHER_MAX_NS = 5 * NS
"""A card that overruns again and again is judged now and then all the same."""
_UNSAID_NS = 50_000_000
_UNSAID_FOR_NS = 3 * NS
"""Without a message, only what stays so late for so long is lost: a reader that was held up catches up in one burst."""
_LOSING_NS = NS // 2
"""What was read in the midst of a loss without a message is late by a part of it, and says nothing of its length."""
_MOVES_NS = 1_000_000
_ENOUGH_BLOCKS = 2
_PAUSE_NS = NS
SAID, UNSAID = "the card's buffer overran", "the card fell behind the clock"


class OverrunCheck:
    """The samples of one run. `width` is how many bytes a sample of all channels has."""

    def __init__(self, sample_rate_hz: int, width: int) -> None:
        self._rate, self._width = sample_rate_hz, width
        self._recent: deque[tuple[int, int]] = deque()
        self._samples = 0
        self._checking: str | None = None
        self._held: list[tuple[Block, int]] = []
        self._held_samples = self._fresh_blocks = 0
        self._late_ns = 0
        self._since_ns = self._improved_ns = self._last_ns = 0

    @property
    def checking(self) -> bool:
        """Whether audio is being held: reads should be prompt now."""
        return self._checking is not None

    def reported(self) -> Iterator[Block | Loss]:
        """arecord has spoken of an overrun: what comes from now on may be later than its number says."""
        if self._checking is SAID and self._held_ns < _TOGETHER_MAX_NS:
            # One more while the audio behind the first is judged: what both have cost is judged together, anew.
            self._fresh_blocks = 0
            return
        yield from self.end()
        self._checking = SAID if self._samples else None

    def push(self, block: Block) -> Iterator[Block | Loss]:
        """One block of whole samples; what can go on now."""
        at_ns, samples = block.received_at.monotonic_ns, len(block.data) // self._width
        late_ns = self._lateness_ns(at_ns, self._held_samples + samples) - self._least_ns
        if self._checking is None:
            if not self._samples or late_ns < _UNSAID_NS:
                self._passed(block)
                yield block
                return
            self._checking = UNSAID
        if not self._fresh_blocks or at_ns - self._last_ns > _PAUSE_NS:
            # Nothing came during a pause, so it says nothing of how late the audio is.
            self._since_ns = self._improved_ns = at_ns
            self._late_ns = late_ns
        elif late_ns < self._late_ns - _MOVES_NS:
            self._improved_ns = at_ns
        elif self._checking is UNSAID and self._last_ns - self._since_ns < _LOSING_NS:
            self._late_ns = late_ns
        self._fresh_blocks += 1
        self._held.append((block, late_ns))
        self._held_samples += samples
        self._last_ns, self._late_ns = at_ns, min(self._late_ns, late_ns)
        if late_ns < (_PROMPT_NS if self._checking is SAID else _UNSAID_NS):
            yield from self._release(0)
        elif self._is_certain(at_ns):
            yield from self._release(self._late_ns)

    def end(self) -> Iterator[Block | Loss]:
        """Judge by what is known now, and let go of what is held. Nothing is known without a message, and one
        block may have been read late."""
        is_known = self._checking is SAID and self._fresh_blocks >= _ENOUGH_BLOCKS
        yield from self._release(self._late_ns if is_known else 0)

    @property
    def _held_ns(self) -> int:
        """How long has passed since the first block that is held came."""
        return self._last_ns - self._held[0][0].received_at.monotonic_ns if self._held else 0

    def _is_certain(self, now_ns: int) -> bool:
        if self._checking is UNSAID:
            return now_ns - self._since_ns >= _UNSAID_FOR_NS
        return now_ns - self._improved_ns >= _STILL_NS or now_ns - self._since_ns >= _HOLD_MAX_NS

    def _release(self, late_ns: int) -> Iterator[Block | Loss]:
        held, before = self._held, len(self._held) - self._fresh_blocks
        self._held, self._held_samples, self._fresh_blocks = [], 0, 0
        detail, self._checking = self._checking or SAID, None
        lost = round(late_ns * self._rate / NS) if late_ns >= _LOST_NS else 0
        where = 0 if detail is SAID else _first_so_late(held, late_ns)
        for number, (block, _) in enumerate(held):
            if number == where and lost:
                self._samples += lost
                yield Loss(GapCause.OVERRUN, detail, block.received_at, lost)
            # What came between two messages lay before the second loss: it seems too early now, and proves nothing.
            self._passed(block, proves=number >= before)
            yield block

    def _passed(self, block: Block, *, proves: bool = True) -> None:
        self._samples += len(block.data) // self._width
        if not proves:
            return
        at_ns = block.received_at.monotonic_ns
        late_ns = self._lateness_ns(at_ns, 0)
        if self._recent and late_ns - self._least_ns >= _UNSAID_NS:
            return  # read late: that says nothing of the card
        while self._recent and at_ns - self._recent[0][0] > _RECENT_NS:
            self._recent.popleft()
        self._recent.append((at_ns, late_ns))

    def _lateness_ns(self, at_ns: int, more: int) -> int:
        """When the sample that is `more` behind the last one was read, on a scale where its number says zero."""
        return at_ns - (self._samples + more) * NS // self._rate

    @property
    def _least_ns(self) -> int:
        return min((late_ns for _, late_ns in self._recent), default=0)


def _first_so_late(held: list[tuple[Block, int]], late_ns: int) -> int:
    """The first block that came behind all of the loss."""
    return next((number for number, (_, late) in enumerate(held) if late >= late_ns - _PROMPT_NS), 0)
