"""A disk that fills: the reserve is there, goes when nothing else is left, and is taken back first."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import StorageError
from agent.storage.reserve import RESERVE_BYTES, Disk, Disks
from tests.parts.small_disk import fill, free_bytes, small_disk

MB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 40) as disk:
        yield disk


def full(disk: Disk) -> bool:
    try:
        disk.check()
    except StorageError:
        return True
    return False


def test_its_blocks_are_really_taken(folder: Path) -> None:
    before = free_bytes(folder)
    disk = Disk(folder, folder / "reserve")
    disk.look(may_take=False)
    assert free_bytes(folder) == before
    assert disk.room_bytes == before - RESERVE_BYTES
    disk.look()
    assert free_bytes(folder) == before - RESERVE_BYTES == disk.room_bytes
    again = Disk(folder, folder / "reserve")
    again.look()
    assert again.room_bytes == before - RESERVE_BYTES


def test_it_is_given_up_and_taken_back(folder: Path) -> None:
    disk = Disk(folder, folder / "reserve")
    disk.look()
    fill(folder / "filler", 2 * MB)
    disk.look()
    assert not full(disk)
    fill(folder / "more", MB)
    disk.look()
    assert full(disk)
    assert disk.room_bytes == MB
    assert free_bytes(folder) == RESERVE_BYTES + MB
    disk.look()
    assert full(disk)
    (folder / "more").unlink()
    os.truncate(folder / "filler", (folder / "filler").stat().st_size - MB)
    disk.look()
    assert not full(disk)
    assert (folder / "reserve").stat().st_blocks * 512 == RESERVE_BYTES


def test_a_disk_that_is_full_from_the_start(folder: Path) -> None:
    fill(folder / "filler", 3 * MB)
    disk = Disk(folder, folder / "reserve")
    disk.look()
    assert full(disk)
    assert disk.room_bytes == 0
    assert free_bytes(folder) == 3 * MB
    (folder / "filler").unlink()
    disk.look()
    assert not full(disk)
    assert (folder / "reserve").exists()


def test_a_write_that_fails_for_want_of_room_fills_it_at_once(folder: Path) -> None:
    disk = Disk(folder, folder / "reserve")
    disk.look()
    fill(folder / "filler", 3 << 19)
    assert not disk.write_failed(None)
    assert not disk.write_failed(OSError(errno.EIO, "broken"))
    assert not full(disk)
    assert disk.write_failed(OSError(errno.ENOSPC, "No space left on device"))
    assert full(disk)
    assert not (folder / "reserve").exists()
    (folder / "filler").unlink()
    disk.look()
    assert not full(disk)


def test_it_is_no_more_than_a_fifth_of_a_tiny_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 5) as tiny:
        disk = Disk(tiny, tiny / "reserve")
        disk.look()
        assert (tiny / "reserve").stat().st_size == MB
        assert disk.room_bytes == 4 * MB
        assert not full(disk)


def test_what_lies_in_its_place_is_not_written_through(folder: Path) -> None:
    (folder / "mine").write_text("mine")
    (folder / "reserve").symlink_to(folder / "mine")
    disk = Disk(folder, folder / "reserve")
    disk.look()
    assert (folder / "mine").read_text() == "mine"
    assert not (folder / "reserve").is_symlink()


def test_a_source_on_a_mount_of_its_own_has_its_own_disk(folder: Path) -> None:
    (folder / ".state").mkdir()
    (folder / "mic").mkdir()
    with small_disk(folder / "radio", 20):
        disks = Disks(folder, folder / ".state", ["mic", "radio", "new"])
        disks.look()
        assert disks.of("mic") is disks.of("new") is disks.main
        assert len(disks.all) == 2
        assert (folder / "radio" / ".reserve").exists()
        fill(folder / "radio" / "filler", 0)
        disks.look()
        assert full(disks.of("radio"))
        assert not full(disks.main)


class Seconds:
    """A clock that the test puts forward."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def quota(error: int = errno.EDQUOT) -> OSError:
    return OSError(error, os.strerror(error))


def looked(disk: Disk, seconds: Seconds, after_s: float) -> bool:
    seconds.now_s += after_s
    disk.look()
    return full(disk)


def test_full_for_a_reason_that_the_disk_does_not_show_lasts_a_while(folder: Path) -> None:
    seconds = Seconds()
    disk = Disk(folder, folder / "reserve", now_s=seconds)
    disk.look()
    for hold_s in (30, 60, 120, 240, 300, 300):
        assert disk.write_failed(quota())
        assert looked(disk, seconds, 1)
        assert not (folder / "reserve").exists()
        assert looked(disk, seconds, hold_s - 3)
        assert not looked(disk, seconds, 3)
        assert (folder / "reserve").exists()
    assert not looked(disk, seconds, 3600)
    assert disk.write_failed(quota())
    assert not looked(disk, seconds, 31)


def test_it_is_over_only_when_something_can_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = Seconds()
    disk = Disk(folder, folder / "reserve", now_s=seconds)
    disk.look()
    real = os.posix_fallocate

    def beside_the_reserve(descriptor: int, start: int, size: int) -> None:
        if (folder / "reserve").exists() and size != RESERVE_BYTES:
            raise quota()
        real(descriptor, start, size)

    disk.write_failed(quota(errno.ENOSPC))
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", beside_the_reserve)
        for _ in range(5):
            assert looked(disk, seconds, 301)
            assert [path.name for path in folder.iterdir()] == []
    assert not looked(disk, seconds, 301)
    assert [path.name for path in folder.iterdir()] == ["reserve"]


def test_want_of_inodes_is_want_of_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40, options="nr_inodes=60") as folder:
        disk = Disk(folder, folder / "reserve")
        disk.look()
        assert not full(disk)
        left = os.statvfs(folder).f_favail
        for number in range(left - 15):
            (folder / f"{number}").touch()
        disk.look()
        assert full(disk)
        disk.look()
        assert full(disk)
        for number in range(20):
            (folder / f"{number}").unlink()
        disk.look()
        assert not full(disk)


def test_a_disk_that_does_not_say_how_large_it_is_is_never_full_by_a_look(tmp_path: Path) -> None:
    assert os.statvfs("/proc").f_blocks == 0
    seconds = Seconds()
    disk = Disk(Path("/proc"), tmp_path / "reserve", now_s=seconds)
    disk.look()
    assert not full(disk)
    assert disk.room_bytes is None
    assert list(tmp_path.iterdir()) == []
    disk.write_failed(quota())
    assert looked(disk, seconds, 1)
    assert not looked(disk, seconds, 31)
    assert list(tmp_path.iterdir()) == []
