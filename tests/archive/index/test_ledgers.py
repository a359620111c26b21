"""Ledgers and sidecars without audio in the index: followed as they grow, forgotten as they go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.ledger import ledger_line, read_ledger
from agent.archive_format.names import LEDGER
from agent.gaps import GapAccount
from agent.model import Gap, GapCause, GapLine
from agent.storage.ledger import Ledger
from archive_api.index import ledgers
from archive_api.index.gap_row import GapRow
from archive_api.index.gaps import GapFilters
from tests.agent.build import UTC_ZONE
from tests.agent.storage.not_files import NOT_FILES
from tests.archive.index.rig import Scanned, edit, reading
from tests.archive.support import START, Recordings

DAY = (0, 1 << 50)


@pytest.fixture
def scanned(recordings: Recordings, tmp_path: Path) -> Iterator[Scanned]:
    with closing(Scanned(recordings.folder, tmp_path / "state")) as made:
        yield made


def gap(number: int, length_s: float | None = None, cause: GapCause = GapCause.STALL, source: str = "mic") -> Gap:
    start = START + timedelta(minutes=number)
    end = None if length_s is None else start + timedelta(seconds=length_s)
    return Gap(f"gap-{number:04d}", source, start, end, cause, "why")


def gaps(scanned: Scanned) -> list[GapRow]:
    with reading(scanned.path) as reader:
        return reader.gaps(GapFilters(newest_first=False), None, None, 100_000)


def test_a_ledger_is_followed_line_by_line(recordings: Recordings, scanned: Scanned) -> None:
    ledger = Ledger(recordings.folder, "mic")
    ledger.append(GapLine("begin", gap(1)))
    scanned.everything()
    (row,) = gaps(scanned)
    assert row.lasts
    with reading(scanned.path) as reader:
        assert reader.lasting_gap(("shed", "mic")) == row
    ledger.append(GapLine("end", gap(1, 7.36)))
    ledger.append(GapLine("end", gap(2, 1.0, GapCause.STOPPED)))
    scanned.changed_folders()
    one, two = gaps(scanned)
    assert (one.lasts, one.end_ms - one.start_ms, one.missing) == (0, 7360, 1)
    assert (two.cause, two.missing) == ("stopped", 0)
    with reading(scanned.path) as reader:
        assert reader.lasting_gap(("shed", "mic")) is None


def test_only_what_was_appended_is_read(
    recordings: Recordings, scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(recordings.folder, "mic")
    for number in range(500):
        ledger.append(GapLine("end", gap(number, 1.0)))
    scanned.everything()
    asked: list[int] = []

    def note(data: bytes) -> Iterator[GapLine]:
        asked.append(len(data))
        return iter(())

    monkeypatch.setattr(ledgers, "read_lines", note)
    scanned.everything()
    assert asked == []
    line = GapLine("end", gap(501, 1.0))
    ledger.append(line)
    scanned.everything()
    assert asked == [len(ledger_line(line))]


def test_a_torn_line_waits_and_hides_nothing(recordings: Recordings, scanned: Scanned) -> None:
    ledger = Ledger(recordings.folder, "mic")
    ledger.append(GapLine("end", gap(1, 1.0)))
    path = recordings.folder / "mic" / "gaps.jsonl"
    torn = ledger_line(GapLine("end", gap(2, 1.0)))[:-30]
    path.write_bytes(path.read_bytes() + torn)
    scanned.everything()
    assert [row.id for row in gaps(scanned)] == ["gap-0001"]
    ledger.append(GapLine("end", gap(3, 1.0)))
    scanned.everything()
    assert [row.id for row in gaps(scanned)] == ["gap-0001", "gap-0003"]


def test_another_ledger_in_its_place_and_none(recordings: Recordings, scanned: Scanned) -> None:
    Ledger(recordings.folder, "mic").append(GapLine("end", gap(1, 1.0)))
    Ledger(recordings.folder, "yard").append(GapLine("end", gap(1, 1.0, source="yard")))
    scanned.everything()
    path = recordings.folder / "mic" / "gaps.jsonl"
    other = path.with_name("other")
    other.write_bytes(ledger_line(GapLine("end", gap(7, 1.0))) * 3)
    other.replace(path)
    scanned.everything()
    assert [row.id for row in gaps(scanned) if row.source == "mic"] == ["gap-0007"]
    path.unlink()
    scanned.everything()
    assert [row.source for row in gaps(scanned)] == ["yard"]
    (recordings.folder / "yard" / "gaps.jsonl").unlink()
    (recordings.folder / "yard").rmdir()
    scanned.everything()
    assert gaps(scanned) == []


@pytest.mark.parametrize("more", [0, 1, 40])
def test_another_ledger_with_the_inode_of_the_one_before(recordings: Recordings, scanned: Scanned, more: int) -> None:
    """An inode that is free is used again at once: what comes next may be as long, or longer."""
    lines = [ledger_line(GapLine("end", gap(number, 1.0))) for number in range(20 + more)]
    path = recordings.folder / "mic" / LEDGER
    path.parent.mkdir()
    path.write_bytes(b"".join(lines[:20]))
    scanned.everything()
    inode = path.stat().st_ino
    path.write_bytes(b"".join(lines[::-1]))
    assert path.stat().st_ino == inode
    scanned.everything()
    assert {row.id for row in gaps(scanned)} == {f"gap-{number:04d}" for number in range(20 + more)}
    path.write_bytes(b"".join(lines[more:]).replace(b"gap-", b"new-"))
    scanned.everything()
    assert {row.id for row in gaps(scanned)} == {f"new-{number:04d}" for number in range(more, 20 + more)}


def test_lines_that_nobody_of_ours_has_written(recordings: Recordings, scanned: Scanned) -> None:
    """A copy of another source's ledger, half a surrogate pair, a number beyond SQLite, a start before time."""
    good = json.loads(ledger_line(GapLine("end", gap(1, 1.0))))
    wrong: list[dict[str, object]] = [
        {"source": "yard"},
        {"filled_samples": 1 << 70},
        {"id": "x" * 5000},
        {"start": "0001-01-01T00:00:00Z"},
        {"id": "half \ud800"},
        {"detail": {"a": 1}, "id": "b"},
    ]
    folder = recordings.folder / "mic"
    folder.mkdir()
    lines = [json.dumps({**good, **change}).encode() for change in wrong] + [b"\0" * 400_000, json.dumps(good).encode()]
    (folder / "gaps.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    scanned.everything()
    assert {"gap-0001", "b", "half ?"} <= {row.id for row in gaps(scanned)}
    assert {row.source for row in gaps(scanned)} == {"mic"}


portions = st.lists(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=5), max_size=5)


