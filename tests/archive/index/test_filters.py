"""Queries: what fits, page by page, each as quick as the first however long the list is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive_api.answers.problem import Problem
from archive_api.index.ask import read
from archive_api.index.filters import Filters, cursor, position_of, query
from archive_api.index.row import Row, State, Title
from archive_api.index.schema import ROW as ROW_COLUMNS
from archive_api.index.store import Store
from archive_api.index.walk import Position
from tests.archive.index.rig import FIRST_MS, PERIOD_MS, SETTINGS, fill, reading, walk

COUNT = 100_000
S1 = [("shed", "s1")]
S12 = [("shed", "s1"), ("shed", "s2")]
MIDDLE = Filters(from_ms=FIRST_MS + 6_000 * PERIOD_MS + 5, to_ms=FIRST_MS + 20_000 * PERIOD_MS + 5)

ROW = Row(
    file="mic/a.flac",
    id="a",
    agent="shed",
    source="mic",
    container="flac",
    codec="flac",
    start_ms=1000,
    end_ms=2000,
    duration_s=1.0,
    bytes=10,
    samples=48000,
    sample_rate_hz=48000,
    channels=1,
    state="done",
    reason="boundary",
    missing_s=0.0,
    rms_dbfs=-40.0,
    peak_dbfs=-20.0,
    loud_events=0,
    title=None,
    tz="UTC",
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 100 000 recordings."""
    path = tmp_path_factory.mktemp("many") / "index.sqlite"
    fill(path, COUNT)
    return path


@pytest.fixture(scope="module")
def everything(many: Path) -> list[Row]:
    """All rows of it."""
    with reading(many) as reader:
        return reader._rows(f"SELECT {ROW_COLUMNS} FROM segments")


CASES = [
    (Filters(), None),
    (Filters(newest_first=False), None),
    (Filters(), S1),
    (Filters(), S12),
    (Filters(newest_first=False), S12),
    (MIDDLE, None),
    (replace(MIDDLE, newest_first=False), None),
    (MIDDLE, S1),
    (replace(MIDDLE, newest_first=False), S1),
    (Filters(is_loud=True), None),
    (replace(MIDDLE, is_loud=True), S1),
    (Filters(is_loud=False), None),
    (Filters(states=frozenset({State.DAMAGED})), None),
    (Filters(states=frozenset({State.DAMAGED}), newest_first=False), None),
    (Filters(states=frozenset({State.DONE})), None),
    (Filters(min_peak_dbfs=-15), S1),
]


@pytest.mark.parametrize(("filters", "sources"), CASES)
def test_every_query_walks_along_an_index(many: Path, filters: Filters, sources: list[tuple[str, str]] | None) -> None:
    of: list[tuple[str, str] | None] = [None] if sources is None else [*sources]
    for source in of:
        for after in (None, Position(FIRST_MS + 15_000 * PERIOD_MS, "s1/x")):
            asked = query(filters, source, after, PERIOD_MS, 100)
            assert asked is not None
            with reading(many) as reader:
                plan = [detail for *_, detail in reader._base.execute(f"EXPLAIN QUERY PLAN {asked[0]}", asked[1])]
            assert not any("TEMP B-TREE" in step for step in plan), plan
            is_bounded = source is not None or after is not None or filters.from_ms is not None
            assert len(plan) == 1
            # Without any bound the whole index is walked, from its end, and no further than the page is long.
            assert plan[0].startswith("SEARCH segments USING INDEX" if is_bounded else "SCAN segments USING INDEX")
            if after is not None:
                assert "(start_ms,file)" in plan[0]


