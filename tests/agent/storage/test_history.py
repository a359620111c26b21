"""Whatever somebody puts into the folder of a day, recording begins, and the account of the day is right."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.storage.account_files import ledger_lines, segments_since
from agent.storage.checksums import Checksums
from agent.storage.history import last_end, newest, newest_day
from agent.storage.sidecars import Sidecars
from tests.archive.support import Recordings

pytestmark = pytest.mark.timeout(30)


def _nested(path: Path) -> None:
    path.write_bytes(b"[" * 200_000)


def _deep(path: Path) -> None:
    path.write_bytes(b'{"x":' * 200_000)


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _dangling(path: Path) -> None:
    path.symlink_to("/nonexistent")


HOSTILE = [_nested, _deep, _large, _endless, _dangling, os.mkfifo, Path.mkdir]
NAMES = ["x.json", "mic_2026-11-22T23-00-00.000+0000.json", "mic_x.json"]


@pytest.mark.parametrize("make", HOSTILE)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_lies_there_keeps_a_line_from_beginning(
    tmp_path: Path, make: Callable[[Path], None], name: str
) -> None:
    one = Recordings(tmp_path).finished(2)
    make(one.path.with_name(name))
    assert last_end(tmp_path, "mic") == one.segment.end
    assert [segment.id for segment in newest(tmp_path, "mic", 3)] == [one.segment.id]
    assert newest_day(tmp_path, "mic") == one.path.parent
    assert [segment.id for some in segments_since(tmp_path, "mic", 0.0) for segment in some] == [one.segment.id]
    checksums = Checksums(tmp_path, Sidecars(tmp_path, lambda _: None))
    checksums.put_left_over("mic")
    while checksums.step():
        pass


def test_behind_a_linked_day_lies_nothing_of_ours(tmp_path: Path) -> None:
    one = Recordings(tmp_path / "elsewhere").finished(2)
    day = tmp_path / "recordings" / one.path.parent.relative_to(tmp_path / "elsewhere")
    day.parent.mkdir(parents=True)
    day.symlink_to(one.path.parent)
    assert last_end(tmp_path / "recordings", "mic") is None


@pytest.mark.parametrize("make", [os.mkfifo, _endless, Path.mkdir])
def test_a_ledger_that_is_no_file_is_an_error_of_the_disk(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "mic").mkdir()
    make(tmp_path / "mic" / "gaps.jsonl")
    with pytest.raises(OSError, match="no regular file"):
        list(ledger_lines(tmp_path, "mic"))