@given(portions)
@settings(max_examples=40, deadline=None)
def test_the_index_says_what_the_ledger_says(written: list[list[tuple[int, bool, bool]]]) -> None:
    with TemporaryDirectory() as folder:
        recordings = Recordings(Path(folder) / "rec")
        ledger, path = Ledger(recordings.folder, "mic"), recordings.folder / "mic" / "gaps.jsonl"
        with closing(Scanned(recordings.folder, Path(folder) / "state")) as scanned:
            for portion in written:
                for number, is_end, is_torn in portion:
                    ledger.append(GapLine("end", gap(number, 2.0)) if is_end else GapLine("begin", gap(number)))
                    if is_torn:
                        path.write_bytes(path.read_bytes() + b'{"v": 1, "id"')
                scanned.everything()
            known = read_ledger(path.read_bytes()) if path.exists() else {}
            assert {row.id: bool(row.lasts) for row in gaps(scanned)} == {
                key: line.at != "end" for key, line in known.items()
            }


def test_deleted_audio_was_recorded_and_lost_audio_was_not(recordings: Recordings, scanned: Scanned) -> None:
    deleted, lost = recordings.finished(10), recordings.finished(10, start=START + timedelta(minutes=1))
    scanned.everything()
    edit(deleted.path.with_suffix(".json"), deleted={"at": "2026-11-23T00:00:00.000Z", "why": "max_age"}, rev=2)
    deleted.path.unlink()
    lost.path.unlink()
    scanned.everything()
    start_ms = round(START.timestamp() * 1000)
    with reading(scanned.path) as reader:
        assert reader.recorded(("shed", "mic"), DAY) == [(start_ms, start_ms + 10_000)]
    deleted.path.with_suffix(".json").unlink()
    scanned.everything()
    with reading(scanned.path) as reader:
        assert reader.recorded(("shed", "mic"), DAY) == []


