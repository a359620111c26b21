"""How long a year of days takes, the list of sources with today's completeness, and a page of gaps.

    python -m bench.list_days [DAYS]

Four sources with files of a quarter of an hour; a filled gap in each tenth file, another gap before each seventh.
Prints milliseconds (the best of 9, one connection each as a request has it, its JSON included: neighbours only ever
add) and how many times as long that is as plain sums per day, that count overlaps twice, take SQLite alone.
"""

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from agent import clock
from agent.archive_format.coverage import Span
from agent.model import GapCause
from archive_api.index.coverage import days
from archive_api.index.current import Current
from archive_api.index.gap_row import GapRow
from archive_api.index.gaps import GapFilters
from archive_api.index.reader import Reader
from archive_api.index.sources import asked, sources
from archive_api.index.store import Store
from archive_api.index.walk import SourceId
from archive_api.recordings.live import Live
from tests.archive.index.rig import BOX, PERIOD_MS, SETTINGS, fill

ROUNDS = 9
DAY_MS = 86_400_000
KEYS = [("shed", f"s{number}") for number in range(4)]
CAUSES = (GapCause.DISCONNECTED, GapCause.STALL, GapCause.STOPPED)
PLAIN = f"""
SELECT start_ms / {DAY_MS}, count(*), sum(end_ms - start_ms), sum(bytes), sum(loud_events) FROM segments
INDEXED BY by_source WHERE agent = ?1 AND source = ?2 AND start_ms >= ?3 AND start_ms < ?4 GROUP BY 1
UNION ALL SELECT start_ms / {DAY_MS}, count(*), sum(end_ms - start_ms), 0, 0 FROM gaps
INDEXED BY gaps_by_source WHERE agent = ?1 AND source = ?2 AND start_ms >= ?3 AND start_ms < ?4 GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Year:
    """What is asked."""

    current: Current
    span: Span

    def days(self, keys: list[SourceId], count: int, base: sqlite3.Connection) -> object:
        """The last so many days."""
        known = asked(Reader(base), self.current)
        return [day for key in keys for day in days(known[key], self._last(count))]

    def sums(self, keys: list[SourceId], count: int, base: sqlite3.Connection) -> object:
        """The same, added up by SQLite."""
        return [base.execute(PLAIN, (*key, *self._last(count))).fetchall() for key in keys]

    def sources(self, base: sqlite3.Connection) -> object:
        """All of them."""
        return sources(Reader(base), self.current)

    def gaps(self, filters: GapFilters, keys: list[SourceId] | None, base: sqlite3.Connection) -> object:
        """The first page."""
        return [row.as_json() for row in Reader(base).gaps(filters, keys, None, 101)]

    def _last(self, count: int) -> Span:
        return max(self.span[0], self.span[1] - count * DAY_MS), self.span[1]


def main() -> None:
    """Fill an index and print the table."""
    length = int(sys.argv[1]) if len(sys.argv) > 1 else 365
    count = length * DAY_MS // PERIOD_MS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.sqlite"
        now_ms = clock.now().wall_ns // 1_000_000
        first_ms = now_ms // PERIOD_MS * PERIOD_MS - count * PERIOD_MS
        fill(path, len(KEYS) * count, first_ms=first_ms)
        gaps = [gap for key in KEYS for gap in made_up(key, count, first_ms)]
        with closing(Store(path, SETTINGS)) as store, store.writing():
            store.put_gaps("", gaps)
        print(f"{length} days of {len(KEYS)} sources, {count} recordings and {len(gaps) // len(KEYS)} gaps each\n")
        print(f"{'':34}{'answer':>12}{'plain sums':>12}{'ratio':>8}")
        current = Current(Path(folder), Live({}, None), BOX, now_ms * 1_000_000)
        year = Year(current, (first_ms, now_ms))
        for name, keys, some in (
            ("days, one source", KEYS[:1], length),
            ("days, four sources", KEYS, length),
            ("days, one source, 31 of them", KEYS[:1], 31),
        ):
            answer_ms = measure(path, partial(year.days, keys, some))
            plain_ms = measure(path, partial(year.sums, keys, some))
            print(f"{name:34}{answer_ms:9.1f} ms{plain_ms:9.1f} ms{answer_ms / plain_ms:8.1f}")
        for name, ask in (
            ("sources", year.sources),
            ("gaps, the first 100", partial(year.gaps, GapFilters(), None)),
            ("gaps, the first 100 of one source", partial(year.gaps, GapFilters(), KEYS[:1])),
            ("gaps, those of one day", partial(year.gaps, GapFilters(from_ms=now_ms - DAY_MS, to_ms=now_ms), None)),
        ):
            print(f"{name:34}{measure(path, ask):9.1f} ms")


def measure(path: Path, ask: Callable[[sqlite3.Connection], object]) -> float:
    """Milliseconds of opening the index, one answer, and closing it."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
            json.dumps(ask(base))
        times.append(1000 * (time.perf_counter() - began))
    return min(times)


def made_up(key: SourceId, count: int, first_ms: int) -> Iterator[GapRow]:
    """The gaps of one source."""
    for number in range(count):
        at_ms = first_ms + number * PERIOD_MS
        filled = GapRow(
            id=f"{key[1]}-{number}-filled",
            agent=key[0],
            source=key[1],
            start_ms=at_ms + 60_000,
            end_ms=at_ms + 60_400,
            lasts=False,
            cause=GapCause.OVERRUN,
            missing=True,
            filled_samples=19_200,
            detail=None,
        )
        if number % 10 == 0:
            yield filled
        if number % 7 == 0:
            cause = CAUSES[number % len(CAUSES)]
            between = replace(filled, id=f"{key[1]}-{number}", cause=cause, missing=cause.missing, filled_samples=0)
            yield replace(between, start_ms=at_ms - 2_000, end_ms=at_ms + 2_000)


if __name__ == "__main__":
    main()
