"""What must not keep retention from its work: a fault in one item, slow work, what no rule may take."""

import json
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from agent.archive_format.names import SegmentName
from agent.model import Choice, Retention, Segment
from agent.retention import Rules
from agent.storage import beneath, removal
from agent.storage import sidecars as sidecars_module
from agent.storage import stock as stock_module
from agent.storage.stock import Stock
from tests.agent.storage.test_removal import House, sidecar, there, touch_later
from tests.archive.support import START
from tests.parts.small_disk import fill, small_disk


@pytest.mark.parametrize(
    "change",
    [
        {"tz": "Europe/Nowhere"},
        {"tz": "../../etc/passwd"},
        {"clock": {"overlap_s": float("nan")}},
        {"start": "0001-01-01T00:00:00.000Z"},
        {"end": "9999-12-31T23:59:59.999Z", "start": "9999-12-31T23:59:59.998Z"},
        {"clock": []},
        {"gaps": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_read_by_the_walk", [True, False])
def test_a_sidecar_that_cannot_be_written_again_stops_nothing(
    tmp_path: Path, change: dict[str, object], is_read_by_the_walk: bool, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, Retention(max_size_bytes=1, max_age_s=60.0))
    one, other = house.recorded(0), house.recorded(1)
    fields = json.loads(sidecar(one).read_bytes())
    for key, value in change.items():
        fields[key] = {**fields[key], **value} if isinstance(value, dict) else value
    sidecar(one).write_text(json.dumps(fields))
    if is_read_by_the_walk:
        touch_later(one)
    house.work()
    house.work(seconds=61)
    house.work(seconds=4000)
    assert not other.path.exists()
    if "start" not in change or "end" in change:
        assert one.path.exists()
    assert sum("Traceback" in text or "leaves" in text for text in caplog.messages) <= 1


@pytest.mark.parametrize("day", ["0001/01/01", "9999/12/31", "2026/02/31", "0000/00/00"])
@pytest.mark.parametrize("has_file", [True, False])
def test_folders_of_days_that_no_calendar_has_stop_nothing(tmp_path: Path, day: str, has_file: bool) -> None:
    house = House(tmp_path, Retention(max_size_bytes=1, ledger_max_age_s=86400.0))
    one = house.recorded(0)
    folder = tmp_path / "mic" / day
    folder.mkdir(parents=True)
    for zone in ("+1400", "-1400") if has_file else ():
        audio = folder / f"mic_{day.replace('/', '-')}T00-00-00.000{zone}.wav"
        audio.write_bytes(b"x")
        audio.with_suffix(".json").write_text("{}")
    for _ in range(3):
        house.work(seconds=3600)
    assert not one.path.exists()


def id_of(at: datetime) -> str:
    ms = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return str(UUID(int=(ms << 80) | 0x70008000000000000000))


def test_times_at_the_ends_of_the_calendar_get_an_answer(tmp_path: Path) -> None:
    house = House(tmp_path)
    one = house.recorded(0)
    house.work()
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    always = house.cleaner.protect(Choice(source="mic", start=first, end=last), on=True)
    some = house.cleaner.protect(Choice(ids=(id_of(last), "00000000-0000-0000-0000-000000000000")), on=True)
    house.work()
    assert (told := always()) is not None
    assert (told.found, told.error) == (1, None)
    assert (told := some()) is not None
    assert told.found == 0
    assert told.error is not None
    assert there(one).protected


def test_a_fault_in_one_item_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, Retention(max_size_bytes=1))
    parts = [house.recorded(minutes) for minutes in (0, 1, 2)]
    real = sidecars_module.read_segment

    def read(folder: int, name: SegmentName) -> Segment:
        if name.audio == parts[1].segment.file:
            raise RuntimeError("never thought of")
        return real(folder, name)

    for module in (removal, stock_module, sidecars_module):
        monkeypatch.setattr(module, "read_segment", read)
    house.work()
    assert [one.path.exists() for one in parts] == [False, True, False]
    told = house.cleaner.protect(Choice(ids=(parts[1].segment.id,)), on=True)
    for _ in range(3):
        touch_later(parts[1])
        os.utime(parts[1].path.parent)
        house.work(seconds=4000)
    assert (outcome := told()) is not None
    assert outcome.error is not None
    assert sum("alone: never thought of" in text for text in caplog.messages) == 1


def test_a_command_that_fails_has_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, Retention(max_size_bytes=1))
    one = house.recorded(0)
    house.work()
    other = house.recorded(1)
    monkeypatch.setattr(Stock, "between", lambda *_: 1 // 0)
    told = house.cleaner.protect(Choice(ids=(one.segment.id,)), on=True)
    house.cleaner.finished(other)
    house.work(seconds=61)
    assert (outcome := told()) is not None
    assert outcome.error is not None
    assert not other.path.exists()


def test_one_that_the_disk_does_not_let_go_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, Retention(max_size_bytes=1))
    parts = [house.recorded(minutes) for minutes in (0, 1, 2)]
    real = sidecars_module.read_segment

    def read(folder: int, name: SegmentName) -> Segment:
        if name.audio == parts[0].segment.file:
            raise PermissionError(1, "Operation not permitted")
        return real(folder, name)

    with monkeypatch.context() as patch:
        patch.setattr(removal, "read_segment", read)
        for _ in range(3):
            house.work(seconds=61)
        assert [one.path.exists() for one in parts] == [True, False, False]
        assert sum("not permitted" in text for text in caplog.messages) == 1
    house.work(seconds=61)
    assert not parts[0].path.exists()


def test_a_folder_that_cannot_be_read_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, Retention(max_size_bytes=1))
    bad, good = house.files.finished(2, start=START - timedelta(days=1)), house.recorded(0)
    real = beneath.names_in
    broken = bad.path.parent.stat().st_ino

    def names(folder: int) -> set[str]:
        if os.fstat(folder).st_ino == broken:
            raise OSError(5, "Input/output error")
        return real(folder)

    monkeypatch.setattr(stock_module, "names_in", names)
    for _ in range(3):
        house.work(seconds=4000)
    assert (bad.path.exists(), good.path.exists()) == (True, False)
    assert sum("Input/output" in text for text in caplog.messages) == 1


