"""Times as they are written: whole milliseconds, rounded once, RFC 3339."""

from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_ns(utc_ns: int) -> datetime:
    """Aware UTC from nanoseconds since 1970, rounded to the nearest millisecond (halves up)."""
    return _EPOCH + timedelta(milliseconds=(utc_ns + 500_000) // 1_000_000)


def ms_from(utc_ns: int) -> int:
    """Milliseconds from nanoseconds, rounded as `from_ns` does."""
    return (utc_ns + 500_000) // 1_000_000


def ms_of(at: datetime) -> int:
    """Milliseconds since 1970 of an aware time, rounded as `from_ns` does."""
    return ms_from(to_ns(at))


def to_ns(at: datetime) -> int:
    """Nanoseconds since 1970 of an aware time."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def to_ms(at: datetime) -> datetime:
    """The same moment in UTC, rounded to the nearest millisecond."""
    return from_ns(to_ns(at))


def rfc3339(at: datetime) -> str:
    """`2026-11-22T13:00:00.000Z`."""
    return to_ms(at).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def rfc3339_local(at: datetime, tz: tzinfo) -> str:
    """`2026-11-22T14:00:00.000+01:00`: the box's clock, with its offset at that moment."""
    return to_ms(at).astimezone(tz).isoformat(timespec="milliseconds")


def parse(text: str) -> datetime:
    """An aware UTC time from RFC 3339; ValueError for anything else, a time without offset included."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no offset to UTC")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is no time that a calendar has in UTC") from error
