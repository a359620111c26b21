import errno
import stat
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.ledger import ledger_line, read_lines
from agent.errors import StorageError
from agent.gaps import filled_lines
from agent.model import Gap, GapCause, GapLine
from agent.storage.ledger import Ledger, ledger_bytes
from agent.storage.plain import is_plain
from agent.verify.ledger import judge_ledger
from tests.agent.build import utc
from tests.agent.storage.crash import Killed, dying
from tests.agent.storage.not_files import NOT_FILES

GAP = Gap("01920000-0000-7000-8000-000000000000", "mic", utc(0), None, GapCause.STALL, "x")


def test_a_gap_that_was_left_open_is_found_again(tmp_path: Path) -> None:
    assert Ledger(tmp_path, "mic").open_gap() is None
    Ledger(tmp_path, "mic").append(GapLine("begin", GAP))
    assert Ledger(tmp_path, "mic").open_gap() == GAP


def test_a_start_knows_up_to_which_midnight_a_gap_was_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "mic")
    assert ledger.told_until() is None
    ledger.append(GapLine("begin", GAP))
    assert ledger.told_until() is None
    ledger.append(GapLine("midnight", replace(GAP, end=utc(40_000))))
    assert (ledger.told_until(), ledger.open_gap()) == (utc(40_000), GAP)
    ledger.append(GapLine("end", replace(GAP, end=utc(50_000))))
    assert (ledger.told_until(), ledger.open_gap(), ledger.last_end()) == (None, None, utc(50_000))


def test_what_lies_before_a_long_torn_end_is_found(tmp_path: Path) -> None:
    told: list[GapLine] = []
    ledger = Ledger(tmp_path, "mic", told.append)
    ledger.append(GapLine("begin", GAP))
    assert told == [GapLine("begin", GAP)]
    path = tmp_path / "mic" / "gaps.jsonl"
    path.write_bytes(path.read_bytes() + b"\0" * 100_000)
    assert ledger.open_gap() == GAP


def test_a_torn_line_of_an_earlier_run_does_not_hide_the_next(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "mic")
    ledger.append(GapLine("begin", GAP))
    path = tmp_path / "mic" / "gaps.jsonl"
    path.write_bytes(path.read_bytes() + b'{"v": 1, "id": "01')
    ledger.append(GapLine("end", Gap(GAP.id, "mic", GAP.start, utc(5), GAP.cause)))
    assert ledger.open_gap() is None


def test_what_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "mic").touch()
    with pytest.raises(StorageError, match="gap ledger"):
        Ledger(tmp_path, "mic").append(GapLine("begin", GAP))


@pytest.mark.parametrize("told", [0, 1, 2])
def test_a_filled_gap_is_completed_wherever_its_lines_broke_off(tmp_path: Path, told: int) -> None:
    """The disk was full, or the agent killed, between its first line and its last: it must not last until the next
    start."""
    over = Gap("1", "mic", utc(10), utc(11.5), GapCause.DEVICE_LOST, filled_samples=72_000)
    ledger = Ledger(tmp_path, "mic")
    lines = list(filled_lines(over))
    for line in lines[:told]:
        ledger.append(line)
    if not told:
        (tmp_path / "mic").mkdir(exist_ok=True)
    ledger.complete([over])
    assert ledger.open_gap() is None
    written = (tmp_path / "mic" / "gaps.jsonl").read_bytes()
    assert list(read_lines(written)) == lines
    ledger.complete([over])
    assert (tmp_path / "mic" / "gaps.jsonl").read_bytes() == written


def filled(number: int) -> Gap:
    """One of many packets that cannot be decoded."""
    return Gap(str(number), "mic", utc(number), utc(number + 0.5), GapCause.CORRUPT, filled_samples=24_000)


def test_a_gap_that_lasts_is_found_behind_any_number_of_filled_ones(tmp_path: Path) -> None:
    """They were told late: of a file that could not be salvaged before."""
    ledger = Ledger(tmp_path, "mic")
    stopped = Gap("s", "mic", utc(1000), None, GapCause.STOPPED)
    ledger.append(GapLine("begin", stopped), GapLine("midnight", replace(stopped, end=utc(40_000))))
    ledger.complete(filled(number) for number in range(100))
    assert (ledger.open_gap(), ledger.told_until()) == (stopped, utc(40_000))
    ledger.append(GapLine("end", replace(stopped, end=utc(50_000))))
    assert (ledger.open_gap(), ledger.last_end()) == (None, utc(50_000))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("how", NOT_FILES)