def test_a_gap_that_lasts_reaches_to_now_and_another_does_not() -> None:
    row = GapRow("x", "shed", "mic", 1000, 5000, True, "stall", True, 0, None)
    assert row.hole(9000).end_ms == 9000
    assert row.hole(2000).end_ms == 5000
    assert replace(row, lasts=False).hole(9000).end_ms == 5000


def test_a_filled_gap_is_over_also_where_the_line_of_its_end_is_not_there(
    recordings: Recordings, scanned: Scanned
) -> None:
    """A power cut tore it, or it is being written; what lasts is another one."""
    ledger = Ledger(recordings.folder, "mic")
    ledger.append(GapLine("begin", gap(1)))
    ledger.append(GapLine("begin", replace(gap(2, cause=GapCause.CORRUPT), filled_samples=1152)))
    scanned.everything()
    assert [(row.id, bool(row.lasts)) for row in gaps(scanned)] == [("gap-0001", True), ("gap-0002", False)]
    with reading(scanned.path) as reader:
        lasting = reader.lasting_gap(("shed", "mic"))
    assert lasting is not None
    assert lasting.id == "gap-0001"


@pytest.mark.parametrize(
    "begins",
    [((GapCause.DEVICE_LOST, 3600), (GapCause.STOPPED, 60)), ((GapCause.OVERRUN, 10), (GapCause.DEVICE_LOST, 10))],
)
def test_the_gap_that_lasts_is_the_one_that_has_not_ended(
    recordings: Recordings, scanned: Scanned, begins: tuple[tuple[GapCause, float], ...]
) -> None:
    """Also where the clock was set back, and where one gives way to another at the same moment."""
    account, ledger = GapAccount("mic", UTC_ZONE), Ledger(recordings.folder, "mic")
    for cause, seconds in begins:
        ledger.append(*account.begin(cause, START + timedelta(seconds=seconds)))
    scanned.everything()
    with reading(scanned.path) as reader:
        found = reader.lasting_gap(("shed", "mic"))
    assert found is not None
    assert found.cause == begins[-1][0]


def test_a_gap_behind_the_end_of_the_calendar_is_none_of_ours(recordings: Recordings, scanned: Scanned) -> None:
    line = json.loads(ledger_line(GapLine("end", gap(1, 1.0))))
    path = recordings.folder / "mic" / LEDGER
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**line, "end": "9999-12-31T23:59:59.9999Z"}) + "\n" + json.dumps(line) + "\n")
    scanned.everything()
    assert [row.as_json()["duration_s"] for row in gaps(scanned)] == [1.0]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("how", NOT_FILES)
def test_what_is_no_file_is_no_ledger(recordings: Recordings, scanned: Scanned, how: str) -> None:
    (recordings.folder / "elsewhere").write_bytes(ledger_line(GapLine("end", gap(7, 1.0))))
    Ledger(recordings.folder, "mic").append(GapLine("end", gap(1, 1.0)))
    scanned.everything()
    assert [row.id for row in gaps(scanned)] == ["gap-0001"]
    path = recordings.folder / "mic" / LEDGER
    path.unlink()
    NOT_FILES[how](path)
    scanned.everything()
    assert gaps(scanned) == []
    Ledger(recordings.folder, "mic").append(GapLine("end", gap(2, 1.0)))
    scanned.everything()
    assert [row.id for row in gaps(scanned)] == ["gap-0002"]
