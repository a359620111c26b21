"""What retention must never delete: each of these has cost recordings."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.model import Choice, Correction, FinishedSegment, Gap, GapCause, GapLine, Retention, Segment
from agent.retention import Rules
from agent.storage.ledger import Ledger
from tests.agent.storage.test_removal import House, sidecar
from tests.archive.support import START
from tests.parts.small_disk import fill, small_disk


@pytest.mark.parametrize("rules", [Retention(), Retention(max_size_bytes=0), Retention(max_age_s=60.0)])
@pytest.mark.parametrize("is_new", [True, False])
def test_audio_that_somebody_puts_back_stays(
    tmp_path: Path, rules: Retention, is_new: bool, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, rules)
    one = house.recorded(0)
    data = one.path.read_bytes()
    house.delete(one.segment.file)
    one.path.write_bytes(data)
    long_ago = one.path.stat().st_mtime - (0 if is_new else 3600)
    os.utime(one.path, (long_ago, long_ago))
    house.begin()
    for _ in range(3):
        house.work(seconds=4000)
        os.utime(one.path.parent)
    assert one.path.read_bytes() == data
    assert sum("put there after" in text for text in caplog.messages) <= 1
    if not is_new or rules != Retention():
        assert sum("put there after" in text for text in caplog.messages) == 1


def test_protected_ones_go_last_after_a_restart_too(tmp_path: Path) -> None:
    house = House(tmp_path)
    parts = [house.recorded(minutes) for minutes in range(3)]
    house.sidecars.change(parts[0].segment.file, lambda known: replace(known, protected=True))
    size = parts[0].segment.bytes
    house.rules = Rules(Retention(max_size_bytes=2 * size + 10, protected_too=True), {})
    house.begin()
    house.work()
    assert [one.path.exists() for one in parts] == [True, False, True]
    house.rules = Rules(Retention(max_size_bytes=10, protected_too=True), {})
    house.begin()
    house.work()
    assert not any(one.path.exists() for one in parts)


def test_a_clock_in_1970_makes_nothing_old_and_forgets_nothing(tmp_path: Path) -> None:
    house = House(tmp_path, Retention(max_age_s=60.0, ledger_max_age_s=86400.0))
    house.synchronized = False
    begin = datetime(1970, 1, 2, tzinfo=UTC)
    house.now = begin + timedelta(minutes=30)
    one = house.files.finished(2, start=begin)
    other = house.files.finished(2, start=begin + timedelta(minutes=29, seconds=30))
    house.delete(other.segment.file)
    ledger = Ledger(tmp_path, "mic")
    for number in range(3):
        start = begin + timedelta(minutes=number)
        ledger.append(GapLine("end", Gap(f"{number}", "mic", start, start + timedelta(seconds=5), GapCause.STALL)))
    about_to_be_used = tmp_path / "mic/1970/01/03"
    about_to_be_used.mkdir(parents=True)
    for _ in range(3):
        house.work(seconds=3600)
    assert one.path.exists()
    assert sidecar(other).exists()
    assert len((tmp_path / "mic" / "gaps.jsonl").read_bytes().splitlines()) == 3
    assert about_to_be_used.exists()


def corrected(house: House, one: FinishedSegment, by: timedelta) -> Segment:
    """As corrections do it, once the clock is synchronised."""
    return house.sidecars.change(
        one.segment.file,
        lambda known: replace(
            known,
            start=known.start + by,
            end=known.end + by,
            clock=replace(
                known.clock,
                map=tuple((sample, at + by) for sample, at in known.clock.map),
                corrected=Correction(house.now, known.start, known.end),
            ),
        ),
    )


YEAR = timedelta(days=400)


def test_what_is_left_is_forgotten_by_its_true_age(tmp_path: Path) -> None:
    house = House(tmp_path, Retention(ledger_max_age_s=30 * 86400.0))
    one, other = house.files.finished(2, start=START - YEAR), house.files.finished(2, start=START - 2 * YEAR)
    corrected(house, one, YEAR)
    for each in (one, other):
        house.delete(each.segment.file)
    house.work()
    house.work(seconds=20)
    assert sidecar(one).exists()
    assert not sidecar(other).exists()


@pytest.mark.parametrize("is_restarted", [True, False])
def test_the_oldest_by_its_true_time_goes_first(tmp_path: Path, is_restarted: bool) -> None:
    house = House(tmp_path)
    new = house.files.finished(2, start=START - YEAR)
    parts = [house.recorded(0), house.recorded(1)]
    house.rules = Rules(Retention(max_size_bytes=2 * parts[0].segment.bytes + 10), {})
    if is_restarted:
        corrected(house, new, YEAR + timedelta(minutes=30))
        house.begin()  # (It was written by the right clock, which the name is far from.)
    else:
        room, house.rules = house.rules, Rules(Retention(max_size_bytes=10**9), {})
        house.begin()
        house.work()
        house.cleaner.changed(corrected(house, new, YEAR + timedelta(minutes=30)))
        house.cleaner._rules = room
        house.cleaner.hurry()
    house.work()
    assert [one.path.exists() for one in (new, *parts)] == [True, False, True]
    # It is still found by its id, by its true time, and in the folder of its name.
    by_id = house.cleaner.protect(Choice(ids=(new.segment.id,)), on=True)
    start = START + timedelta(minutes=30)
    by_time = house.cleaner.protect(Choice(source="mic", start=start, end=start + timedelta(seconds=1)), on=True)
    house.work()
    assert [(told.found, told.error) for told in (by_id(), by_time()) if told] == [(1, None), (1, None)]
    size = house.cleaner.kept_bytes["mic"]
    new.path.unlink()
    house.work(seconds=4000)
    assert house.cleaner.kept_bytes["mic"] == size - new.segment.bytes


def linked(house: House, parts: list[FinishedSegment]) -> None:
    backup = house.folder / "backup.0"
    backup.mkdir()
    for one in parts:
        os.link(one.path, backup / one.path.name)


def short_for(house: House, seconds: int, least: int) -> None:
    """As the agent does: a look each second, and word to the cleaner while the disk is short."""
    for _ in range(seconds):
        house.disks.look()
        if (house.disks.main.room_bytes or 0) < least:
            house.cleaner.hurry()
        house.work(seconds=1)


def short_house(disk: Path, count: int = 6) -> tuple[House, list[FinishedSegment], int]:
    house = House(disk)
    parts = [
        house.files.finished(100, start=START + timedelta(minutes=10 * number), container="wav")
        for number in range(count)
    ]
    house.disks.look()
    assert house.disks.main.room_bytes is not None
    least = house.disks.main.room_bytes + 10_000
    house.rules = Rules(Retention(min_free_bytes=least), {})
    house.begin()
    return house, parts, least


def test_what_another_hard_link_keeps_is_not_deleted_for_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        house, parts, least = short_house(disk)
        linked(house, parts[:5])
        short_for(house, 30, least)
        assert [one.path.exists() for one in parts] == [True] * 5 + [False]
        (house.folder / "backup.0" / parts[3].path.name).unlink()
        fill(disk / "filler", least - 500_000)
        house.now_s += 3600
        short_for(house, 5, least)
        assert [one.path.exists() for one in parts] == [True, True, True, False, True, False]


def test_room_that_does_not_come_back_stops_the_deleting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        house, parts, least = short_house(disk)
        readers = [one.path.open("rb") for one in parts]
        try:
            short_for(house, 590, least)
            assert [one.path.exists() for one in parts] == [False] + [True] * 5
            assert sum("no room" in text for text in caplog.messages) == 1
            short_for(house, 30, least)
            assert sum(one.path.exists() for one in parts) == 4
        finally:
            for reader in readers:
                reader.close()


def test_room_that_comes_later_ends_the_wait(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        house, parts, least = short_house(disk)
        with parts[0].path.open("rb"):
            short_for(house, 5, least)
        short_for(house, 65, least)
        fill(disk / "filler", least - 500_000)
        short_for(house, 5, least)
        assert [one.path.exists() for one in parts] == [False, False, True, True, True, True]


def test_more_free_than_the_disk_has_is_not_acted_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40) as disk:
        house = House(disk, Retention(min_free_bytes=10**15), radio=Retention(min_free_bytes=36 << 20))
        parts = [house.recorded(minutes, source=source) for minutes in (0, 5) for source in ("mic", "radio")]
        short_for(house, 5, 10**15)
        assert all(one.path.exists() for one in parts)
