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
_HOLD_BEHIND_LOSS_NS = 5 * NS // 2
"""Behind a loss within a run the reads come at their pace, and only one in two seconds is prompt (pace.py)."""
_MOVES_NS = 1_000_000
_BUCKET_NS = NS
_SLOPE_FROM_S = 60.0
_STATED_FROM_S = 300.0
"""The line follows the drift after a minute; it is stated when it is right to a few ppm."""
_SLOPE_MAX = 300e-6
_LOST_NS = 50_000_000
_LOST_FOR_NS = 3 * NS
_PAUSE_NS = NS
_LOSING_NS = NS // 2
"""What was read last before a loss is only a little late, and says nothing of its length."""
_FIT_SHARE = 60
"""The line is laid anew when a 60th of its points have come since: with 10 minutes of them every 10 s."""

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
        self._last_ns, self._last_x_s = 0, 0.0
        self._stands_still = False
        self._hold_ns: int | None = None
        self._best_ns = 0.0
        self._buckets: deque[Point] = deque(maxlen=window_s)
        self._bucket_ends_ns = 0
        self._bucket: Point | None = None
        self._buckets_since_fit = 0
        self._offset_ns, self._slope = 0.0, 0.0
        self._drift_ppm: float | None = None
        self._behind_since_ns: int | None = None
        self._behind_ns: int | None = None

    def behind_loss(self) -> "Lateness":
        """A clock for what the same card delivers behind a loss: it runs as fast as before, but starts anew."""
        after = Lateness(self._rate, window_s=self._buckets.maxlen or 1)
        after._slope, after._drift_ppm = self._slope, self.drift_ppm
        after._hold_ns = _HOLD_BEHIND_LOSS_NS
        return after

    def arrived(self, samples_end: int, at_ns: int) -> None:
        """The sample before number `samples_end` was there at `at_ns`."""
        if self._first_ns is None:
            self._first_ns = self._origin_ns = self._improved_ns = at_ns
            self._bucket_ends_ns = at_ns + _BUCKET_NS
            self._best_ns = self._late_ns(samples_end, at_ns)
            self._offset_ns = self._best_ns - self._slope * samples_end / self._rate * NS
        elif at_ns > self._last_ns:
            # Judged here, because a read may hold many packets, and the last of them is the one that counts.
            self._stands_still = self._last_ns - self._improved_ns >= _STILL_NS
        late_ns = self._late_ns(samples_end, at_ns)
        paused_ns, self._last_ns, self._last_x_s = at_ns - self._last_ns, at_ns, samples_end / self._rate
        if late_ns < self._best_ns - _MOVES_NS:
            self._improved_ns = at_ns
        self._best_ns = min(self._best_ns, late_ns)
        self._remember(self._last_x_s, late_ns, at_ns)
        behind_ns = at_ns - self.boottime_ns(samples_end)
        if behind_ns < _LOST_NS:
            self._behind_since_ns = None
        elif self._behind_since_ns is None or paused_ns > _PAUSE_NS:
            # Nothing came during a pause, so it says nothing of how late the arrivals are.
            self._behind_since_ns, self._behind_ns = at_ns, None
        elif at_ns - self._behind_since_ns > _LOSING_NS:
            self._behind_ns = behind_ns if self._behind_ns is None else min(self._behind_ns, behind_ns)

    @property
    def stands_still(self) -> bool:
        """Whether nothing has come early for 250 ms: a burst is over."""
        return self._stands_still

    @property
    def settled(self) -> bool:
        """Whether the estimate has stood still for 250 ms, or there has been 2 s of waiting for that; behind a loss,
        whether there has been a prompt arrival for certain."""
        if self._first_ns is None:
            return False
        if self._hold_ns is not None:
            return self._last_ns - self._first_ns >= self._hold_ns
        return self.stands_still or self._last_ns - self._first_ns >= _HOLD_MAX_NS

    @property
    def lost(self) -> bool:
        """Whether every arrival of the last 3 s was more than 50 ms late.

        A reader that was held up catches up within one burst; a card that lost samples never does.
        """
        return self._behind_since_ns is not None and self._last_ns - self._behind_since_ns >= _LOST_FOR_NS

    def take_loss(self) -> None:
        """Believe that samples are `lost`: from here on they are as late as the least late of those 3 s."""
        self._drift_ppm = self.drift_ppm
        self._offset_ns += self._behind_ns or 0
        self._behind_since_ns = None
        self._buckets.clear()
        self._buckets.append((self._last_x_s, self._offset_ns + self._slope * self._last_x_s * NS))
        self._bucket = None
        self._buckets_since_fit = 0

    @property
    def drift_ppm(self) -> float | None:
        """How much faster the card's clock runs than ours, in parts per million; None before it can be told."""
        if not self._buckets or self._buckets[-1][0] - self._buckets[0][0] < _STATED_FROM_S:
            return self._drift_ppm
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
                self._buckets_since_fit += 1
                if self._buckets_since_fit * _FIT_SHARE >= len(self._buckets):
                    self._buckets_since_fit = 0
                    self._offset_ns, self._slope = support_line(list(self._buckets), slope=self._slope)
            self._bucket = None
            self._bucket_ends_ns = at_ns + _BUCKET_NS
        if self._bucket is None or late_ns < self._bucket[1]:
            self._bucket = (x_s, late_ns)
        # A new smallest lateness holds at once: the line moves down to it.
        self._offset_ns = min(self._offset_ns, late_ns - self._slope * x_s * NS)


def support_line(points: list[Point], *, slope: float = 0.0) -> tuple[float, float]:
    """Offset (ns) and slope of the line below all points (s, ns) with the least total distance to them.

    Points are in order of their first coordinate. Below a minute of them the slope is the given one; it never exceeds
    300 ppm, so that a lasting delay is not taken for a clock that is wildly off.
    """
    if points[-1][0] - points[0][0] < _SLOPE_FROM_S:
        return min(late - slope * x * NS for x, late in points), slope
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
