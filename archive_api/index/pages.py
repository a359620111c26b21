"""Pages of recordings: finished ones from the index, open ones as they are now, merged in one order."""

from dataclasses import dataclass

from archive_api.index.current import Current
from archive_api.index.filters import Filters
from archive_api.index.reader import Reader
from archive_api.index.row import Row
from archive_api.index.walk import Position, SourceId


class AmbiguousSourceError(Exception):
    """Several agents have a source of this name."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in order, and where the next page goes on; None at the end."""

    rows: list[Row]
    end: Position | None


def page(reader: Reader, current: Current, filters: Filters, after: Position | None, limit: int) -> Page:
    """The first `limit` recordings that fit and come after a position.

    Raises AmbiguousSourceError, and OSError where the disk is in trouble.
    """
    wanted = meant(reader.source_ids(), filters.sources) if filters.sources else None
    rows = reader.closed(filters, wanted, after, limit + 1)
    looks = (current.look(row) for row in reader.open_ones() if wanted is None or (row.agent, row.source) in wanted)
    for look in looks:
        if look is not None and filters.fits(look[0]) and _is_after(look[0], after, filters):
            rows.append(look[0])
    rows.sort(key=Position.of, reverse=filters.newest_first)
    return Page(rows[:limit], Position.of(rows[limit - 1]) if len(rows) > limit else None)


def _is_after(row: Row, after: Position | None, filters: Filters) -> bool:
    if after is None:
        return True
    return Position.of(row) < after if filters.newest_first else Position.of(row) > after


def meant(there: list[SourceId], names: tuple[str, ...]) -> list[SourceId]:
    """The sources that are meant; a plain name is enough where only one agent has such a source. Raises
    AmbiguousSourceError."""
    wanted: list[SourceId] = []
    for name in names:
        agent, slash, source = name.rpartition("/")
        found = [one for one in there if one[1] == source and (not slash or one[0] == agent)]
        if len(found) > 1:
            raise AmbiguousSourceError(f"{name!r} is a source of {', '.join(agent for agent, _ in found)}")
        wanted += found
    return list(dict.fromkeys(wanted))
