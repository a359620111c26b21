"""The clocks of the machine: the only module that asks what time it is."""

import ctypes
import errno
import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.model import Instant

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_TOGETHER_NS = 1_000_000
_TRIES = 5


def now() -> Instant:
    """This moment on all three clocks, read within a millisecond.

    The difference of the clocks is how a step of the wall clock is seen, so a reading during which the thread was put
    aside is taken again; where the box is so busy that none is better, the best of them holds.
    """
    least_ns, best = _read()
    for _ in range(_TRIES - 1):
        if least_ns < _TOGETHER_NS:
            break
        least_ns, best = min((least_ns, best), _read(), key=lambda reading: reading[0])
    return best


def _read() -> tuple[int, Instant]:
    """The three clocks, and within how many nanoseconds they were read."""
    before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    wall_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    monotonic_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    boottime_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return boottime_ns - before_ns, Instant(wall_ns=wall_ns, boottime_ns=boottime_ns, monotonic_ns=monotonic_ns)


def utc_now() -> datetime:
    """This moment as aware UTC."""
    return datetime.now(UTC)


def monotonic_s() -> float:
    """Seconds on a clock that never steps, for deadlines."""
    return time.monotonic()


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2); only `modes` (0: read only) and `status` are used."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


def synchronized() -> bool | None:
    """Whether the kernel holds its clock for synchronised; None where it will not tell (some containers)."""
    timex = _Timex()
    result = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if result < 0:
        return None
    return result != _TIME_ERROR and not timex.status & _STA_UNSYNC


def boot_id() -> str:
    """The kernel's id of this boot; a fresh one where /proc does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(uuid.uuid4())


def box_timezone() -> str | None:
    """IANA name of the box's own time zone, or None where it cannot be known."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    try:
        target = str(Path("/etc/localtime").readlink())
        if "zoneinfo/" in target:
            candidates.append(target.rpartition("zoneinfo/")[2])
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EINVAL):
            raise
    try:
        candidates.append(Path("/etc/timezone").read_text(encoding="ascii").strip())
    except OSError:
        candidates.append("")
    return next((name for name in candidates if name and is_timezone(name)), None)


def is_timezone(name: str) -> bool:
    """Whether `name` is a time zone of the IANA database on this box."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
