"""An index under test: the real store and scanner over a real folder, and everything that is in it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent import clock
from agent.storage.files import write_whole
from archive_api.index.describe import Box
from archive_api.index.filters import Filters
from archive_api.index.reader import Reader
from archive_api.index.row import COLUMNS, Row
from archive_api.index.scanner import Change, Scanner
from archive_api.index.schema import INSERT_ROW
from archive_api.index.store import Store
from archive_api.index.walk import Position

BOX = Box("shed", ZoneInfo("Europe/Berlin"))
SETTINGS = "test"
HOUR_NS = 3_600_000_000_000
PERIOD_MS = 900_000
FIRST_MS = 1_700_000_000_000


class Scanned:
    """A store and the scanner that keeps it. `ahead_ns` puts its clock ahead, so that all times on disk are old."""

    def __init__(self, recordings: Path, state: Path, *, ahead_ns: int = 0) -> None:
        state.mkdir(exist_ok=True)
        self.path = state / "index.sqlite"
        self.store = Store(self.path, SETTINGS)
        self.changes: list[Change] = []
        self.read: list[str] = []
        self.scanner = Scanner(
            recordings,
            recordings / ".state",
            BOX,
            self.store,
            now_ns=lambda: clock.now().wall_ns + ahead_ns,
            on_change=self.changes.append,
        )

    def everything(self) -> None:
        for _ in self.scanner.everything():
            continue

    def changed_folders(self) -> None:
        for _ in self.scanner.changed_folders():
            continue

    def rows(self) -> list[Row]:
        with reading(self.path) as reader:
            return [*reader.closed(Filters(), None, None, 100_000), *reader.open_ones()]

    def files(self) -> dict[str, str]:
        """File to state."""
        return {row.file: row.state for row in self.rows()}

    def told(self) -> list[tuple[str, str]]:
        """What was told since the last time, as (what, file)."""
        told: list[tuple[str, str]] = [(what, row.file) for what, row in self.changes]
        self.changes.clear()
        return told

    def close(self) -> None:
        self.store.close()


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Reader]:
    with contextlib.closing(sqlite3.connect(path)) as base:
        yield Reader(base)


def content(path: Path) -> dict[str, Any]:
    """Everything that an index says, but for the numbers of its rows and when it looked at what."""
    with contextlib.closing(sqlite3.connect(path)) as base:
        files = dict(base.execute("SELECT row, file FROM segments"))
        return {
            "segments": base.execute(f"SELECT folder, {', '.join(COLUMNS)} FROM segments ORDER BY file").fetchall(),
            "titles": sorted((files[row], *rest) for row, *rest in base.execute("SELECT * FROM titles")),
            "events": sorted((files[row], *rest) for row, *rest in base.execute("SELECT * FROM events")),
            "folders": base.execute("SELECT folder FROM folders ORDER BY folder").fetchall(),
            "sums": base.execute("SELECT * FROM sums ORDER BY agent, source").fetchall(),
        }


def edit(sidecar: Path, **fields: Any) -> None:  # noqa: ANN401
    """Change fields of a sidecar, as the agent would: whole or not at all."""
    write_whole(sidecar, json.dumps({**json.loads(sidecar.read_bytes()), **fields}).encode())


def loud(start: str, *, kind: str = "loud") -> dict[str, Any]:
    """An event as it stands in a sidecar."""
    return {
        "id": f"e{start}",
        "event_type": kind,
        "start": start,
        "end": start,
        "offset_s": 1.5,
        "max_dbfs": -10.0,
    }


def fill(path: Path, count: int, *, settings: str = SETTINGS, first_ms: int = FIRST_MS) -> None:
    """An index with so many made-up recordings of four sources, a quarter of an hour each, one in fifty with sound."""
    with contextlib.closing(Store(path, settings)) as store:
        base = store._base
        with store.writing():
            base.executemany(INSERT_ROW, (("day", "seen", *_made_up(number, first_ms)) for number in range(count)))


def _made_up(number: int, first_ms: int) -> tuple[object, ...]:
    turn, source = divmod(number, 4)
    start_ms = first_ms + turn * PERIOD_MS
    row = replace(
        blank(f"s{source}"),
        file=f"s{source}/s{source}_{start_ms}.flac",
        id=f"id-{number}",
        start_ms=start_ms,
        end_ms=start_ms + PERIOD_MS,
        state="damaged" if number % 997 == 0 else "done",
        peak_dbfs=-20.0 + number % 10,
        loud_events=int(number % 51 == 0),
    )
    return tuple(getattr(row, name) for name in COLUMNS)


def blank(source: str) -> Row:
    """A made-up recording of a quarter of an hour, without a name and a place in time."""
    return Row(
        file=f"{source}/{source}.flac",
        id=source,
        agent="shed",
        source=source,
        container="flac",
        codec="flac",
        start_ms=0,
        end_ms=PERIOD_MS,
        duration_s=PERIOD_MS / 1000,
        bytes=1_000_000,
        samples=43_200_000,
        sample_rate_hz=48_000,
        channels=1,
        state="done",
        reason="boundary",
        missing_s=0.0,
        rms_dbfs=-40.0,
        peak_dbfs=-20.0,
        loud_events=0,
        title=None,
        tz="Europe/Berlin",
    )


def walk(path: Path, filters: Filters, limit: int, sources: list[tuple[str, str]] | None = None) -> list[list[Row]]:
    """All pages of finished recordings."""
    pages: list[list[Row]] = []
    after = None
    with reading(path) as reader:
        while page := reader.closed(filters, sources, after, limit):
            pages.append(page)
            after = Position.of(page[-1])
    return pages
