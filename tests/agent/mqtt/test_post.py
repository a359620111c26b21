"""The outbox with its disk: full, broken, cleared, and files that were closed behind its back."""

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from agent.archive_format.sidecar import encode, segment_json
from agent.archive_format.times import to_ms
from agent.model import Notice, Segment
from agent.mqtt.outbox import FILE
from agent.mqtt.post import Bounds, Post
from tests.agent.build import utc
from tests.agent.mqtt.rig import closed, heard


class Box:
    """A post in a folder, on a clock of its own, with a broker that takes everything."""

    def __init__(self, folder: Path, *, bounds: Bounds | None = None) -> None:
        self.folder = folder
        self.recordings = folder / "recordings"
        self.recordings.mkdir(exist_ok=True)
        self.now_s = 1000.0
        self.bounds = bounds
        self.notices: list[Notice] = []
        self.begin()

    def begin(self) -> None:
        """A new process."""
        self.post = Post(
            self.folder / FILE,
            self.recordings,
            ("mic", "radio"),
            boot="boot",
            utc_now=self.utc_now,
            now_s=lambda: self.now_s,
            bounds=self.bounds,
        )
        self.post.notify = self.notices.append

    def utc_now(self) -> datetime:
        return to_ms(utc(self.now_s))

    def put(self, *segments: Segment) -> None:
        for segment in segments:
            self.post.put_segment(segment, self.now_s, self.utc_now())
        self.step()

    def hear(self, *numbers: int) -> None:
        for number in numbers:
            self.post.put_event(heard(number), self.now_s, self.utc_now())
        self.step()

    def step(self, seconds: float = 0.5) -> None:
        self.post.step()
        self.now_s += seconds
        self.post.step()

    def deliver(self) -> list[tuple[int, str]]:
        """Number and id of everything that can be sent."""
        found = []
        self.post.connected(10)
        for _ in range(200):
            while (letter := self.post.next()) is not None:
                self.post.sent(letter)
                self.post.acknowledged(letter)
                body = json.loads(letter.payload)
                found.append((body["seq"], body["id"]))
            self.step(1.0)
        return found

    def record(self, number: int, source: str = "mic", *, rev: int = 1) -> Segment:
        """A segment on disk; so many tens of seconds after the hour."""
        segment = segment_of(number, source)
        folder = self.recordings / source / f"{segment.start:%Y/%m/%d}"
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{source}_{segment.start:%Y-%m-%dT%H-%M-%S}.000+0000"
        sidecar = folder / f"{stem}.json"
        sidecar.write_bytes(encode(segment_json(replace(segment, rev=rev))))
        return segment

    def codes(self) -> list[str]:
        return [str(notice.code) for notice in self.notices]

    def kill(self) -> None:
        assert self.post._outbox is not None
        self.post._outbox.close()
        self.begin()


def segment_of(number: int, source: str = "mic") -> Segment:
    return closed(number, source).segment


def ids(segments: list[Segment]) -> list[str]:
    return [segment.id for segment in segments]


def test_history_is_not_told_by_a_new_outbox_and_a_notice_says_so(tmp_path: Path) -> None:
    box = Box(tmp_path)
    for number in range(1, 4):
        box.record(number)
    box.step()
    assert box.codes() == ["outbox_new"]
    assert box.deliver() == []
    later = box.record(4)
    box.kill()
    box.step()
    assert box.deliver() == [(1, later.id)]
    box.post.close()


