"""What people write for a moment in the past. Pure."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from agent.archive_format.times import parse
from agent.config.values import duration_s


def since(text: str, now: datetime, zone: tzinfo) -> datetime:
    """The moment that `2026-11-22T13:00:00Z`, `2026-11-22` (its midnight in `zone`) or `7d` (before `now`) names.

    ValueError with what is allowed.
    """
    try:
        return now - timedelta(seconds=duration_s(text))
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
    except ValueError:
        pass
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no moment: a duration like 7d, a date like 2026-11-22, or a time with its offset like "
            "2026-11-22T13:00:00Z is expected"
        ) from error