@pytest.mark.parametrize(("filters", "sources"), CASES)
def test_a_deep_page_costs_what_the_first_does(
    many: Path, filters: Filters, sources: list[tuple[str, str]] | None
) -> None:
    whole = [row for page in walk(many, filters, 100_000, sources) for row in page]
    middle = Position.of(whole[len(whole) // 2])
    first, deep = (_steps(many, filters, sources, after) for after in (None, middle))
    assert deep <= 1.3 * first
    assert first < 250_000


def _steps(path: Path, filters: Filters, sources: list[tuple[str, str]] | None, after: Position | None) -> int:
    """Steps of SQLite's machine for a page of 40."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with reading(path) as reader:
        reader._base.set_progress_handler(count, 10)
        assert len(reader.closed(filters, sources, after, 40)) == 40
    return steps


@pytest.mark.parametrize(("filters", "sources"), CASES[::3])
def test_all_pages_together_are_everything_once_and_in_order(
    many: Path, everything: list[Row], filters: Filters, sources: list[tuple[str, str]] | None
) -> None:
    rows = [row for page in walk(many, filters, 999, sources) for row in page]
    wanted = [
        row for row in everything if filters.fits(row) and (sources is None or (row.agent, row.source) in sources)
    ]
    assert len(wanted) > 40
    wanted.sort(key=Position.of, reverse=filters.newest_first)
    assert [row.file for row in rows] == [row.file for row in wanted]


spans = st.integers(0, 50)
made = st.lists(
    st.tuples(spans, st.integers(0, 20), st.sampled_from("ab"), st.booleans(), st.sampled_from([None, -3.0, -30.0])),
    max_size=20,
)


@given(
    made=made,
    low=st.none() | spans,
    high=st.none() | spans,
    is_loud=st.none() | st.booleans(),
    peak=st.none() | st.just(-10.0),
    text=st.none() | st.sampled_from(["é", "La"]),
    newest_first=st.booleans(),
    limit=st.integers(1, 4),
    source=st.none() | st.sampled_from("abc"),
)
def test_queries_find_what_fits(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[tuple[int, int, str, bool, float | None]],
    low: int | None,
    high: int | None,
    is_loud: bool | None,
    peak: float | None,
    text: str | None,
    newest_first: bool,
    limit: int,
    source: str | None,
) -> None:
    path = tmp_path_factory.mktemp("some") / "index.sqlite"
    rows = [
        replace(
            ROW,
            file=f"{number}",
            source=name,
            start_ms=start,
            end_ms=start + length,
            loud_events=int(loud),
            peak_dbfs=level,
            titles=(Title(start, "ÉLAN lalala"),) if loud else (Title(start, "x"), Title(start, "Clé")),
        )
        for number, (start, length, name, loud, level) in enumerate(made)
    ]
    with closing(Store(path, SETTINGS)) as store, store.writing():
        for row in rows:
            store.put("", row, None)
    filters = Filters((), low, high, is_loud=is_loud, min_peak_dbfs=peak, text=text, newest_first=newest_first)
    sources = None if source is None else [("shed", source)]
    found = [row.file for page in walk(path, filters, limit, sources) for row in page]
    wanted = [row for row in rows if filters.fits(row) and source in (None, row.source)]
    assert found == [row.file for row in sorted(wanted, key=Position.of, reverse=newest_first)]


def test_spans_are_half_open() -> None:
    assert Filters(from_ms=1999).fits(ROW)
    assert not Filters(from_ms=2000).fits(ROW)
    assert Filters(to_ms=1001).fits(ROW)
    assert not Filters(to_ms=1000).fits(ROW)
    point = replace(ROW, end_ms=1000)  # of unknown length
    assert Filters(from_ms=1000, to_ms=1001).fits(point)
    assert not Filters(from_ms=1001).fits(point)


@given(st.integers(-(1 << 50), 1 << 50), st.text(), st.booleans())
def test_a_cursor_belongs_to_its_filters(start_ms: int, file: str, newest_first: bool) -> None:
    filters = Filters(("a",), newest_first=newest_first)
    clean = file.encode("utf-8", "replace").decode()
    text = cursor(filters, Position(start_ms, clean))
    assert text.replace("-", "").replace("_", "").isalnum()
    assert position_of(filters, text) == Position(start_ms, clean)
    for other in (Filters(("b",)), replace(filters, newest_first=not newest_first), replace(filters, is_loud=True)):
        with pytest.raises(ValueError, match="other filters"):
            position_of(other, text)


@given(st.text() | st.binary().map(lambda data: cursor(Filters(), Position(0, "x"))[:-1] + data.hex()))
def test_junk_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="cursor|filters"):
        position_of(Filters(is_loud=True), text)


def test_what_can_be_asked() -> None:
    filters, limit, text = read(
        [
            ("source", "shed/mic"),
            ("source", "radio"),
            ("from", "2026-11-22T14:00:00 01:00"),
            ("to", "1795356000.5"),
            ("state", "open,done"),
            ("loud", "1"),
            ("min_peak", "-12.5"),
            ("q", "É"),
            ("order", "asc"),
            ("limit", "7"),
            ("cursor", "x"),
        ]
    )
    assert filters == Filters(
        ("shed/mic", "radio"), 1795352400000, 1795356000500, frozenset({"open", "done"}), True, -12.5, "É", False
    )
    assert (limit, text) == (7, "x")
    assert read([]) == (Filters(), 100, None)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("source", ["", "A", "a/b/c", "../x", "/mic", "mic/"]),
        ("from", ["", "yesterday", "2026-11-22", "2026-11-22T14:00:00", "2026-13-22T14:00:00Z", "1e3", "inf", "-"]),
        ("to", ["2026-11-22 14:00:00", "2026-W47-7T10:00:00Z", "9" * 12, "0001-01-01T00:00:00+23:59"]),
        ("state", ["", "Open", "open,", "lost"]),
        ("loud", ["", "2", "true"]),
        ("min_peak", ["", "loud", "nan", "-inf", "1e2"]),
        ("q", ["", "x" * 201]),
        ("order", ["", "up", "DESC"]),
        ("limit", ["0", "1001", "-1", "ten", ""]),
    ],
)
def test_what_is_not_understood_is_named(name: str, values: list[str]) -> None:
    for value in values:
        with pytest.raises(Problem) as caught:
            read([(name, value)])
        assert caught.value.status == 400
        assert caught.value.extra["errors"][0]["parameter"] == name, value


def test_other_mistakes() -> None:
    mistakes: Iterator[tuple[list[tuple[str, str]], str]] = iter(
        [
            ([("form", "1")], "form"),
            ([("order", "asc"), ("order", "asc")], "order"),
            ([("from", "5"), ("to", "5")], "from"),
            ([("source", "a")] * 65, "source"),
        ]
    )
    for pairs, name in mistakes:
        with pytest.raises(Problem) as caught:
            read(pairs)
        assert caught.value.extra["errors"][0]["parameter"] == name
