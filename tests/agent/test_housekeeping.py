"""The look at the disk each second: forecast, alarm, and word of room."""

from pathlib import Path

import pytest

from agent import clock
from agent.config import load
from agent.housekeeping import Housekeeping
from agent.model import Desired, DiskStatus, Notice, NoticeCode, OpenSegment, SourceState, SourceStatus
from agent.storage.reserve import Disks
from agent.storage.sidecars import Sidecars
from tests.agent.build import utc
from tests.archive.support import Recordings
from tests.parts.small_disk import fill, free_bytes, small_disk

CONFIG = """
agent: {{id: shed}}
recording: {{directory: disk}}
retention: {rules}
sources: [{{id: mic, type: test}}]
"""


class Rig:
    """One source, a clock that the test puts forward, and what was said."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, rules: str = "") -> None:
        (folder / "config.yaml").write_text(CONFIG.format(rules=rules))
        settings = load(folder / "config.yaml")
        (settings.recordings / ".state").mkdir(exist_ok=True)
        self.now_s = 1000.0
        monkeypatch.setattr(clock, "monotonic_s", lambda: self.now_s)
        self.said: list[Notice] = []
        self.rooms = 0
        self.disks = Disks(settings.recordings, settings.recordings / ".state", ["mic"])
        self.house = Housekeeping(
            settings,
            "run",
            self.disks,
            Sidecars(settings.recordings, lambda _: None),
            notify=self.said.append,
            room_again=self.room_again,
            forget_gaps=lambda *_: False,
        )

    def room_again(self) -> None:
        self.rooms += 1

    def look(self, written: int = 0, *, after_s: float = 1.0) -> DiskStatus:
        self.now_s += after_s
        opened = OpenSegment("mic/x.flac.part", utc(0), 0, written)
        status = SourceStatus("mic", "mic", "test", SourceState.RECORDING, Desired.RECORD, utc(0), open_segment=opened)
        return self.house.look([status])

    def codes(self) -> list[NoticeCode]:
        return [one.code for one in self.said]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "disk"


def test_the_forecast_is_that_of_the_rate(tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(disk, 400):
        rig = Rig(tmp_path, monkeypatch)
        assert rig.look(0).hours_left is None
        for second in range(10, 60, 10):
            assert rig.look(second * 1000, after_s=10).hours_left is None
        status = rig.look(60_000, after_s=10)
        assert status.free_bytes == free_bytes(disk)
        assert status.hours_left == pytest.approx(status.free_bytes / 1000 / 3600, abs=0.1)
        assert rig.house.status == status


def test_what_was_finished_by_this_run_counts_as_written(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(disk, 400):
        rig = Rig(tmp_path, monkeypatch)
        rig.look(0)
        done = Recordings(disk).finished(60, container="wav")
        rig.house.finished(done)
        status = rig.look(0, after_s=60)
        assert status.free_bytes is not None
        assert status.hours_left == pytest.approx(status.free_bytes / (done.segment.bytes / 60) / 3600, abs=0.1)


def test_warning_alarm_full_and_room_again(tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(disk, 400):
        rig = Rig(tmp_path, monkeypatch)
        assert not rig.look().is_low
        assert rig.codes() == []
        fill(disk / "a", 30 << 20)
        assert not rig.look().is_low
        assert rig.codes() == [NoticeCode.DISK_LOW]
        fill(disk / "b", 15 << 20)
        assert rig.look().is_low
        assert rig.codes()[1:] == [NoticeCode.DISK_MIN_FREE]
        fill(disk / "c", 1 << 19)
        rig.look()
        assert rig.codes()[2:] == [NoticeCode.DISK_FULL]
        assert rig.disks.main.is_full
        assert rig.rooms == 0
        (disk / "a").unlink()
        assert not rig.look().is_low
        assert rig.rooms == 1
        assert len(rig.said) == 3


def test_where_retention_makes_room_only_its_failing_is_an_alarm(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(disk, 400):
        rig = Rig(tmp_path, monkeypatch, "{min_free: 100MB}")
        fill(disk / "a", 90 << 20)
        assert not rig.look().is_low
        assert not rig.look().is_low
        for _ in range(3):
            status = rig.look()
        assert status.is_low
        assert rig.codes() == [NoticeCode.DISK_MIN_FREE]


def test_more_free_than_the_disk_has_is_an_error_and_only_an_alarm(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(disk, 400):
        rig = Rig(tmp_path, monkeypatch, "{min_free: 1000GB}")
        done = Recordings(disk).finished(60, container="wav")
        for _ in range(3):
            status = rig.look()
            while rig.house.step():
                rig.now_s += 0.02
        assert status.is_low
        assert done.path.exists()
        assert rig.codes() == [NoticeCode.DISK_MIN_FREE]
        assert "is not acted on" in rig.said[0].text
        assert "1000.0 GB" in rig.said[0].text
