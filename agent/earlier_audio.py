"""What has been recorded already of the time where a segment begins: after the wall clock was set back. Pure but for
the question to the disk.

Time that lies behind all that was ever recorded needs no question. Otherwise the disk is asked for a stretch of time,
as much as the open segment needs and an hour more, however far back the clock was set.
"""

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime

from agent.archive_format.coverage import Span, merged
from agent.archive_format.times import from_ns, to_ns

Ask = Callable[[datetime, datetime], Iterable[tuple[datetime, datetime]]]
_AHEAD_NS = 3_600_000_000_000
_RECENT = 64
"""So many stretches without a break are remembered: what was closed last may not be on disk yet."""


class EarlierAudio:
    """Times are nanoseconds of UTC. `ended` is when the audio ended that was recorded last before; `recorded_in` tells
    start and end of the segments on disk that lie in a stretch of time."""

    def __init__(self, ended_ns: int, recorded_in: Ask) -> None:
        self._latest_ns = ended_ns
        self._recorded_in = recorded_in
        self._recent: deque[Span] = deque(maxlen=_RECENT)
        self._on_disk: list[Span] = []
        self._asked: Span = (0, 0)

    def put(self, span: Span) -> None:
        """Audio that was recorded just now, from its first moment to its last."""
        self._latest_ns = max(self._latest_ns, span[1])
        if self._recent and self._recent[-1][1] == span[0]:
            self._recent[-1] = self._recent[-1][0], span[1]
        else:
            self._recent.append(span)

    def reached_ns(self, span: Span) -> int:
        """How far the audio reaches that lies in a stretch of time; its begin where there is none."""
        begin_ns, end_ns = span
        if begin_ns >= self._latest_ns:
            return begin_ns
        if not self._asked[0] <= begin_ns < end_ns <= self._asked[1]:
            self._asked = begin_ns, end_ns + _AHEAD_NS
            found = self._recorded_in(*map(from_ns, self._asked))
            self._on_disk = [(to_ns(start), to_ns(end)) for start, end in found]
        there = merged([*self._recent, *self._on_disk])
        return max((until for since, until in there if since < end_ns and until > begin_ns), default=begin_ns)
