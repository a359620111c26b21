"""Query parameters of lists of recordings as filters. Pure."""

import re
from decimal import Decimal

from agent.archive_format.times import ms_of, parse
from archive_api.index.filters import Filters
from archive_api.index.row import LISTED, State
from archive_api.query import check, whole, wrong

NAMES = ("source", "from", "to", "state", "loud", "min_peak", "q", "order", "limit", "cursor")
LIMIT_MOST, LIMIT_USUAL = 1000, 100
_TEXT_MOST = 200
_SOURCES_MOST = 64
_SOURCE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}(/[a-z0-9][a-z0-9-]{0,31})?", re.ASCII)
_EPOCH_S = re.compile(r"-?\d{1,11}(\.\d{1,9})?", re.ASCII)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_PLUS_AS_SPACE = re.compile(r" (?=\d\d:\d\d$)", re.ASCII)
_LEVEL = re.compile(r"[+-]?\d{1,3}(\.\d{1,6})?", re.ASCII)


def read(pairs: list[tuple[str, str]]) -> tuple[Filters, int, str | None]:
    """Filters, the length of a page, and the cursor if there is one. Raises Problem 400 that names a parameter."""
    named, rest = sources(pairs)
    given = check(rest, *NAMES)
    from_ms, to_ms = span_ms(given)
    filters = Filters(
        sources=named,
        from_ms=from_ms,
        to_ms=to_ms,
        states=_states(given),
        is_loud=None if "loud" not in given else choice(given, "loud", "1", "0") == "1",
        min_peak_dbfs=_level_dbfs(given, "min_peak"),
        text=_text(given),
        newest_first=choice(given, "order", "desc", "asc") == "desc",
    )
    return filters, whole(given, "limit", 1, LIMIT_MOST) or LIMIT_USUAL, given.get("cursor")


def sources(pairs: list[tuple[str, str]]) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """The sources that are asked for, each once, and the other parameters. Raises Problem 400."""
    named = tuple(value for name, value in pairs if name == "source")
    if len(named) > _SOURCES_MOST or not all(_SOURCE.fullmatch(source) for source in named):
        raise wrong("source", f"source is to be <agent>/<source> or <source>, at most {_SOURCES_MOST} times.")
    return tuple(dict.fromkeys(named)), [pair for pair in pairs if pair[0] != "source"]


def span_ms(given: dict[str, str]) -> tuple[int | None, int | None]:
    """From and to in milliseconds since 1970; None where one is not given. Raises Problem 400."""
    from_ms, to_ms = _time_ms(given, "from"), _time_ms(given, "to")
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise wrong("from", "from is to be before to.")
    return from_ms, to_ms


def _time_ms(given: dict[str, str], name: str) -> int | None:
    """RFC 3339 with its offset (a `+` may have become a space), or seconds since 1970."""
    text = given.get(name)
    if text is None:
        return None
    if _EPOCH_S.fullmatch(text):
        return round(Decimal(text) * 1000)
    text = _PLUS_AS_SPACE.sub("+", text) if "T" in text.upper() else text
    found = _RFC3339.fullmatch(text)
    if found is not None and found["offset"] is None:
        raise wrong(name, f"{name} has no offset to UTC; write it as 2026-11-22T14:00:00+01:00 or …Z.")
    try:
        if found is None:
            raise ValueError
        return ms_of(parse(text.upper()))
    except ValueError as error:
        detail = f"{name} is to be a time as 2026-11-22T14:00:00+01:00, or seconds since 1970."
        raise wrong(name, detail) from error


def _states(given: dict[str, str]) -> frozenset[str]:
    if "state" not in given:
        return LISTED
    states = frozenset(given["state"].split(","))
    if not states <= frozenset(State):
        raise wrong("state", f"state is to be {', '.join(State)}, or several of them with commas between.")
    return states


def choice(given: dict[str, str], name: str, usual: str, other: str) -> str:
    """One of two words; the usual one where it is not given. Raises Problem 400."""
    value = given.get(name, usual)
    if value not in (usual, other):
        raise wrong(name, f"{name} is to be {usual} or {other}.")
    return value


def _level_dbfs(given: dict[str, str], name: str) -> float | None:
    text = given.get(name)
    if text is None:
        return None
    if not _LEVEL.fullmatch(text.strip()):
        raise wrong(name, f"{name} is to be a level in dBFS, as -12.5.")
    return float(text)


def _text(given: dict[str, str]) -> str | None:
    text = given.get("q")
    if text is not None and not 0 < len(text) <= _TEXT_MOST:
        raise wrong("q", f"q is to have 1 to {_TEXT_MOST} characters.")
    return None if text is None else text.encode("utf-8", "replace").decode()
