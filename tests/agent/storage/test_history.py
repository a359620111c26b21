"""Whatever somebody puts into the folder of a day, recording begins, and the account of the day is right."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.storage import history
from agent.storage.account_files import ledger_lines, segments_since
from agent.storage.checksums import Checksums
from agent.storage.history import last_end, newest, newest_day, recorded_in
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
    begin, end = one.segment.start, one.segment.end
    assert recorded_in(tmp_path, "mic", begin - timedelta(days=1), end) == [(begin, end)]
    assert [segment.id for some in segments_since(tmp_path, "mic", 0.0) for segment in some] == [one.segment.id]
    checksums = Checksums(tmp_path, Sidecars(tmp_path, lambda _: None))
    checksums.put_left_over("mic")
    while checksums.step():
        pass


def test_what_was_recorded_of_a_time_is_found_without_reading_all_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of a box may be set back by years, and recording waits for the answer."""
    recordings, first = Recordings(tmp_path), Recordings(tmp_path).finished(30).segment
    made = [
        first,
        *(recordings.finished(30, start=first.start + timedelta(minutes=15 * k)).segment for k in range(1, 300)),
    ]
    read: list[Path] = []

    def segment_of(path: Path) -> object:
        read.append(path)
        return of(path)

    of = history.segment_of
    monkeypatch.setattr(history, "segment_of", segment_of)
    for begin, end in (
        (made[100].start, made[104].start),
        (made[200].end, made[201].start),
        (made[50].end, made[60].end),
    ):
        read.clear()
        wanted = [(one.start, one.end) for one in made if one.start < end and one.end > begin]
        assert recorded_in(tmp_path, "mic", begin, end) == wanted
        assert len(read) < 30
    read.clear()
    assert (
        recorded_in(tmp_path, "mic", first.start - timedelta(days=20_000), first.start - timedelta(days=19_999)) == []
    )
    assert read == []


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
