"""A walk along an index of the database, in the order of a list and from where its last page ended. Pure."""

from dataclasses import dataclass, field

from archive_api.index.row import Row

SourceId = tuple[str, str]
"""Agent and source."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a page ended; of gaps, `file` is the id. Neither ever changes for a recording, so no later page can repeat
    or miss one."""

    start_ms: int
    file: str

    @classmethod
    def of(cls, row: Row) -> "Position":
        """That of a row."""
        return cls(row.start_ms, row.file)


@dataclass(frozen=True, slots=True)
class Walk:
    """The terms of a query and their values. The list goes by `start_ms`, and where that is the same by `key`; nothing
    in it is longer than `longest_ms`, which bounds how early what reaches into a span can begin."""

    key: str
    newest_first: bool
    after: Position | None
    longest_ms: int
    terms: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def have(self, term: str, *values: object) -> None:
        """One more term."""
        self.terms.append(term)
        self.values.extend(values)

    def of(self, source: SourceId | None) -> None:
        """Only what is of this source; None is all."""
        if source is not None:
            self.have("agent = ?", source[0])
            self.have("source = ?", source[1])

    def until(self, to_ms: int | None) -> None:
        """Begin behind the last page, and end where the span does. Where the last page ended replaces the bound on that
        side: it is the tighter one, and SQLite would start from the other."""
        if self.after is not None:
            earlier = "<" if self.newest_first else ">"
            self.have(f"(start_ms, {self.key}) {earlier} (?, ?)", self.after.start_ms, self.after.file)
        if to_ms is not None and (self.after is None or not self.newest_first):
            self.have("start_ms < ?", to_ms)

    def since(self, from_ms: int | None) -> None:
        """Only what reaches into a span that begins then."""
        if from_ms is None:
            return
        if self.after is None or self.newest_first:
            self.have("start_ms >= ?", from_ms - self.longest_ms)
        self.have("(end_ms > ? OR start_ms >= ?)", from_ms, from_ms)

    def query(self, columns: str, table: str, index: str, limit: int) -> tuple[str, list[object]]:
        """The text of the query and its values. The index is named, because SQLite guesses by how many rows it thinks
        there are of what is rare."""
        order = "DESC" if self.newest_first else "ASC"
        text = (
            f"SELECT {columns} FROM {table} INDEXED BY {index}"  # noqa: S608 - our own names
            f" WHERE {' AND '.join(self.terms or ['TRUE'])} ORDER BY start_ms {order}, {self.key} {order} LIMIT ?"
        )
        return text, [*self.values, limit]