def test_undated_ones_do_not_stand_in_the_way_of_size(tmp_path: Path) -> None:
    house = House(tmp_path)
    parts = [house.recorded(minutes) for minutes in (0, 1, 100, 101)]
    for one in parts[:2]:
        house.sidecars.change(
            one.segment.file, lambda known: replace(known, clock=replace(known.clock, synchronized=False))
        )
    size = max(one.segment.bytes for one in parts)
    house.rules = Rules(Retention(max_age_s=600.0, max_size_bytes=2 * size + 10), {})
    house.now = parts[3].segment.end + timedelta(seconds=5)
    house.begin()
    house.work()
    assert [one.path.exists() for one in parts] == [False, False, True, True]
    assert {(gone := there(one).deleted) and gone.why for one in parts[:2]} == {"max_size"}


def test_one_whose_end_is_not_old_yet_does_not_stand_in_the_way_of_size(tmp_path: Path) -> None:
    house = House(tmp_path)
    long, late = house.files.finished(100), house.recorded(1)
    rules = Retention(max_age_s=50.0, max_size_bytes=late.segment.bytes)
    house.rules = Rules(rules, {})
    house.now = long.segment.start + timedelta(seconds=65)
    house.begin()
    house.work()
    assert (gone := there(long).deleted) is not None
    assert gone.why == "max_size"


def test_deletion_does_not_wait_for_slow_work(tmp_path: Path) -> None:
    house = House(tmp_path, Retention(max_size_bytes=10**9))
    parts = [house.files.finished(0.1, start=START - timedelta(days=day)) for day in range(30)]
    house.work()
    for one in parts:
        os.utime(one.path.parent)
    house.now_s += 3600  # a walk is due
    start = START - timedelta(days=40)
    told = house.cleaner.protect(Choice(source="mic", start=start, end=START + timedelta(days=1)), on=False)
    for _ in range(5):
        assert house.cleaner.step()
    assert told() is None
    house.cleaner._rules = Rules(Retention(max_size_bytes=1), {})
    house.cleaner.hurry()
    for _ in range(len(parts) + 2):
        house.cleaner.step()
    assert not any(one.path.exists() for one in parts)
    house.work()
    assert (outcome := told()) is not None
    assert outcome.error is None


def test_days_that_did_not_change_take_few_steps(tmp_path: Path) -> None:
    for day in range(1, 29):
        for month in range(1, 13):
            (tmp_path / "mic" / "2025" / f"{month:02}" / f"{day:02}").mkdir(parents=True)
    stock = Stock(tmp_path)
    for _ in range(2):
        assert sum(1 for _ in stock.walk()) < 10


def test_too_many_commands_are_told_so(tmp_path: Path) -> None:
    house = House(tmp_path)
    one = house.recorded(0)
    told = [house.cleaner.protect(Choice(ids=(one.segment.id,)), on=True) for _ in range(200)]
    assert told[0]() is None
    assert (outcome := told[-1]()) is not None
    assert outcome.error is not None
    assert outcome.code == "busy"
    house.work()
    assert (outcome := told[0]()) is not None
    assert outcome.error is None
    assert (outcome := house.cleaner.protect(Choice(ids=(one.segment.id,)), on=True)()) is None


def test_on_an_overlay_the_folder_tells_the_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40) as disk:
        (tmp_path / "low").mkdir()
        for name in ("up", "work", "merged"):
            (disk / name).mkdir()
        options = f"lowerdir={tmp_path / 'low'},upperdir={disk / 'up'},workdir={disk / 'work'}"
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(disk / "merged")]
        if subprocess.run([*root, *mount], check=False, capture_output=True).returncode:
            pytest.skip("no overlay can be mounted here")
        try:
            house = House(disk / "merged" / "recordings", Retention(min_free_bytes=25 << 20))
            parts = [house.files.finished(100, start=START + timedelta(minutes=5 * one)) for one in range(2)]
            fill(disk / "filler", (25 << 20) + (7 << 20))
            house.disks.look()
            house.work()
            assert [one.path.exists() for one in parts] == [False, True]
        finally:
            subprocess.run([*root, "umount", str(disk / "merged")], check=True)
