"""How long recordings are kept: the rules of one source."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Retention:
    """The rules for the finished segments of one source, or of all together. None: no such rule, nothing is deleted
    for it. `min_free_bytes` counts on the disk on which the source's folder lies. `ledger_max_age_s` is about what is
    left of segments whose audio is gone: sidecar, level series and lines of the gap ledger.
    """

    max_age_s: float | None = None
    max_size_bytes: int | None = None
    min_free_bytes: int | None = None
    protected_too: bool = False
    ledger_max_age_s: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Kept:
    """A finished segment as retention sees it. `start` is that of its name, or where that is known to be wrong the true
    one; `end` is None where nobody has looked. `disk` is the device on which it lies. What is not `dated` was recorded
    by a clock that was never set, so it has no age."""

    start: datetime
    file: str
    source: str
    bytes: int
    protected: bool = False
    disk: int = 0
    end: datetime | None = None
    dated: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """Segments that a command is about: those of these ids, or those of `source` that touch the time from `start` to
    `end` (excluded)."""

    ids: tuple[str, ...] = ()
    source: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: how many segments were found, and how many of them were changed. `error` is None where all
    could be; `code` is the answer's then."""

    found: int
    changed: int
    error: str | None = None
    code: str = "disk_full"
