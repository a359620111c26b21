"""When the samples of a run were made, from when they arrived. Pure.

Audio cannot arrive before it existed. Each arrival therefore gives an upper bound for the time of its last sample,
and the smallest lateness over a while is the best one: bursts, stalls and slow reads only ever come later. A line laid
under the arrivals follows the drift of the card as well: the support line of least total distance, an edge of the
lower convex hull (Moon, Skelly, Towsley: Estimation and removal of clock skew from network delay measurements,
INFOCOM 1999).
"""

from collections import deque

NS = 1_000_000_000
_STILL_NS = 250_000_000
_HOLD_MAX_NS = 2 * NS
_MOVES_NS = 1_000_000
_BUCKET_NS = NS
_SLOPE_FROM_S = 60.0
_SLOPE_MAX = 300e-6
_LOST_NS = 50_000_000
_LOST_FOR_NS = 3 * NS
_PAUSE_NS = NS

Point = tuple[float, float]


class Lateness:
    """The clock of one run. Times are nanoseconds of boottime; samples count from the run's first.

    `window_s` is how far back arrivals are looked at.
    """

    def __init__(self, sample_rate_hz: int, *, window_s: int = 600) -> None:
        self._rate = sample_rate_hz
        self._origin_ns = 0
        self._first_ns: int | None = None
        self._improved_ns = 0
        self._last_ns = 0
        self._stands_still = False
        self._best_ns = 0.0
        self._buckets: deque[Point] = deque(maxlen=window_s)
        self._bucket_ends_ns = 0
        self._bucket: Point | None = None
        self._offset_ns, self._slope = 0.0, 0.0
        self._behind_since_ns: int | None = None

    def arrived(self, samples_end: int, at_ns: int) -> None:
        """The sample before number `samples_end` was there at `at_ns`."""
        if self._first_ns is None:
            self._first_ns = self._origin_ns = self._improved_ns = at_ns
            self._bucket_ends_ns = at_ns + _BUCKET_NS
            self._best_ns = self._late_ns(samples_end, at_ns)
        elif at_ns > self._last_ns:
            # Judged here, because a read may hold many packets, and the last of them is the one that counts.
            self._stands_still = self._last_ns - self._improved_ns >= _STILL_NS
        late_ns = self._late_ns(samples_end, at_ns)
        paused_ns, self._last_ns = at_ns - self._last_ns, at_ns
        if late_ns < self._best_ns - _MOVES_NS:
            self._improved_ns = at_ns
        self._best_ns = min(self._best_ns, late_ns)
        self._remember(samples_end / self._rate, late_ns, at_ns)
        behind_ns = at_ns - self.boottime_ns(samples_end)
        if behind_ns < _LOST_NS:
            self._behind_since_ns = None
        elif self._behind_since_ns is None or paused_ns > _PAUSE_NS:
            # Nothing came during a pause, so it says nothing of how late the arrivals are.
            self._behind_since_ns = at_ns

    @property
    def settled(self) -> bool:
        """Whether the estimate has stood still for 250 ms, or there has been 2 s of waiting for that."""
        if self._first_ns is None:
            return False
        return self._stands_still or self._last_ns - self._first_ns >= _HOLD_MAX_NS

    @property
    def lost(self) -> bool:
        """Whether every arrival of the last 3 s was more than 50 ms late.

        A reader that was held up catches up within one burst; a card that lost samples never does.
        """
        return self._behind_since_ns is not None and self._last_ns - self._behind_since_ns >= _LOST_FOR_NS

    @property
    def drift_ppm(self) -> float | None:
        """How much faster the card's clock runs than ours, in parts per million; None before it can be told."""
        if not self._buckets or self._buckets[-1][0] - self._buckets[0][0] < _SLOPE_FROM_S:
            return None
        return round(-self._slope * 1e6, 1)

    def boottime_ns(self, sample: int) -> int:
        """When sample number `sample` was made, as far as is known now."""
        seconds = sample / self._rate
        return self._origin_ns + round(seconds * NS + self._offset_ns + self._slope * seconds * NS)

    def _late_ns(self, samples_end: int, at_ns: int) -> float:
        return at_ns - self._origin_ns - samples_end * NS / self._rate

    def _remember(self, x_s: float, late_ns: float, at_ns: int) -> None:
        if at_ns >= self._bucket_ends_ns:
            if self._bucket is not None:
                self._buckets.append(self._bucket)
                self._offset_ns, self._slope = support_line(list(self._buckets))
            self._bucket = None
            self._bucket_ends_ns = at_ns + _BUCKET_NS
        if self._bucket is None or late_ns < self._bucket[1]:
            self._bucket = (x_s, late_ns)
        if self._buckets:
            # A new smallest lateness holds at once: the line moves down to it.
            self._offset_ns = min(self._offset_ns, late_ns - self._slope * x_s * NS)
        else:
            self._offset_ns, self._slope = self._best_ns, 0.0


def support_line(points: list[Point]) -> tuple[float, float]:
    """Offset (ns) and slope of the line below all points (s, ns) with the least total distance to them.

    Points are in order of their first coordinate. Below a minute of them the slope is 0; it never exceeds 300 ppm,
    so that a lasting delay is not taken for a clock that is wildly off.
    """
    if points[-1][0] - points[0][0] < _SLOPE_FROM_S:
        return min(late for _, late in points), 0.0
    hull: list[Point] = []
    for point in points:
        while len(hull) > 1 and _turns_right(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    middle = sum(x for x, _ in points) / len(points)
    right = next(i for i, (x, _) in enumerate(hull) if x >= middle)
    (x0, y0), (x1, y1) = hull[right - 1], hull[right]
    slope = max(-_SLOPE_MAX, min(_SLOPE_MAX, (y1 - y0) / ((x1 - x0) * NS)))
    return min(late - slope * x * NS for x, late in points), slope


def _turns_right(a: Point, b: Point, c: Point) -> bool:
    """Whether b lies on or above the line from a to c, and so not on the lower hull."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