def test_where_nothing_was_recorded_there_is_nothing_to_say(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.step()
    assert box.codes() == []
    first = box.record(1, "radio")
    box.kill()
    box.step()
    assert box.deliver() == [(1, first.id)], "closed in the very first run, just before it was killed"
    box.post.close()


def test_what_was_closed_just_before_a_kill_gets_its_row_in_order(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.step()
    box.put(box.record(1), box.record(2, "radio"))
    missed = [box.record(3), box.record(4), box.record(5, "radio")]
    # A day later, after midnight, and a file that is none.
    tomorrow = box.record(8640 + 1)
    (box.recordings / "mic" / "2026" / "11" / "22" / "mic_2026-11-22T14-00-00.000+0000.json").write_bytes(b"{torn")
    (box.recordings / "mic" / "2026" / "11" / "22" / "notes.json").write_bytes(b"{}")
    (box.recordings / "mic" / "2026" / "02" / "31").mkdir(parents=True)
    box.kill()
    box.put(missed[1], tomorrow)
    told = [name for _, name in box.deliver()]
    assert sorted(told) == sorted(ids([segment_of(1), segment_of(2, "radio"), *missed, tomorrow]))
    mic = [name for name in told if name not in ids([segment_of(2, "radio"), missed[2]])]
    assert mic == ids([segment_of(1), *missed[:2], tomorrow])
    box.post.close()


def test_only_the_days_that_matter_are_read(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.step()
    box.put(box.record(1))
    old = box.recordings / "mic" / "2026" / "11" / "20"
    old.mkdir(parents=True)
    trap = old / "mic_2026-11-25T00-00-00.000+0000.json"
    trap.write_bytes(encode(segment_json(segment_of(30_000))))
    box.kill()
    box.step()
    assert box.deliver() == [(1, segment_of(1).id)]
    box.post.close()


def test_a_correction_that_was_not_told_is_told(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.step()
    box.put(box.record(1), box.record(2))
    box.record(1, rev=2)
    corrected = box.record(2, rev=2)
    box.kill()
    box.step()
    assert box.deliver() == [(1, segment_of(1).id), (2, corrected.id), (3, corrected.id)]
    box.post.close()


def test_a_stop_while_looking_leaves_the_rest_for_the_next_start(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.step()
    box.put(box.record(1))
    missed = [box.record(number) for number in range(2, 6)]
    box.kill()
    looks = iter([False, False, True])
    box.post.stopping = lambda: next(looks, True)
    box.post.put_segment(box.record(6), box.now_s, box.utc_now())
    box.hear(9)
    box.put(box.record(7))
    box.post.close()
    box.begin()
    box.step()
    told = [name for _, name in box.deliver()]
    assert sorted(told) == sorted([segment_of(1).id, *ids(missed), segment_of(6).id, segment_of(7).id, heard(9).id]), (
        "nothing missing, nothing twice"
    )
    box.post.close()


def test_overflow_drops_events_first_and_leaves_a_notice_with_the_range(tmp_path: Path) -> None:
    box = Box(tmp_path, bounds=Bounds(rows=5))
    box.put(segment_of(1))
    box.hear(2, 3)
    box.put(segment_of(4), segment_of(5), segment_of(6), segment_of(7), segment_of(8))
    assert box.codes() == []
    box.kill()
    box.step()
    told = box.deliver()
    assert [seq for seq, _ in told] == [4, 5, 6, 7, 8]
    (notice,) = box.notices
    assert (notice.code, notice.text) == ("outbox_overflow", "3 messages dropped between seq 1 and 3")
    box.put(segment_of(9))
    box.kill()
    box.step()
    box.deliver()
    assert len(box.notices) == 1, "told once"
    box.post.close()


def test_bytes_are_bounded_too(tmp_path: Path) -> None:
    box = Box(tmp_path, bounds=Bounds(bytes=5000))
    box.put(*(segment_of(number) for number in range(1, 20)))
    facts = box.post.facts()
    assert facts.dropped + facts.depth == 19
    assert 0 < facts.depth < 10
    assert box.post._lanes.bytes <= 5000
    assert facts.dropped_lately
    box.post.close()


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.put(segment_of(1))
    box.now_s += timedelta(days=31).total_seconds()
    box.put(segment_of(2))
    box.step()
    assert box.post.facts().depth == 1
    assert [seq for seq, _ in box.deliver()] == [2]
    box.post.close()


def full(box: Box) -> None:
    assert box.post._outbox is not None
    execute = box.post._outbox._connection.execute
    pages = execute("PRAGMA page_count").fetchone()[0]
    execute(f"PRAGMA max_page_count = {pages}")


def room(box: Box) -> None:
    assert box.post._outbox is not None
    box.post._outbox._connection.execute("PRAGMA max_page_count = 1000000")


def test_a_full_disk_keeps_messages_in_memory_and_tries_again(tmp_path: Path) -> None:
    box = Box(tmp_path, bounds=Bounds(unwritten=40))
    box.put(segment_of(1))
    full(box)
    box.put(*(segment_of(number) for number in range(2, 30)))
    box.put(*(segment_of(number) for number in range(30, 32)))
    assert box.codes() == ["outbox_unwritable"]
    assert box.post.facts().unwritable
    before = box.post.facts().depth
    assert before == 31
    room(box)
    box.step(6)
    assert not box.post.facts().unwritable
    told = box.deliver()
    assert sorted(told) == [(number, segment_of(number).id) for number in range(1, 32)]
    assert box.codes() == ["outbox_unwritable"]
    box.post.close()


def test_a_disk_that_stays_full_costs_the_oldest_events_first(tmp_path: Path) -> None:
    box = Box(tmp_path, bounds=Bounds(unwritten=40))
    box.step()
    full(box)
    box.put(*(segment_of(number) for number in range(1, 31)))
    box.hear(*range(100, 120))
    assert box.post.facts().dropped == 10
    room(box)
    box.step(6)
    told = box.deliver()
    assert [seq for seq, _ in sorted(told)] == list(range(1, 41)), "no hole: they had no number yet"
    assert box.codes() == ["outbox_unwritable", "outbox_overflow"]
    assert "10 dropped before they had a seq" in box.notices[-1].text
    box.post.close()


def test_a_state_folder_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    box = Box(tmp_path)
    shutil.rmtree(tmp_path)
    box.put(segment_of(1))
    assert box.codes() == ["outbox_unwritable"]
    box.recordings.mkdir(parents=True)
    box.step(6)
    assert [seq for seq, _ in box.deliver()] == [1]
    box.post.close()


def test_damage_that_shows_while_it_runs_begins_a_new_epoch(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.put(segment_of(1), segment_of(2))
    letter = box.post.next()
    assert letter is not None
    box.post.sent(letter)
    assert box.post._outbox is not None
    box.post._outbox._connection.execute("DELETE FROM rows WHERE seq = 2")
    box.post.acknowledged(letter)
    assert box.post.next() is None
    assert box.codes() == ["outbox_broken"]
    box.put(segment_of(3))
    box.post.refused(letter, "an answer of old")
    box.post.acknowledged(letter)
    told = box.deliver()
    assert told == [(1, segment_of(3).id)]
    assert len([path for path in tmp_path.iterdir() if ".broken-" in path.name]) >= 1
    box.post.close()


def test_a_new_life_after_a_lost_file_is_another_epoch(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.step()
    box.put(box.record(1))
    first = box.post._epoch
    box.post.close()
    (tmp_path / FILE).unlink()
    box.begin()
    box.put(box.record(2))
    assert box.post._epoch != first
    assert box.deliver() == [(1, segment_of(2).id)]
    assert box.codes() == ["outbox_new"]
    box.post.close()
