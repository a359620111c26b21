"""Which of the waiting rows goes next. Pure: it is told the time, and does nothing but choose.

What just happened goes first; a backlog follows at 20 a second. Within a topic the order of the numbers holds, always:
one message of a topic is under way at a time, so that not even a refusal lets a newer one pass.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.mqtt.rows import Kind, Row

WINDOW = 10
LATE_EVENT = "event/late"
_FOR_FRESH = 2
_BACKLOG_PER_S, _BACKLOG_BURST = 20.0, 5.0
_RETRY_S = 300.0


class Lane(NamedTuple):
    """One topic below `src/<source>/`."""

    source: str
    leaf: str


@dataclass(slots=True)
class _Queue:
    rows: deque[Row] = field(default_factory=deque)
    in_flight: Row | None = None
    refused: str | None = None
    again_s: float = 0.0


class Lanes:
    """Every row that waits or is under way. `window` is how many may be under way at once; `fresh_only` leaves the
    backlog for later."""

    def __init__(self) -> None:
        self.window = WINDOW
        self.fresh_only = False
        self._queues: dict[Lane, _Queue] = {}
        self._lane_of: dict[int, Lane] = {}
        self._tokens, self._tokens_at_s = _BACKLOG_BURST, 0.0
        self._bytes = self._count = 0

    @property
    def depth(self) -> int:
        """How many rows there are."""
        return self._count

    @property
    def bytes(self) -> int:
        """How large they are together."""
        return self._bytes

    @property
    def in_flight(self) -> int:
        """How many are sent and not acknowledged."""
        return len(self._lane_of)

    @property
    def refusal(self) -> tuple[Lane, str] | None:
        """A topic that the broker refuses, and its reason."""
        for lane, queue in self._queues.items():
            if queue.refused is not None and (queue.rows or queue.in_flight):
                return lane, queue.refused
        return None

    def add(self, rows: Iterable[Row]) -> None:
        """New rows, in the order of their numbers."""
        for row in rows:
            self._queue(row.source, row.kind).rows.append(row)
            self._bytes += row.size_bytes
            self._count += 1

    def next(self, now_s: float) -> tuple[Row, Lane] | None:
        """What to send now, and where; None where nothing may be sent. To be followed by `sent`."""
        if self.in_flight >= self.window:
            return None
        self._grow_old(now_s)
        heads = [
            (queue.rows[0], lane)
            for lane, queue in self._queues.items()
            if queue.rows and queue.in_flight is None and (queue.refused is None or now_s >= queue.again_s)
        ]
        fresh = min((head for head in heads if not head[0].is_late(now_s)), default=None, key=_number)
        if fresh is not None:
            return fresh
        if not heads or self.fresh_only or self.in_flight >= max(1, self.window - _FOR_FRESH):
            return None
        if not self._may_backlog(now_s):
            return None
        return min(heads, key=_number)

    def sent(self, row: Row, lane: Lane, now_s: float) -> None:
        """The row that `next` chose is under way."""
        queue = self._queues[lane]
        assert queue.in_flight is None
        assert queue.rows[0] is row
        queue.in_flight = queue.rows.popleft()
        self._lane_of[row.seq] = lane
        if row.is_late(now_s):
            self._tokens -= 1

    def acknowledged(self, seq: int) -> None:
        """The broker has it: it is gone."""
        queue = self._queues[self._lane_of.pop(seq)]
        self._forget(queue.in_flight)
        queue.in_flight = queue.refused = None

    def refused(self, seq: int, reason: str, now_s: float) -> Lane:
        """The broker does not want it: its topic waits for five minutes. Returns that topic."""
        lane = self._lane_of.pop(seq)
        queue = self._queues[lane]
        self._back(queue)
        queue.refused, queue.again_s = reason, now_s + _RETRY_S
        return lane

    def lost(self) -> None:
        """The connection is gone, and with it what is known of what was under way; the next one tries all."""
        for lane in self._lane_of.values():
            self._back(self._queues[lane])
        self._lane_of.clear()
        for queue in self._queues.values():
            queue.again_s = 0.0

    def has_fresh(self, now_s: float) -> bool:
        """Whether something that just happened is waiting or under way, where the broker takes it."""
        return any(
            not row.is_late(now_s)
            for queue in self._queues.values()
            if queue.refused is None
            for row in (queue.in_flight, queue.rows[0] if queue.rows else None)
            if row is not None
        )

    def oldest(self) -> Row | None:
        """The row with the smallest number."""
        return min(self._heads(), default=None, key=lambda row: row.seq)

    def surplus(self, rows_max: int, bytes_max: int) -> list[Row]:
        """Which rows have to go so that the rest fits: the oldest events first, then the oldest segments."""
        rows, size, found = self._count, self._bytes, []
        for row in self._waiting() if rows > rows_max or size > bytes_max else ():
            if rows <= rows_max and size <= bytes_max:
                break
            found.append(row)
            rows, size = rows - 1, size - row.size_bytes
        return found

    def older_than(self, is_too_old: Callable[[Row], bool]) -> list[Row]:
        """The waiting rows that are too old."""
        return [row for row in self._waiting() if is_too_old(row)]

    def drop(self, rows: Iterable[Row]) -> None:
        """These waiting rows are not to be sent."""
        going = {row.seq for row in rows}
        for queue in self._queues.values() if going else ():
            for row in queue.rows:
                if row.seq in going:
                    self._forget(row)
            queue.rows = deque(row for row in queue.rows if row.seq not in going)

    def _heads(self) -> Iterator[Row]:
        for queue in self._queues.values():
            if queue.in_flight is not None:
                yield queue.in_flight
            if queue.rows:
                yield queue.rows[0]

    def _waiting(self) -> list[Row]:
        """What is not under way, in the order in which it may be dropped."""
        rows = (row for queue in self._queues.values() for row in queue.rows)
        return sorted(rows, key=lambda row: (row.kind is Kind.SEGMENT, row.seq))

    def _queue(self, source: str, leaf: str) -> _Queue:
        return self._queues.setdefault(Lane(source, leaf), _Queue())

    def _forget(self, row: Row | None) -> None:
        if row is not None:
            self._bytes -= row.size_bytes
            self._count -= 1

    def _back(self, queue: _Queue) -> None:
        if queue.in_flight is not None:
            queue.rows.appendleft(queue.in_flight)
            queue.in_flight = None

    def _grow_old(self, now_s: float) -> None:
        """Events that are no news any more change their topic; not past one of theirs that is under way."""
        for lane, queue in list(self._queues.items()):
            if lane.leaf != Kind.EVENT or queue.in_flight is not None:
                continue
            while queue.rows and queue.rows[0].is_late(now_s):
                self._queue(lane.source, LATE_EVENT).rows.append(queue.rows.popleft())

    def _may_backlog(self, now_s: float) -> bool:
        since_s = max(0.0, now_s - self._tokens_at_s)
        self._tokens = min(_BACKLOG_BURST, self._tokens + since_s * _BACKLOG_PER_S)
        self._tokens_at_s = now_s
        return self._tokens >= 1


LATE_EVENT = "event/late"


def _number(head: tuple[Row, Lane]) -> int:
    return head[0].seq
