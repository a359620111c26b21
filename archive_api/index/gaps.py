"""What a list of gaps is asked for, and the query that answers it. Pure."""

import hashlib
from dataclasses import astuple, dataclass, replace

from agent.model import GapCause
from archive_api.index import ask
from archive_api.index.schema import GAP
from archive_api.index.walk import Position, SourceId, Walk
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


def queries(
    filters: GapFilters, source: SourceId | None, after: Position | None, longest_ms: int, limit: int
) -> list[tuple[str, list[object]]]:
    """The queries for gaps of one source, or of all, each in the order of the page: those of which the ledger tells no
    end touch all that is later, and no other is longer than `longest_ms`, which bounds how far back to walk."""
    walk = Walk("id", filters.newest_first, after, longest_ms)
    walk.of(source)
    walk.until(filters.to_ms)
    if filters.causes:
        walk.have(f"cause IN ({', '.join('?' * len(filters.causes))})", *filters.causes)
    if filters.is_missing is not None:
        walk.have("missing" if filters.is_missing else "NOT missing")
    index = "gaps_by_start" if source is None else "gaps_by_source"
    if filters.from_ms is None:
        return [walk.query(GAP, "gaps", index, limit)]
    lasting = replace(walk, terms=[*walk.terms, "lasts"]).query(GAP, "gaps", "lasting_gaps", limit)
    walk.have("NOT lasts")
    walk.since(filters.from_ms)
    return [lasting, walk.query(GAP, "gaps", index, limit)]