def test_what_is_no_file_makes_way_for_the_ledger(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "mic" / "gaps.jsonl"
    elsewhere.write_text("mine")
    path.parent.mkdir()
    told: list[GapLine] = []
    ledger, line = Ledger(tmp_path, "mic", told.append), GapLine("begin", GAP)
    for aside in ("gaps.jsonl.aside", "gaps.jsonl.aside-2"):
        path.unlink(missing_ok=True)
        NOT_FILES[how](path)
        looks = stat.S_IFMT(path.lstat().st_mode)
        assert ledger_bytes(tmp_path, "mic") == 0
        assert (ledger.open_gap(), ledger.told_until(), ledger.last_end()) == (None, None, None)
        ledger.append(line)
        assert is_plain(path)
        assert ledger.open_gap() == GAP
        assert stat.S_IFMT(path.with_name(aside).lstat().st_mode) == looks
    assert told == [line, line]
    assert elsewhere.read_text() == "mine"
    assert "gaps.jsonl.aside-2" in caplog.text


def test_where_it_cannot_be_moved_lines_are_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Docker makes a folder of a file that it is to mount and that is not there."""

    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    (tmp_path / "mic" / "gaps.jsonl").mkdir(parents=True)
    monkeypatch.setattr("agent.storage.ledger.rename_new", busy)
    told: list[GapLine] = []
    ledger = Ledger(tmp_path, "mic", told.append)
    ledger.append(GapLine("begin", GAP))
    assert told == [GapLine("begin", GAP)]
    assert ledger.open_gap() is None
    assert "cannot be moved" in caplog.text


@pytest.mark.timeout(20)
@pytest.mark.parametrize("how", NOT_FILES)
def test_a_start_with_filled_gaps_finds_what_is_no_file(tmp_path: Path, how: str) -> None:
    (tmp_path / "mic").mkdir()
    NOT_FILES[how](tmp_path / "mic" / "gaps.jsonl")
    ledger = Ledger(tmp_path, "mic")
    ledger.complete([replace(GAP, end=utc(1), filled_samples=48_000)])
    assert ledger.last_end() == utc(1)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 20)), min_size=1, max_size=5))
@settings(deadline=None)
def test_a_torn_end_is_blanked_by_the_next_line_and_no_whole_line_is_lost(cuts: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as folder:
        recordings = Path(folder)
        path, ledger, whole = recordings / "mic" / "gaps.jsonl", Ledger(recordings, "mic"), []
        for number, (length, zeros) in enumerate(cuts):
            line = GapLine("begin", replace(GAP, id=f"{GAP.id[:-1]}{number}"))
            ledger.append(line)
            torn = ledger_line(line)[:length] + bytes(zeros)
            path.write_bytes(path.read_bytes() + torn)
            whole += [line, *read_lines(torn.rstrip(b"\0"))]
        ledger.append(line)
        assert list(read_lines(path.read_bytes())) == [*whole, line]
        assert list(judge_ledger("gaps.jsonl", path.read_bytes(), "mic")) == []


def test_blanking_that_is_cut_short_is_completed_by_the_next(tmp_path: Path) -> None:
    ledger, path = Ledger(tmp_path, "mic"), tmp_path / "mic" / "gaps.jsonl"
    ledger.append(GapLine("begin", GAP))
    whole = path.read_bytes()
    for before in range(10):
        path.write_bytes(whole + whole[:-40] + b"\n" + whole)
        is_killed = False
        with dying(before):
            try:
                ledger.blank_torn()
            except Killed:
                is_killed = True
        assert len(list(read_lines(path.read_bytes()))) == 2
        ledger.blank_torn()
        assert path.read_bytes() == whole + b" " * len(whole[:-40]) + b"\n" + whole
        if not is_killed:
            return
    raise AssertionError("there is no end to it")
