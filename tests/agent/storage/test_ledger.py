from pathlib import Path

import pytest

from agent.errors import StorageError
from agent.model import Gap, GapCause, GapLine
from agent.storage.ledger import Ledger
from tests.agent.build import utc

GAP = Gap("01920000-0000-7000-8000-000000000000", "mic", utc(0), None, GapCause.STALL, "x")


def test_a_gap_that_was_left_open_is_found_again(tmp_path: Path) -> None:
    assert Ledger(tmp_path, "mic").open_gap() is None
    Ledger(tmp_path, "mic").append(GapLine("begin", GAP))
    assert Ledger(tmp_path, "mic").open_gap() == GAP


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
