"""Between capture and recording: 30 s of what a source said, in order. What does not fit becomes a gap, not a delay."""

import threading
from collections import deque

from agent.model import Block, GapCause, Loss, SourceItem

LIMIT_NS = 30_000_000_000


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
                waited_ns = item.received_at.boottime_ns - oldest.received_at.boottime_ns
                if waited_ns > LIMIT_NS:
                    self.dropped_blocks += 1
                    if not self._full:
                        self._full = True
                        detail = "recording was 30 s behind"
                        self._items.append(Loss(self.overflow_cause, detail, item.received_at))
                    return
                self._full = False
            self._items.append(item)
            self._changed.notify()

    def get(self, timeout_s: float) -> SourceItem | None:
        """The next item; None when none came in time."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout_s)
            return self._items.popleft() if self._items else None
