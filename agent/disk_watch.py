"""What is said of the disk: a warning before it is short, an alarm when it is, each once. Pure."""

from agent.model import DiskStatus, Notice, NoticeCode, Severity

DEFAULT_MIN_FREE_BYTES = 2_000_000_000
_SHARE = 20
_WARN_HOURS, _CALM_HOURS = 24.0, 30.0
_CALM = 1.1


def min_free_bytes(wanted: int | None, disk_bytes: int) -> int:
    """How much is to be left free: what is wanted, else the smaller of 2 GB and 5 % of the disk."""
    return min(DEFAULT_MIN_FREE_BYTES, disk_bytes // _SHARE) if wanted is None else wanted


class DiskWatch:
    """Told of the disk each second. A notice comes again only after there has been more room for a while."""

    def __init__(self) -> None:
        self._warned = self._alarmed = self._told_full = False

    def look(
        self, status: DiskStatus, min_free: int, *, is_full: bool, deletes: bool, is_idle: bool = False
    ) -> list[Notice]:
        """What is to be said now. `deletes`: retention keeps `min_free` free, so only what it cannot do is news.
        `is_idle`: it is to do so, and does not, because that is (nearly) the whole disk."""
        free, hours = status.free_bytes, status.hours_left
        if free is None:
            return []
        said: list[Notice] = []
        is_soon = not (deletes or is_idle) and (free < 2 * min_free or (hours is not None and hours < _WARN_HOURS))
        if is_soon and not self._warned:
            self._warned = True
            said.append(_low(free, hours, min_free))
        elif self._warned and free >= 2 * _CALM * min_free and (hours is None or hours >= _CALM_HOURS):
            self._warned = False
        if status.is_low and not self._alarmed:
            self._alarmed = True
            text = f"only {_size(free)} are free, less than min_free ({_size(min_free)}); recording goes on"
            text += _IDLE if is_idle else ""
            said.append(Notice(NoticeCode.DISK_MIN_FREE, Severity.ERROR, text, _IDLE_HINT if is_idle else _HINT))
        elif self._alarmed and free >= _CALM * min_free:
            self._alarmed = False
        if is_full and not self._told_full:
            text = f"the disk is full ({_size(free)} are free); what is on it stays whole, new audio is lost"
            said.append(Notice(NoticeCode.DISK_FULL, Severity.ERROR, text, _FULL_HINT))
        self._told_full = is_full
        return said


_HINT = "delete what you do not need, use a larger disk, or let retention delete the oldest (docs/storage.md)"
_IDLE = "; min_free is not acted on, because it is 90 % of the disk or more and would delete every recording"
_IDLE_HINT = "set a smaller retention.min_free (docs/storage.md)"
_FULL_HINT = "make room: recording goes on by itself within 5 s (docs/storage.md)"


def _low(free: int, hours: float | None, min_free: int) -> Notice:
    left = "" if hours is None else f", enough for {hours:g} hours at the rate of the last hour"
    text = f"the disk of the recordings gets short: {_size(free)} are free{left}; the alarm comes at {_size(min_free)}"
    return Notice(NoticeCode.DISK_LOW, Severity.WARNING, text, _HINT)


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1000:.0f} kB"
