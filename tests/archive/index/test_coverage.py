"""Days from the index: the same numbers as the tiling of all that is known, and only what they are made of is read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.coverage import Hole, causes, days_of, sums, tile
from agent.model import GapCause
from archive_api.index.coverage import Asked, days
from archive_api.index.current import Current
from archive_api.index.gap_row import GapRow
from archive_api.index.reader import Reader
from archive_api.index.row import Row, State
from archive_api.index.store import Store
from archive_api.recordings.live import Live
from tests.archive.index.rig import BOX, SETTINGS, blank

HOUR_MS = 3_600_000
FIRST_MS = round(datetime(2026, 10, 23, 22, tzinfo=UTC).timestamp() * 1000)
"""Midnight in Berlin; the second day from here has 25 hours."""
SPAN = FIRST_MS, FIRST_MS + 97 * HOUR_MS
NOW_MS = FIRST_MS + 90 * HOUR_MS
KEY = ("shed", "mic")

moments = st.integers(-30, 100 * 60).map(lambda minutes: FIRST_MS + minutes * 60_000)
lengths = st.integers(0, 40 * 60).map(lambda minutes: minutes * 60_000)
rows = st.lists(
    st.builds(
        lambda start_ms, length_ms, state: replace(
            blank("mic"), start_ms=start_ms, end_ms=start_ms + length_ms, bytes=length_ms, loud_events=2, state=state
        ),
        moments,
        lengths,
        st.sampled_from([State.DONE, State.DONE, State.DAMAGED, State.DELETED, State.OPEN]),
    ),
    max_size=8,
).map(lambda many: [replace(row, file=f"mic/{number}.flac", id=str(number)) for number, row in enumerate(many)])
gaps = st.lists(
    st.builds(
        lambda start_ms, length_ms, cause, lasts, filled: GapRow(
            "", *KEY, start_ms, start_ms + length_ms, lasts, cause, cause.missing, filled, None
        ),
        moments,
        lengths,
        st.sampled_from([GapCause.STALL, GapCause.OVERRUN, GapCause.STOPPED]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([0, 0, 100]),
    ),
    max_size=8,
    unique_by=lambda gap: gap.start_ms,
).map(lambda many: [replace(gap, id=str(number)) for number, gap in enumerate(many)])


@given(rows, gaps)
@settings(max_examples=60, deadline=None)
def test_days_are_the_tiling_of_all_that_is_known(recorded: list[Row], known: list[GapRow]) -> None:
    with TemporaryDirectory() as folder, closing(Store(Path(folder) / "index.sqlite", SETTINGS)) as store:
        with store.writing():
            for row in [*recorded, replace(blank("yard"), start_ms=FIRST_MS, end_ms=SPAN[1])]:
                store.put("mic", row, None)
            store.put_gaps("mic", known)
        current = Current(Path(folder), Live({}, None), BOX, NOW_MS * 1_000_000)
        found = days(Asked(Reader(store._base), current, KEY), SPAN)
    last = max((gap.start_ms for gap in known if gap.lasts), default=None)
    holes = [
        Hole(
            one.start_ms,
            max(one.end_ms, NOW_MS) if one.start_ms == last else one.end_ms,
            GapCause(one.cause),
            one.filled_samples > 0,
        )
        for one in known
    ]
    spans = [(row.start_ms, row.end_ms) for row in recorded if row.state != State.OPEN]
    expected = []
    for day in days_of((SPAN[0], NOW_MS), BOX.zone):
        end_ms = min(day.end_ms, NOW_MS)
        stretches = tile(spans, holes, (day.start_ms, end_ms))
        total = sums(stretches)
        files = [
            row
            for row in recorded
            if day.start_ms <= row.start_ms < end_ms and row.state in (State.DONE, State.DAMAGED)
        ]
        if stretches or files:
            numbers = (total.recorded_ms, total.missing_ms, total.not_asked_ms)
            counts = (len(files), sum(row.bytes for row in files), sum(row.loud_events for row in files))
            expected.append((day.date.isoformat(), numbers, total.completeness_pct, causes(stretches), counts))
    assert [
        (
            day["day"],
            tuple(round(1000 * day[name]) for name in ("recorded_s", "missing_s", "not_asked_s")),
            day["completeness_pct"],
            {cause: round(1000 * length_s) for cause, length_s in day["causes"].items()},
            (day["segments"], day["bytes"], day["loud_events"]),
        )
        for day in found[::-1]
    ] == expected


def test_days_read_no_rows_but_the_index_alone(tmp_path: Path) -> None:
    asked: list[str] = []
    with closing(Store(tmp_path / "index.sqlite", SETTINGS)) as store, closing(sqlite3.connect(store._path)) as base:
        base.set_trace_callback(asked.append)
        reader = Reader(base)
        reader.recorded(KEY, SPAN)
        reader.counted(KEY, SPAN)
        reader.holes(KEY, SPAN)
        base.set_trace_callback(None)
        plans = [
            str(detail)
            for text in asked
            if "start_ms >=" in text
            for *_, detail in base.execute(f"EXPLAIN QUERY PLAN {text}")
        ]
    assert len(plans) == 3
    assert all("USING COVERING INDEX" in plan and "start_ms>" in plan for plan in plans), plans
