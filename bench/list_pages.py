"""How long a page of recordings takes, the first and one deep down, by cursor and by OFFSET.

    python -m bench.list_pages [ROWS]

Prints milliseconds (median of 200, one connection each as a request has it) and deep over first.
"""

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from archive_api.index.filters import Filters
from archive_api.index.reader import Reader
from archive_api.index.row import Row
from archive_api.index.schema import ROW
from archive_api.index.walk import Position
from tests.archive.index.rig import FIRST_MS, PERIOD_MS, fill

LIMIT = 100
ROUNDS = 200
OFFSET = f"SELECT {ROW} FROM segments ORDER BY start_ms DESC, file DESC LIMIT {LIMIT} OFFSET ?"


def measure(path: Path, ask: Callable[[sqlite3.Connection], object]) -> float:
    """Median milliseconds of opening the index, one page, and closing it."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
            ask(base)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def main() -> None:
    """Fill an index and print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    deep = rows * 9 // 10
    middle = Filters(from_ms=FIRST_MS + rows // 8 * PERIOD_MS, to_ms=FIRST_MS + rows // 4 * PERIOD_MS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.sqlite"
        began = time.perf_counter()
        fill(path, rows)
        print(f"{rows} rows written in {time.perf_counter() - began:.1f} s, {path.stat().st_size / 1e6:.0f} MB\n")
        print(f"{'pages of ' + str(LIMIT):34}{'first':>9}{'deep':>9}{'deep/first':>12}")
        for name, filters, sources in (
            ("cursor, everything", Filters(), None),
            ("cursor, one source", Filters(), [("shed", "s1")]),
            ("cursor, four sources", Filters(), [("shed", f"s{number}") for number in range(4)]),
            ("cursor, half of the time", middle, None),
            ("cursor, with sound (1 in 51)", Filters(is_loud=True), None),
            ("cursor, loud peaks (5 in 10)", Filters(min_peak_dbfs=-15), None),
        ):
            with closing(sqlite3.connect(path)) as base:
                every = Reader(base).closed(filters, sources, None, rows)
            after = Position.of(every[len(every) * 9 // 10 - LIMIT])
            first_ms = measure(path, partial(by_cursor, filters, sources, None))
            deep_ms = measure(path, partial(by_cursor, filters, sources, after))
            show(name, first_ms, deep_ms)
        first_ms, deep_ms = (measure(path, partial(by_offset, skipped)) for skipped in (0, deep))
        show("OFFSET, everything", first_ms, deep_ms)


def by_cursor(
    filters: Filters, sources: list[tuple[str, str]] | None, after: Position | None, base: sqlite3.Connection
) -> list[Row]:
    """A page behind a position."""
    return Reader(base).closed(filters, sources, after, LIMIT)


def by_offset(skipped: int, base: sqlite3.Connection) -> list[Row]:
    """A page behind so many rows."""
    return [Row(*row) for row in base.execute(OFFSET, (skipped,))]


def show(name: str, first_ms: float, deep_ms: float) -> None:
    """One line of the table."""
    print(f"{name:34}{first_ms:6.2f} ms{deep_ms:6.2f} ms{deep_ms / first_ms:12.2f}")


if __name__ == "__main__":
    main()
