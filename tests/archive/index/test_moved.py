"""A recording whose times were corrected stands where it really was: in the order, in the filters, on its day."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from agent.archive_format.sidecar import segment_from
from agent.archive_format.times import ms_of
from agent.clock_correction import corrected_segment, offset_ms
from agent.model import FinishedSegment
from agent.storage.sidecars import Sidecars
from archive_api.index.filters import Filters
from archive_api.index.row import Row
from tests.archive.index.rig import HOUR_NS, Scanned, reading
from tests.archive.support import START, Recordings

DAY = timedelta(days=1)


def correct(finished: FinishedSegment, by: timedelta) -> None:
    """As the agent does once its clock is right."""
    sidecar = finished.path.with_suffix(".json")
    wrong_ms = offset_ms(segment_from(json.loads(sidecar.read_bytes())))
    assert wrong_ms is not None
    true_ms = wrong_ms + round(by.total_seconds() * 1000)
    sidecars = Sidecars(finished.path.parents[4], lambda _: None)
    changed = sidecars.change(finished.segment.file, lambda known: corrected_segment(known, true_ms, START))
    assert changed.rev == finished.segment.rev + 1


def closed(scanned: Scanned, filters: Filters) -> list[Row]:
    with reading(scanned.path) as reader:
        return reader.closed(filters, None, None, 100)


def test_a_corrected_recording_moves(recordings: Recordings, tmp_path: Path) -> None:
    wrong = recordings.finished(10, start=START - 30 * DAY)
    right = recordings.finished(10, start=START)
    with closing(Scanned(recordings.folder, tmp_path / "state", ahead_ns=HOUR_NS)) as scanned:
        scanned.everything()
        newest_first = Filters(newest_first=True)
        assert [row.id for row in closed(scanned, newest_first)] == [right.segment.id, wrong.segment.id]
        scanned.told()
        correct(wrong, 30 * DAY + timedelta(seconds=10))
        scanned.changed_folders()
        assert scanned.told() == [("moved", wrong.segment.file)]
        assert [row.id for row in closed(scanned, newest_first)] == [wrong.segment.id, right.segment.id]
        midnight_ms = ms_of(START.replace(hour=0))
        today = Filters(from_ms=midnight_ms, to_ms=midnight_ms + 86_400_000, newest_first=True)
        assert {row.id for row in closed(scanned, today)} == {wrong.segment.id, right.segment.id}
        before = Filters(to_ms=midnight_ms, newest_first=True)
        assert closed(scanned, before) == []
        (row,) = [row for row in scanned.rows() if row.id == wrong.segment.id]
        assert (row.file, row.start_ms) == (wrong.segment.file, ms_of(START) + 10_000)
        assert row.bytes == wrong.path.stat().st_size
