"""What a list of gaps is asked for, and the query that answers it. Pure."""

import hashlib
from dataclasses import astuple, dataclass

from agent.model import GapCause
from archive_api.index import ask
from archive_api.index.filters import Position, SourceId
from archive_api.index.schema import GAP
from archive_api.query import check, whole, wrong

NAMES = ("source", "from", "to", "cause", "missing", "order", "limit", "cursor")


@dataclass(frozen=True, slots=True)
class GapFilters:
    """Only gaps that fit all of it; the span is one that a gap has to touch, its end excluded."""

    sources: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    causes: tuple[str, ...] = ()
    is_missing: bool | None = None
    newest_first: bool = True

    @property
    def digest(self) -> str:
        """Stands for these filters."""
        return hashlib.blake2b(repr(("gaps", *astuple(self))).encode(), digest_size=8).hexdigest()


def read(pairs: list[tuple[str, str]]) -> tuple[GapFilters, int, str | None]:
    """Filters, the length of a page, and the cursor if there is one. Raises Problem 400 that names a parameter."""
    sources, rest = ask.sources(pairs)
    given = check(rest, *NAMES)
    causes = tuple(sorted(set(given["cause"].split(",")))) if "cause" in given else ()
    if not set(causes) <= set(GapCause):
        raise wrong("cause", f"cause is to be {', '.join(GapCause)}, or several of them with commas between.")
    from_ms, to_ms = ask.span_ms(given)
    filters = GapFilters(
        sources=sources,
        from_ms=from_ms,
        to_ms=to_ms,
        causes=causes,
        is_missing=None if "missing" not in given else ask.choice(given, "missing", "1", "0") == "1",
        newest_first=ask.choice(given, "order", "desc", "asc") == "desc",
    )
    return filters, whole(given, "limit", 1, ask.LIMIT_MOST) or ask.LIMIT_USUAL, given.get("cursor")


def query(
    filters: GapFilters, sources: list[SourceId] | None, after: Position | None, limit: int
) -> tuple[str, list[object]]:
    """The query for gaps of these sources, or of all, in the order of the page."""
    terms, values = ["TRUE"], list[object]()
    if sources is not None:
        terms.append("(" + " OR ".join(["FALSE", *("agent = ? AND source = ?" for _ in sources)]) + ")")
        values += [name for source in sources for name in source]
    if after is not None:
        terms.append(f"(start_ms, id) {'<' if filters.newest_first else '>'} (?, ?)")
        values += [after.start_ms, after.file]
    if filters.to_ms is not None:
        terms.append("start_ms < ?")
        values.append(filters.to_ms)
    if filters.from_ms is not None:
        terms.append("(lasts OR end_ms > ? OR start_ms >= ?)")
        values += [filters.from_ms, filters.from_ms]
    if filters.causes:
        terms.append(f"cause IN ({', '.join('?' * len(filters.causes))})")
        values += filters.causes
    if filters.is_missing is not None:
        terms.append("missing" if filters.is_missing else "NOT missing")
    order = "DESC" if filters.newest_first else "ASC"
    text = f"SELECT {GAP} FROM gaps WHERE {' AND '.join(terms)} ORDER BY start_ms {order}, id {order} LIMIT ?"  # noqa: S608
    return text, [*values, limit]
