"""Between capture and recording: 30 s of what a source said, in order. What does not fit becomes a gap, not a delay.

Audio wakes who waits for it only when the oldest has waited for a fifth of a second: on a small box waking up costs
more than a block, and several are as quickly carried down the line as one. It is stamped already, so nothing but the
moment of writing changes.
"""

import threading
from collections import deque

from agent.model import Block, GapCause, Loss, RunStarted, SourceItem

LIMIT_NS = 30_000_000_000
_TOGETHER_NS = 200_000_000


class CaptureQueue:
    """A bounded queue of one source. `put` never waits. `overflow_cause` is what a loss from now on is put down to."""

    def __init__(self) -> None:
        self._items: deque[SourceItem] = deque()
        self._changed = threading.Condition()
        self._full = False
        self.overflow_cause = GapCause.QUEUE_OVERFLOW
        self.dropped_blocks = 0

    def put(self, item: SourceItem) -> None:
        """Append. Blocks that come while 30 s are waiting are dropped; the first leaves a Loss in its place."""
        with self._changed:
            if isinstance(item, Block):
                oldest = next((other for other in self._items if isinstance(other, Block)), item)
                # Not boottime: while the box sleeps nothing waits.
                waited_ns = item.received_at.monotonic_ns - oldest.received_at.monotonic_ns
                if waited_ns > LIMIT_NS:
                    self.dropped_blocks += 1
                    if not self._full:
                        self._full = True
                        detail = "recording was 30 s behind"
                        self._items.append(Loss(self.overflow_cause, detail, item.received_at))
                    return
                self._full = False
            self._items.append(item)
            if isinstance(item, RunStarted):
                self._full = False  # what is dropped of this run is a loss of its own
            if not isinstance(item, Block) or waited_ns >= _TOGETHER_NS:
                self._changed.notify()

    def get(self, timeout_s: float) -> SourceItem | None:
        """The next item; None when none came in time. Where nothing waits yet, a lone block comes when time is up."""
        with self._changed:
            if not self._items and timeout_s > 0:
                self._changed.wait(timeout_s)
            return self._items.popleft() if self._items else None
