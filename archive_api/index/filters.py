"""What a list of recordings is asked for, and the queries that answer it. Pure."""

import base64
import binascii
import hashlib
import json
from dataclasses import astuple, dataclass
from typing import Protocol

from archive_api.index.row import LISTED, Row, State
from archive_api.index.schema import ROW
from archive_api.index.walk import Position, SourceId, Walk


class Digested(Protocol):
    """Filters of whatever list."""

    @property
    def digest(self) -> str:
        """Stands for these filters."""
        ...


@dataclass(frozen=True, slots=True)
class Filters:
    """Only recordings that fit all of it. `from_ms` and `to_ms` bound the span that a recording has to touch, the end
    excluded; `sources` are as asked for; `text` is part of a title, in whatever case.
    """

    sources: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    states: frozenset[str] = LISTED
    is_loud: bool | None = None
    min_peak_dbfs: float | None = None
    text: str | None = None
    newest_first: bool = True

    @property
    def digest(self) -> str:
        """Stands for these filters."""
        facts = repr((*astuple(self)[:3], sorted(self.states), *astuple(self)[4:]))
        return hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()

    def fits(self, row: Row) -> bool:
        """Whether a row that is not asked for by a query fits, its source apart."""
        return (
            row.state in self.states
            and (self.to_ms is None or row.start_ms < self.to_ms)
            and (self.from_ms is None or row.end_ms > self.from_ms or row.start_ms >= self.from_ms)
            and (self.is_loud is None or self.is_loud == (row.loud_events > 0))
            and (self.min_peak_dbfs is None or (row.peak_dbfs is not None and row.peak_dbfs >= self.min_peak_dbfs))
            and (self.text is None or any(self.text.casefold() in title.text.casefold() for title in row.titles))
        )


def cursor(filters: Digested, position: Position) -> str:
    """A position as text that only this program reads."""
    data = json.dumps([filters.digest, position.start_ms, position.file], separators=(",", ":"))
    return base64.urlsafe_b64encode(data.encode()).decode().rstrip("=")


def position_of(filters: Digested, text: str) -> Position:
    """The position in a cursor. ValueError where it is none, or one of other filters."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
        digest, start_ms, file = json.loads(data)
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise ValueError("is no cursor of this archive") from error
    if not isinstance(start_ms, int) or abs(start_ms) >= 1 << 62 or not isinstance(file, str):
        raise ValueError("is no cursor of this archive")
    if digest != filters.digest:
        raise ValueError("belongs to a list with other filters; repeat those, or leave the cursor out")
    return Position(start_ms, file.encode("utf-8", "replace").decode())


def query(
    filters: Filters, source: SourceId | None, after: Position | None, longest_ms: int, limit: int
) -> tuple[str, list[object]] | None:
    """The query for finished recordings of one source, or of all; None where none can fit. No recording is longer than
    `longest_ms`."""
    closed = filters.states - {State.OPEN}
    if not closed:
        return None
    walk = Walk("file", filters.newest_first, after, longest_ms)
    walk.of(source)
    walk.until(filters.to_ms)
    walk.since(filters.from_ms)
    walk.have(f"state = '{next(iter(closed))}'" if len(closed) == 1 else f"state IN ({_words(closed)})")
    if filters.is_loud is not None:
        walk.have("loud_events > 0" if filters.is_loud else "loud_events = 0")
    if filters.min_peak_dbfs is not None:
        walk.have("peak_dbfs >= ?", filters.min_peak_dbfs)
    if filters.text is not None:
        walk.have(
            "EXISTS (SELECT 1 FROM titles WHERE segment = segments.row AND instr(folded, ?) > 0)",
            filters.text.casefold(),
        )
    return walk.query(ROW, "segments", _index(filters, closed, source), limit)


def _index(filters: Filters, closed: frozenset[str], source: SourceId | None) -> str:
    name = "by_start" if source is None else "by_source"
    if filters.is_loud:
        return f"{name}_loud"
    rare = next(iter(closed)) if len(closed) == 1 else None
    return f"{name}_{rare}" if rare in (State.DAMAGED, State.DELETED) else name


def _words(states: frozenset[str]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))
