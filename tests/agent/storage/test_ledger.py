from dataclasses import replace
from pathlib import Path

import pytest

from agent.archive_format.ledger import read_lines
from agent.errors import StorageError
from agent.gaps import filled_lines
from agent.model import Gap, GapCause, GapLine
from agent.storage.ledger import Ledger
from tests.agent.build import utc

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
