"""Pages of gaps: exactly those that fit, and no more steps than they need, however long the ledger is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import GapCause
from archive_api.index.gap_row import GapRow
from archive_api.index.gaps import GapFilters
from archive_api.index.reader import Reader
from archive_api.index.store import Store
from archive_api.index.walk import Position
from tests.archive.index.rig import FIRST_MS, SETTINGS, reading

KEYS = [("shed", "mic"), ("shed", "yard"), ("barn", "mic")]
HOUR_MS = 3_600_000

moments = st.integers(0, 20).map(lambda hours: FIRST_MS + hours * HOUR_MS)
rows = st.lists(
    st.builds(
        lambda key, start_ms, hours, lasts, cause: GapRow(
            "", key[0], key[1], start_ms, start_ms + hours * HOUR_MS, lasts, cause, cause.missing, 0, None
        ),
        st.sampled_from(KEYS),
        moments,
        st.integers(0, 9),
        st.booleans(),
        st.sampled_from([GapCause.STALL, GapCause.STOPPED]),
    ),
    max_size=12,
).map(lambda many: [replace(row, id=str(number)) for number, row in enumerate(many)])
filters = st.builds(
    GapFilters,
    from_ms=st.none() | moments,
    to_ms=st.none() | moments,
    causes=st.sampled_from([(), (), ("stall",)]),
    is_missing=st.sampled_from([None, None, True, False]),
    newest_first=st.booleans(),
)


def fits(row: GapRow, asked: GapFilters) -> bool:
    return (
        (asked.to_ms is None or row.start_ms < asked.to_ms)
        and (asked.from_ms is None or row.lasts or row.end_ms > asked.from_ms or row.start_ms >= asked.from_ms)
        and (not asked.causes or row.cause in asked.causes)
        and (asked.is_missing is None or row.missing == asked.is_missing)
    )


def walk(reader: Reader, asked: GapFilters, sources: list[tuple[str, str]] | None, limit: int) -> Iterator[GapRow]:
    """All of it, page by page."""
    after = None
    while page := reader.gaps(asked, sources, after, limit):
        yield from page
        after = Position(page[-1].start_ms, page[-1].id)


@given(rows, filters, st.none() | st.lists(st.sampled_from(KEYS), unique=True), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_pages_hold_what_fits_and_nothing_else(
    known: list[GapRow], asked: GapFilters, sources: list[tuple[str, str]] | None, limit: int
) -> None:
    with TemporaryDirectory() as folder, closing(Store(Path(folder) / "index.sqlite", SETTINGS)) as store:
        with store.writing():
            store.put_gaps("mic", known)
        found = list(walk(Reader(store._base), asked, sources, limit))
    fitting = [row for row in known if fits(row, asked) and (sources is None or (row.agent, row.source) in sources)]
    ordered = sorted(fitting, key=lambda row: (row.start_ms, row.id), reverse=asked.newest_first)
    assert [row.id for row in found] == [row.id for row in ordered]


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with a gap of each of two sources every hour of two years; the third has two, one of which lasts."""
    path = tmp_path_factory.mktemp("gaps") / "index.sqlite"
    one = GapRow("", *KEYS[0], FIRST_MS, FIRST_MS + 2000, False, GapCause.STALL, True, 0, None)
    many = [
        replace(one, id=f"{source}-{number}", source=source, start_ms=at_ms, end_ms=at_ms + 2000)
        for number in range(2 * 365 * 24)
        for source in ("mic", "yard")
        for at_ms in [FIRST_MS + number * HOUR_MS]
    ]
    rare = replace(one, agent="barn")
    with closing(Store(path, SETTINGS)) as store, store.writing():
        store.put_gaps(
            "mic", [*many, replace(rare, id="rare"), replace(rare, id="open", start_ms=FIRST_MS + 1, lasts=True)]
        )
    return path


DAYS_MS = [FIRST_MS + day * 24 * HOUR_MS for day in (10, 365, 720)]


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("day_ms", DAYS_MS)
@pytest.mark.parametrize("sources", [None, [KEYS[0]], [KEYS[2]], KEYS])
def test_the_gaps_of_a_day_are_found_without_a_walk_through_the_years(
    years: Path, day_ms: int, sources: list[tuple[str, str]] | None, *, newest_first: bool
) -> None:
    asked = GapFilters(from_ms=day_ms, to_ms=day_ms + 24 * HOUR_MS, newest_first=newest_first)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with reading(years) as reader:
        reader._base.set_progress_handler(count, 10)
        found = reader.gaps(asked, sources, None, 100)
        deep = reader.gaps(asked, sources, Position(day_ms + 12 * HOUR_MS, ""), 100)
    wanted = KEYS if sources is None else sources
    assert len(found) == sum(1 if key == KEYS[2] else 24 for key in wanted)
    assert len(deep) <= len(found)
    assert steps * 10 < 10_000
