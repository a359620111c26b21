"""Deletion: what is ours and due goes, the sidecar knows before it does, and nothing else is ever touched."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest

from agent.archive_format.sidecar import segment_from
from agent.errors import StorageError
from agent.model import Choice, FinishedSegment, Gap, GapCause, GapLine, Retention, Segment
from agent.retention import Rules
from agent.storage.beneath import NotOursError
from agent.storage.cleaner import Cleaner
from agent.storage.forgetting import forget_old
from agent.storage.forgotten import forgotten_before
from agent.storage.ledger import Ledger
from agent.storage.removal import ProtectedError, delete_audio
from agent.storage.reserve import Disks
from agent.storage.sidecars import Sidecars
from agent.storage.stock import Stock
from tests.agent.schemas import validate
from tests.agent.storage.crash import Killed, dying, tree
from tests.agent.verify.support import checks, found
from tests.agent.verify.test_verify import edited
from tests.archive.support import START, Recordings
from tests.parts.small_disk import fill, small_disk


class House:
    """A recordings folder and its cleaner, with a clock of its own."""

    def __init__(self, folder: Path, rules: Retention | None = None, **sources: Retention) -> None:
        self.folder = folder
        self.files = Recordings(folder)
        self.now = START + timedelta(hours=1)
        self.now_s = 0.0
        self.rules = Rules(rules or Retention(), sources)
        self.told: list[Segment] = []
        self.begin()

    synchronized: bool | None = True

    def begin(self) -> None:
        """A new process."""
        (self.folder / ".state").mkdir(parents=True, exist_ok=True)
        self.sidecars = Sidecars(self.folder, lambda finished: self.told.append(finished.segment))
        self.disks = Disks(self.folder, self.folder / ".state", [])
        self.cleaner = Cleaner(
            self.folder,
            self.rules,
            self.sidecars,
            self.disks,
            utc_now=lambda: self.now,
            now_s=lambda: self.now_s,
            synchronized=lambda: self.synchronized,
            forget_gaps=lambda source, before: bool(Ledger(self.folder, source).forget(before)),
        )

    def work(self, *, seconds: float = 0) -> None:
        """Everything that is to be done."""
        self.now_s += seconds
        for _ in range(10_000):
            if not self.cleaner.step():
                return
        raise AssertionError("there is no end to it")

    def recorded(self, minutes: float, *, source: str = "mic") -> FinishedSegment:
        return self.files.finished(2, start=START + timedelta(minutes=minutes), source=source)

    def delete(self, file: str, *, protected_too: bool = False) -> Segment:
        return delete_audio(self.folder, self.sidecars, file, self.now, "max_age", protected_too=protected_too)


def sidecar(one: FinishedSegment) -> Path:
    return one.path.with_suffix(".json")


def there(one: FinishedSegment) -> Segment:
    fields = json.loads(sidecar(one).read_bytes())
    validate("segment", fields)
    return segment_from(fields)


def test_the_audio_goes_and_the_rest_tells_of_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    one = house.recorded(0)
    levels = one.path.with_suffix(".levels.npy").read_bytes()
    gone = house.delete(one.segment.file)
    assert not one.path.exists()
    assert one.path.with_suffix(".levels.npy").read_bytes() == levels
    assert there(one) == gone
    assert house.told == [gone]
    assert gone.rev == one.segment.rev + 1
    assert gone.deleted is not None
    assert (gone.deleted.at, gone.deleted.why) == (house.now, "max_age")


def test_killed_at_any_moment_the_next_pass_finishes_it(tmp_path: Path) -> None:
    for before in range(20):
        house = House(tmp_path / str(before))
        one = house.recorded(0)
        house.now = datetime.now(UTC) + timedelta(minutes=1)
        levels = one.path.with_suffix(".levels.npy").read_bytes()
        with dying(before):
            try:
                house.delete(one.segment.file)
            except Killed:
                is_killed = True
            else:
                is_killed = False
        known = there(one)
        assert one.path.exists() or known.deleted is not None
        if one.path.exists():
            assert one.path.stat().st_size == known.bytes
        house.told.clear()
        house.begin()
        if known.deleted is not None and one.path.exists():
            # As if the clock had gone on: the sidecar is younger than the audio.
            touch_later(one)
            house.work()
            assert house.told == [known]
        elif one.path.exists():
            house.delete(one.segment.file)
        assert not one.path.exists()
        assert there(one).deleted is not None
        assert there(one).rev == one.segment.rev + 1
        assert one.path.with_suffix(".levels.npy").read_bytes() == levels
        assert not list(house.folder.rglob("*.tmp"))
        if not is_killed:
            assert before >= 6
            return
    raise AssertionError("it was killed every time")


def touch_later(one: FinishedSegment) -> None:
    later = one.path.stat().st_mtime + 60
    os.utime(sidecar(one), (later, later))


def test_what_a_killed_change_left_behind_is_swept_up(tmp_path: Path) -> None:
    house = House(tmp_path)
    one = house.recorded(0)
    left = one.path.with_suffix(".json.tmp")
    left.write_text("{")
    house.work()
    assert not left.exists()
    assert one.path.exists()


@pytest.mark.parametrize(
    "file",
    [
        "mic/notes.txt",
        "mic/2026/11/22/song.flac",
        "../mic/2026/11/22/mic_2026-11-22T14-00-00.000+0100.flac",
        "/etc/2026/11/22/mic_2026-11-22T14-00-00.000+0100.flac",
        "mic/../../22/mic_2026-11-22T14-00-00.000+0100.flac",
        "radio/2026/11/22/mic_2026-11-22T14-00-00.000+0100.flac",
        "mic/2026/11/22/mic_2026-11-22T14-00-00.000+0100.flac.part",
        "mic/clips/11/22/../mic_2026-11-22T14-00-00.000+0100.flac",
    ],
)
def test_no_other_name_is_ever_deleted(tmp_path: Path, file: str) -> None:
    house = House(tmp_path)
    house.recorded(0)
    before = tree(tmp_path)
    with pytest.raises(NotOursError):
        house.delete(file)
    assert tree(tmp_path) == before


def spoilt(one: FinishedSegment, how: str) -> None:
    fields = json.loads(sidecar(one).read_bytes())
    match how:
        case "no sidecar":
            sidecar(one).unlink()
        case "no JSON":
            sidecar(one).write_text("{")
        case "another file":
            sidecar(one).write_text(json.dumps({**fields, "file": "mic/2026/11/22/other.flac"}))
        case "another source":
            sidecar(one).write_text(json.dumps({**fields, "source": "radio"}))
        case "another size":
            one.path.write_bytes(one.path.read_bytes() + b"more")
        case "a link":
            elsewhere = one.path.parents[4] / "elsewhere.flac"
            one.path.rename(elsewhere)
            one.path.symlink_to(elsewhere)
        case "a folder":
            one.path.unlink()
            one.path.mkdir()
        case "a linked sidecar":
            elsewhere = one.path.parents[4] / "elsewhere.json"
            sidecar(one).rename(elsewhere)
            sidecar(one).symlink_to(elsewhere)
        case "a linked day":
            day = one.path.parent
            moved = one.path.parents[4] / "moved"
            day.rename(moved)
            day.symlink_to(moved)


WRONG = [
    *("no sidecar", "no JSON", "another file", "another source", "another size"),
    *("a link", "a folder", "a linked sidecar", "a linked day"),
]


@pytest.mark.parametrize("how", WRONG)
def test_what_is_not_as_its_sidecar_says_stays(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    house = House(tmp_path / "root", Retention(max_age_s=60.0, max_size_bytes=0))
    one, other = house.recorded(0), house.recorded(5)
    spoilt(one, how)
    before = tree(tmp_path)
    with pytest.raises(NotOursError):
        house.delete(one.segment.file)
    assert tree(tmp_path) == before
    house.work()
    house.work(seconds=4000)
    mine = {str(one.path.relative_to(tmp_path)), str(sidecar(one).relative_to(tmp_path))} | {
        path for path in before if "elsewhere" in path or "moved" in path
    }
    # (In a day that is a link nothing is found at all.)
    assert other.path.exists() == (how == "a linked day")
    after = tree(tmp_path)
    assert {path: after.get(path) for path in mine} == {path: before.get(path) for path in mine}
    assert sum("leaves" in text for text in caplog.messages) <= 1


def test_protected_ones_stay_and_the_others_go(tmp_path: Path) -> None:
    house = House(tmp_path, Retention(max_age_s=60.0))
    first, second = house.recorded(0), house.recorded(5)
    house.work()
    assert not first.path.exists()
    house = House(tmp_path / "again", Retention(max_age_s=60.0))
    first, second = house.recorded(0), house.recorded(5)
    house.sidecars.change(first.segment.file, lambda known: replace(known, protected=True))
    with pytest.raises(ProtectedError):
        house.delete(first.segment.file)
    house.work()
    assert first.path.exists()
    assert not second.path.exists()
    house = House(tmp_path / "again", Retention(max_age_s=60.0, protected_too=True))
    house.work()
    assert not first.path.exists()
    assert there(first).protected


def test_a_command_protects_by_id_and_by_time_and_survives(tmp_path: Path) -> None:
    house = House(tmp_path, Retention(max_age_s=60.0))
    house.now = START
    parts = [house.recorded(minutes) for minutes in (0, 5, 10, 15)]
    radio = house.recorded(5, source="radio")
    house.work()
    by_id = house.cleaner.protect(Choice(ids=(parts[0].segment.id, "0192-nonsense")), on=True)
    start, end = START + timedelta(minutes=5, seconds=1), START + timedelta(minutes=10, seconds=1)
    by_time = house.cleaner.protect(Choice(source="mic", start=start, end=end), on=True)
    house.work()
    told, done = by_id(), by_time()
    assert told is not None
    assert done is not None
    assert (told.found, told.changed) == (1, 1)
    assert told.error == "there is no finished segment 0192-nonsense"
    assert (done.found, done.changed, done.error) == (2, 2, None)
    assert [there(one).protected for one in parts] == [True, True, True, False]
    assert [there(one).rev for one in parts] == [2, 2, 2, 1]
    assert not there(radio).protected
    assert len(house.told) == 3
    again = house.cleaner.protect(Choice(ids=(parts[0].segment.id,)), on=True)
    house.work()
    assert (outcome := again()) is not None
    assert (outcome.found, outcome.changed) == (1, 0)
    house.now = START + timedelta(days=1)
    house.begin()
    house.work()
    assert [one.path.exists() for one in (*parts, radio)] == [True, True, True, False, False]
    free = house.cleaner.protect(Choice(ids=(parts[0].segment.id,)), on=False)
    house.work()
    assert (outcome := free()) is not None
    assert outcome.changed == 1
    house.work(seconds=61)
    assert not parts[0].path.exists()


def test_changes_of_several_are_all_kept(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    house = House(tmp_path)
    one = house.recorded(0)

    def more(_: int) -> None:
        house.sidecars.change(one.segment.file, lambda known: replace(known, payload_offset=known.payload_offset + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(more, range(40)))
    assert there(one).rev == 41
    assert there(one).payload_offset == one.segment.payload_offset + 40
    assert [told.rev for told in sorted(house.told, key=lambda told: told.rev)] == list(range(2, 42))


def test_one_that_never_had_a_clock_does_not_grow_old(tmp_path: Path) -> None:
    house = House(tmp_path, Retention(max_age_s=60.0))
    one = house.recorded(0)
    house.sidecars.change(
        one.segment.file, lambda known: replace(known, clock=replace(known.clock, synchronized=False))
    )
    house.work()
    assert one.path.exists()
    later = there(one).end + timedelta(days=400)
    house.sidecars.change(
        one.segment.file,
        lambda known: replace(known, end=later, clock=replace(known.clock, synchronized=True)),
    )
    house.work(seconds=61)
    assert one.path.exists()


def test_a_clock_that_has_run_away_makes_nothing_old(tmp_path: Path) -> None:
    house = House(tmp_path, Retention(max_age_s=60.0, ledger_max_age_s=60.0))
    one = house.recorded(0)
    true, house.now, house.synchronized = house.now, house.now + timedelta(days=5000), False
    house.work(seconds=4000)
    house.work(seconds=61)
    assert one.path.exists()
    house.now, house.synchronized = true + timedelta(days=1), True
    house.work(seconds=61)
    assert not one.path.exists()


def test_new_segments_count_and_the_oldest_goes(tmp_path: Path) -> None:
    house = House(tmp_path)
    size = house.recorded(0).segment.bytes
    house.rules = Rules(Retention(max_size_bytes=size * 5 // 2), {})
    house.begin()
    house.work()
    made = []
    for minutes in (5, 10, 15):
        made.append(house.recorded(minutes))
        house.cleaner.finished(made[-1])
        house.work(seconds=1)
    assert len(list(tmp_path.rglob("*.flac"))) == 2
    assert [one.path.exists() for one in made] == [False, True, True]
    assert there(made[0]).deleted is not None
    assert {path.name for path in tmp_path.rglob("*.levels.npy")} == {
        *(one.path.with_suffix(".levels.npy").name for one in made),
        "mic_2026-11-22T14-00-00.000+0100.levels.npy",
    }


def test_what_somebody_else_deleted_or_brought_is_seen_at_the_next_walk(tmp_path: Path) -> None:
    house = House(tmp_path)
    first, second = house.recorded(0), house.recorded(5)
    stock = Stock(tmp_path)
    for _ in stock.walk():
        pass
    assert [one.file for one in stock.segments] == [first.segment.file, second.segment.file]
    assert stock.bytes["mic"] == first.segment.bytes + second.segment.bytes
    first.path.unlink()
    third = house.recorded(10)
    for _ in stock.walk():
        pass
    assert [one.file for one in stock.segments] == [second.segment.file, third.segment.file]
    assert stock.bytes["mic"] == second.segment.bytes + third.segment.bytes
    for path in (second.path, third.path):
        for suffix in (".flac", ".json", ".levels.npy"):
            path.with_suffix(suffix).unlink()
    sidecar(first).unlink()
    first.path.with_suffix(".levels.npy").unlink()
    second.path.parent.rmdir()
    for _ in stock.walk():
        pass
    assert stock.segments == []
    assert stock.bytes["mic"] == 0


def gap(start_h: float, end_h: float | None, at: str = "end", cause: GapCause = GapCause.STALL) -> GapLine:
    end = None if end_h is None else START + timedelta(hours=end_h)
    return GapLine(at, Gap(f"{start_h}", "mic", START + timedelta(hours=start_h), end, cause))


def test_what_is_left_of_old_audio_is_forgotten_when_that_is_asked_for(tmp_path: Path) -> None:
    house = House(tmp_path, Retention(max_age_s=3600.0, ledger_max_age_s=5 * 86400.0))
    old, kept = house.recorded(0), house.recorded(8 * 24 * 60)
    (old.path.parent / "notes.txt").write_text("mine")
    ledger = Ledger(tmp_path, "mic")
    for line in (gap(0, 1), gap(1, 2), gap(191, 192), gap(193, None, "begin"), gap(193, 194, "midnight")):
        ledger.append(line)
    house.now = START + timedelta(days=8, hours=3)
    house.work()
    assert not old.path.exists()
    assert sidecar(old).exists()
    house.work(seconds=20)
    assert not sidecar(old).exists()
    assert not old.path.with_suffix(".levels.npy").exists()
    assert [path.name for path in old.path.parent.iterdir()] == ["notes.txt"]
    assert sidecar(kept).exists()
    text = (tmp_path / "mic" / "gaps.jsonl").read_text()
    assert [json.loads(line)["id"] for line in text.splitlines()] == ["191", "193", "193"]
    assert (open_gap := ledger.open_gap()) is not None
    assert open_gap.id == "193"
    (old.path.parent / "notes.txt").unlink()
    house.work(seconds=3601)
    assert not old.path.parent.exists()
    assert old.path.parents[1].exists() == any(old.path.parents[1].iterdir())


def test_what_was_forgotten_is_not_taken_for_lost(tmp_path: Path) -> None:
    """Around a protected segment everything is gone, sidecars and lines of the ledger: on purpose."""
    house = House(tmp_path, Retention(max_age_s=3600.0, ledger_max_age_s=5 * 86400.0))
    house.recorded(0)
    protected = house.recorded(30)
    edited(protected.path, protected=True)
    for line in (gap(0, 1), gap(1, 190)):
        Ledger(tmp_path, "mic").append(line)
    house.recorded(190 * 60)
    assert forgotten_before(tmp_path / "mic") is None
    house.now = START + timedelta(days=8, hours=3)
    for _ in range(4):
        house.work(seconds=30)
    assert sidecar(protected).exists()
    before = forgotten_before(tmp_path / "mic")
    assert before is not None
    assert START + timedelta(days=3) <= before <= house.now - timedelta(days=5)
    assert "hole" not in checks(found(tmp_path))
    (tmp_path / "mic" / "gaps.forgotten").write_text("[")
    assert "hole" in checks(found(tmp_path))


def test_the_newest_gap_that_ended_is_never_forgotten(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "mic")
    ledger.append(gap(0, 1))
    ledger.append(gap(1, 2))
    assert ledger.forget(START + timedelta(days=100))
    assert ledger.last_end() == START + timedelta(hours=2)
    assert not ledger.forget(START + timedelta(days=100))


def test_compacting_loses_nothing_that_is_written_meanwhile(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "mic")
    ledger.append(gap(0, 1))

    def write_and_forget(number: int) -> None:
        own = Ledger(tmp_path, "mic")
        own.append(gap(1000 + number, 1001 + number))
        own.append(gap(1 + number, 2 + number))
        own.forget(START + timedelta(hours=500))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_forget, range(50)))
    text = (tmp_path / "mic" / "gaps.jsonl").read_text()
    ids = [json.loads(line)["id"] for line in text.splitlines()]
    assert sorted(ids) == sorted(f"{1000 + number}" for number in range(50))


def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "mic" / "gaps.jsonl").mkdir(parents=True)
    with pytest.raises(StorageError):
        Ledger(tmp_path, "mic").forget(START)


def test_a_ledger_that_cannot_be_read_keeps_no_other_source_from_forgetting(tmp_path: Path) -> None:
    rules = Rules(Retention(ledger_max_age_s=86400.0), {})
    for source in ("a", "b", "c"):
        (tmp_path / source / "2026/11/22").mkdir(parents=True)
    asked: list[str] = []

    def forget(source: str, before: datetime) -> bool:
        asked.append(source)
        if source == "a":
            raise StorageError("cannot read the gap ledger")
        return False

    with pytest.raises(StorageError):
        list(forget_old(tmp_path, rules, START + timedelta(days=9), forget))
    assert asked == ["a", "b", "c"]


def test_folders_are_never_followed_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    house = House(outside, Retention(max_size_bytes=0))
    one = house.recorded(0)
    root.mkdir()
    (root / "mic").symlink_to(outside / "mic")
    inside = House(root, Retention(max_size_bytes=0, ledger_max_age_s=60.0))
    inside.work()
    inside.work(seconds=20)
    assert one.path.exists()
    with pytest.raises(NotOursError):
        inside.delete(one.segment.file)
    assert PurePosixPath(one.segment.file).parts[0] == "mic"


def is_full(house: House) -> bool:
    return house.disks.main.is_full


def test_a_full_disk_is_relieved_at_once_and_by_no_more_than_it_takes(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40) as disk:
        house = House(disk, Retention(min_free_bytes=1 << 20))
        parts = [
            house.files.finished(100, start=START + timedelta(minutes=minutes), container="wav")
            for minutes in range(0, 60, 10)
        ]
        house.sidecars.change(parts[0].segment.file, lambda known: replace(known, protected=True))
        house.work()
        house.disks.look()
        assert all(one.path.exists() for one in parts)
        fill(disk / "filler", 300_000)
        house.disks.look()
        assert is_full(house)
        house.work(seconds=61)
        assert not is_full(house)
        assert (disk / ".state" / "reserve").exists()
        assert [one.path.exists() for one in parts] == [True, False, False, True, True, True]
        assert (gone := there(parts[1]).deleted) is not None
        assert gone.why == "min_free"


def test_without_rules_a_full_disk_costs_nothing_that_was_recorded(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40) as disk:
        house = House(disk)
        one = house.recorded(0)
        house.work()
        fill(disk / "filler", 0)
        house.disks.look()
        house.work(seconds=4000)
        assert one.path.exists()
        assert is_full(house)
