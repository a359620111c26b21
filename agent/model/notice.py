"""Notices: what somebody should know, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class NoticeCode(StrEnum):
    """What a notice is about: the closed list."""

    RETAINED_COMMAND = "retained_command"
    ACL_READ_DENIED = "acl_read_denied"
    ACL_WRITE_DENIED = "acl_write_denied"
    OUTBOX_NEW = "outbox_new"
    OUTBOX_BROKEN = "outbox_broken"
    OUTBOX_UNWRITABLE = "outbox_unwritable"
    OUTBOX_BLOCKED = "outbox_blocked"
    OUTBOX_OVERFLOW = "outbox_overflow"
    DISK_LOW = "disk_low"
    DISK_MIN_FREE = "disk_min_free"
    DISK_FULL = "disk_full"
    TIMEZONE_GUESSED = "timezone_guessed"
    CLOCK_UNSYNCHRONIZED = "clock_unsynchronized"
    CLOCK_CORRECTED = "clock_corrected"
    SOURCE_LOST = "source_lost"
    SOURCE_RESTORED = "source_restored"


class Problem(StrEnum):
    """What is wrong right now: the closed list of the health topic."""

    SOURCE_ERROR = "source_error"
    DISK_LOW = "disk_low"
    DISK_FULL = "disk_full"
    CLOCK_UNSYNCHRONIZED = "clock_unsynchronized"
    OUTBOX_BLOCKED = "outbox_blocked"
    OUTBOX_DROPPED = "outbox_dropped"
    OUTBOX_UNWRITABLE = "outbox_unwritable"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice. `hint` says what to do; `source` is None where it is about the whole agent."""

    code: NoticeCode
    severity: Severity
    text: str
    hint: str | None = None
    source: str | None = None
