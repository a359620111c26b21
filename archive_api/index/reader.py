"""The index as who asks sees it."""

import sqlite3
from dataclasses import dataclass
from typing import Any

from agent.archive_format.coverage import Hole, Span
from archive_api.index.filters import Filters, query
from archive_api.index.gap_row import GapRow, hole
from archive_api.index.gaps import GapFilters, queries
from archive_api.index.row import Row
from archive_api.index.schema import GAP, ROW
from archive_api.index.walk import Position, SourceId

_BY_SOURCE = "INDEXED BY by_source WHERE agent = ? AND source = ?"
"""Along an index that has all that days are made of: a year of rows themselves are many times as many pages."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The sums of some recordings."""

    segments: int
    bytes: int
    loud_events: int


@dataclass(frozen=True, slots=True)
class Total:
    """All of one source: how many files and bytes (open ones count none), and its first and its latest recording."""

    agent: str
    source: str
    segments: int
    bytes: int
    first: Row
    last: Row


class Reader:
    """A connection for one request. Rows come without their lists."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def closed(self, filters: Filters, sources: list[SourceId] | None, after: Position | None, limit: int) -> list[Row]:
        """At most `limit` recordings of these sources (None: of all, and of nobody) that are not open, in order."""
        longest_ms = self._longest_ms("segments")
        rows: list[Row] = []
        for source in [None] if sources is None else sources:
            asked = query(filters, source, after, longest_ms, limit)
            if asked is not None:
                rows += self._rows(*asked)
        return sorted(rows, key=Position.of, reverse=filters.newest_first)[:limit]

    def open_ones(self) -> list[Row]:
        """Recordings that had not got their name when they were last looked at."""
        return self._rows(f"SELECT {ROW} FROM segments INDEXED BY open_ones WHERE state = 'open'")  # noqa: S608

    def by_id(self, identity: str) -> Row | None:
        """The recording of this id; should two claim it, the first by name."""
        found = self._rows(f"SELECT {ROW} FROM segments WHERE id = ? ORDER BY file LIMIT 1", [identity])  # noqa: S608
        return found[0] if found else None

    def source_ids(self) -> list[SourceId]:
        """Every source of which there is something."""
        query = "SELECT agent, source FROM sums UNION SELECT agent, folder FROM ledgers ORDER BY agent, source"
        return self._base.execute(query).fetchall()

    def recorded(self, key: SourceId, within: Span) -> list[Span]:
        """Where the recordings of a source that are not open lie, those whose audio was deleted too."""
        query = f"SELECT start_ms, end_ms FROM segments {_BY_SOURCE}"  # noqa: S608 - our own names
        query += " AND start_ms >= ? AND start_ms < ? AND end_ms > ? AND state != 'open'"
        edge_ms = within[0] - self._longest_ms("segments")
        return self._base.execute(query, (*key, edge_ms, within[1], within[0])).fetchall()

    def counted(self, key: SourceId, within: Span) -> Counted:
        """How many recordings of a source begin in a span, are not open, and are still there; what they add up to."""
        query = "SELECT count(*), ifnull(sum(bytes), 0), ifnull(sum(loud_events), 0)"
        query += f" FROM segments {_BY_SOURCE} AND start_ms >= ? AND start_ms < ? AND state NOT IN ('open', 'deleted')"
        return Counted(*self._base.execute(query, (*key, *within)).fetchone())

    def gaps(
        self, filters: GapFilters, sources: list[SourceId] | None, after: Position | None, limit: int
    ) -> list[GapRow]:
        """At most `limit` gaps of these sources (None: of all), in order."""
        longest_ms = self._longest_ms("gaps")
        rows: list[GapRow] = []
        for source in [None] if sources is None else sources:
            for asked in queries(filters, source, after, longest_ms, limit):
                rows += self._gaps(*asked)
        return sorted(rows, key=lambda gap: (gap.start_ms, gap.id), reverse=filters.newest_first)[:limit]

    def holes(self, key: SourceId, within: Span) -> list[Hole]:
        """The gaps of a source that touch a span, as far as the ledger knows them; the one that lasts is left out."""
        query = "SELECT start_ms, end_ms, cause, filled_samples FROM gaps INDEXED BY gaps_by_source"
        query += " WHERE agent = ? AND source = ? AND start_ms >= ? AND start_ms < ? AND end_ms > ? AND id IS NOT ?"
        edge_ms, lasting = within[0] - self._longest_ms("gaps"), self.lasting_gap(key)
        values = (*key, edge_ms, within[1], within[0], lasting and lasting.id)
        return [hole(*found) for found in self._base.execute(query, values)]

    def lasting_gap(self, key: SourceId) -> GapRow | None:
        """The gap of a source that lasts: there is one at a time, wherever the wall clock has put the others."""
        query = f"SELECT {GAP} FROM gaps WHERE agent = ? AND source = ? AND lasts ORDER BY start_ms DESC LIMIT 1"  # noqa: S608
        found = self._gaps(query, [*key])
        return found[0] if found else None

    def _longest_ms(self, table: str) -> int:
        longest = self._base.execute(f"SELECT max(end_ms - start_ms) FROM {table}").fetchone()[0]  # noqa: S608
        return longest or 0

    def totals(self) -> list[Total]:
        """What there is of every source."""
        sums = self._base.execute("SELECT agent, source, segments, bytes FROM sums ORDER BY agent, source").fetchall()
        return [
            Total(agent, source, segments, size, *self._edges(agent, source)) for agent, source, segments, size in sums
        ]

    def _edges(self, agent: str, source: str) -> tuple[Row, Row]:
        text = (
            f"SELECT {ROW} FROM segments INDEXED BY by_source_there WHERE agent = ? AND source = ?"  # noqa: S608
            " AND state != 'deleted' ORDER BY start_ms {0}, file {0} LIMIT 1"
        )
        first, last = (self._rows(text.format(order), [agent, source])[0] for order in ("ASC", "DESC"))
        return first, last

    def _gaps(self, text: str, values: list[object]) -> list[GapRow]:
        return [GapRow(*found) for found in self._base.execute(text, values)]

    def _rows(self, text: str, values: list[Any] | None = None) -> list[Row]:
        return [Row(*found) for found in self._base.execute(text, values or [])]
