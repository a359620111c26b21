"""Where the wall clock cuts: period boundaries in local time, through every change of it. Pure.

Boundaries lie at whole multiples of the period since local midnight. Where a change of the local clock skips an hour,
the boundaries in it are left out; where it repeats an hour, they occur twice.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

NS = 1_000_000_000
DAY_S = 86_400
PERIOD_MIN_S, PERIOD_MAX_S = 5, DAY_S


def nearest_period_s(period_s: float) -> int:
    """The whole number of seconds nearest to `period_s` that divides a day and lies within the limits."""
    fitting = [s for s in range(PERIOD_MIN_S, PERIOD_MAX_S + 1) if DAY_S % s == 0]
    return min(fitting, key=lambda s: (abs(s - period_s), s))


def next_boundary_ns(utc_ns: int, period_s: int, zone: ZoneInfo) -> int:
    """The first boundary later than `utc_ns`, in nanoseconds of UTC."""
    now_s = utc_ns // NS
    offset_s = _offset_s(now_s, zone)
    candidate_s = _next_multiple(now_s + offset_s, period_s) - offset_s
    if _offset_s(candidate_s, zone) == offset_s:
        return candidate_s * NS
    # The local clock changes before the candidate comes: from the change on, the new offset counts.
    change_s = _change_s(now_s, candidate_s, zone)
    new_offset_s = _offset_s(change_s, zone)
    return (_next_multiple(change_s + new_offset_s - 1, period_s) - new_offset_s) * NS


def local_midnight_ns(utc_ns: int, zone: ZoneInfo) -> int:
    """When the local day that holds `utc_ns` began; the first moment of the day where midnight itself is skipped."""
    day = datetime.fromtimestamp(utc_ns // NS, zone).date()
    before = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=26)
    # Offsets lie within a day of UTC: from 26 hours before, at most two midnights away, the day's own comes first.
    at_ns = int(before.timestamp()) * NS
    while datetime.fromtimestamp(at_ns // NS, zone).date() < day:
        at_ns = next_midnight_ns(at_ns, zone)
    return at_ns


def next_midnight_ns(utc_ns: int, zone: ZoneInfo) -> int:
    """When the local day ends that holds `utc_ns`: the first moment of a later date."""
    day = datetime.fromtimestamp(utc_ns // NS, zone).date()
    low, high = utc_ns // NS, utc_ns // NS + 2 * DAY_S
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).date() > day:
            high = middle
        else:
            low = middle
    return high * NS


def _offset_s(utc_s: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(utc_s, zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _next_multiple(local_s: int, period_s: int) -> int:
    """The first multiple of the period later than `local_s`; local seconds count days of 86 400 s from a midnight."""
    return (local_s // period_s + 1) * period_s


def _change_s(low: int, high: int, zone: ZoneInfo) -> int:
    """The second within (low, high] at which the offset leaves that of `low`."""
    offset_s = _offset_s(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_s(middle, zone) == offset_s:
            low = middle
        else:
            high = middle
    return high
