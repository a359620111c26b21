"""Times as the index has them: whole milliseconds since 1970. Pure."""

from datetime import UTC, datetime, timedelta

LENGTH_MOST_S = 366 * 86400.0
"""A header or a sidecar can tell of any length; one above this is nonsense."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at_ms(ms: int) -> datetime:
    """The aware UTC time. OverflowError where no calendar has it."""
    return _EPOCH + timedelta(milliseconds=ms)
