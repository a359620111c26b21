"""What was recorded before the clock was synchronised is corrected on disk, whatever comes in between."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.archive_format.ledger import read_ledger
from agent.archive_format.sidecar import encode, gap_json, segment_from, segment_json
from agent.model import (
    ClockStep,
    CloseReason,
    FinishedSegment,
    Gap,
    GapCause,
    GapLine,
    Instant,
    Notice,
    NoticeCode,
    Segment,
    SegmentClose,
    SegmentOpen,
)
from agent.storage.boots import Boots
from agent.storage.checksums import Checksums
from agent.storage.corrections import Corrections
from agent.storage.ledger import Ledger
from agent.storage.sidecars import Sidecars
from agent.storage.writer import SegmentWriter
from tests.agent.build import EPOCH_NS, NS, S16_MONO, UTC_ZONE, at, origin, pcm_frame, pushed, utc
from tests.agent.schemas import validate
from tests.agent.storage.crash import Killed, dying, tree
from tests.agent.storage.test_writer import data

BOOT = origin().boot
WRONG_S = -90_000.0
"""More than a day behind: other folders."""


class Box:
    """A recordings folder of a box whose clock is wrong by `WRONG_S`, and set right after 2 s."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recordings, self.state = folder / "recordings", folder / "state"
        self.told: list[FinishedSegment] = []
        self.notices: list[Notice] = []
        self.lines: list[GapLine] = []
        self.is_synchronized = False
        self.now_s = 0.0
        self.restarted()

    def restarted(self, boot: str = BOOT) -> None:
        """Another start of the agent."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.boots = Boots(self.state, boot, self.recordings, ["mic"])
        self.sidecars = Sidecars(self.recordings, self.told.append)
        self.corrections = Corrections(
            self.recordings,
            self.boots,
            self.sidecars,
            ["mic"],
            UTC_ZONE,
            told=self.lines.append,
            notify=self.notices.append,
            utc_now=lambda: utc(500),
            now_s=lambda: self.now_s,
        )

    def writer(self) -> SegmentWriter:
        return SegmentWriter(
            self.recordings,
            origin(),
            pcm_container="flac",
            sync_interval_s=2.0,
            synchronized=lambda: self.is_synchronized,
        )

    def record(
        self, true_s: float, wrong_s: float, *, gap: Gap | None = None, reason: CloseReason, step_s: float = 0.0
    ) -> FinishedSegment:
        """Half a second that began then, by a clock that was wrong by so much, and was set when it ended."""
        files = self.writer()
        pushed(files, opened(true_s, wrong_s, gap))
        end_s = true_s + wrong_s + 0.5
        pushed(files, data(pcm_frame(24000, end_s), end_s))
        steps = (ClockStep(utc(end_s), step_s),) if step_s else ()
        finished = pushed(files, SegmentClose(utc(end_s), reason, False, None, steps=steps))
        assert finished is not None
        return finished

    def ledger(self, gap: Gap) -> Gap:
        Ledger(self.recordings, "mic").append(GapLine("begin", replace(gap, end=None)))
        Ledger(self.recordings, "mic").append(GapLine("end", gap))
        return gap

    def look(self, true_s: float, wrong_s: float = 0.0) -> None:
        moment = at(true_s)
        wall_ns = EPOCH_NS + round((true_s + wrong_s) * NS)
        self.corrections.look(Instant(wall_ns, moment.boottime_ns, moment.monotonic_ns), self.is_synchronized)

    def run(self, most: int = 1000) -> None:
        for _ in range(most):
            if not self.corrections.step():
                return
        raise AssertionError("there is no end to it")

    def settle(self) -> None:
        """Long enough for everything to be told."""
        self.run()
        self.now_s += 11
        self.look(100 + self.now_s)
        self.run()

    def segments(self) -> list[Segment]:
        found = []
        for path in self.recordings.glob("mic/*/*/*/*.json"):
            body = json.loads(path.read_bytes())
            validate("segment", body)
            found.append(segment_from(body))
        return sorted(found, key=lambda one: one.clock.start_boottime_s or 0.0)

    def gaps(self) -> list[Gap]:
        path = self.recordings / "mic" / "gaps.jsonl"
        lines = list(read_ledger(path.read_bytes()).values())
        for line in lines:
            validate("gap", gap_json(line.gap, at=line.at))
        return [line.gap for line in lines]

    def saved(self) -> dict[str, Any]:
        return dict(json.loads((self.state / "clock.json").read_bytes())["boots"][-1])


def opened(true_s: float, wrong_s: float, gap: Gap | None = None) -> SegmentOpen:
    return SegmentOpen(utc(true_s + wrong_s), 1000 + true_s, S16_MONO, aligned_start=False, gap_before=gap)


def lost(number: int, start_s: float, end_s: float, cause: GapCause = GapCause.DEVICE_LOST) -> Gap:
    return Gap(f"01920000-0000-7000-8000-00000000000{number}", "mic", utc(start_s), utc(end_s), cause)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """Half a second, a gap of half a second, half a second that the step ends, half a second behind it."""
    box = Box(tmp_path / "box")
    box.look(-0.2, WRONG_S)
    starting = box.ledger(lost(1, WRONG_S - 0.1, WRONG_S, GapCause.STARTING))
    box.record(0.0, WRONG_S, gap=starting, reason=CloseReason.GAP)
    away = box.ledger(lost(2, WRONG_S + 0.5, WRONG_S + 1))
    box.record(1.0, WRONG_S, gap=away, reason=CloseReason.CLOCK_STEP, step_s=-WRONG_S)
    stepped = box.ledger(lost(3, WRONG_S + 1.5, 1.5, GapCause.CLOCK_STEP))
    box.is_synchronized = True
    box.record(1.5, 0.0, gap=stepped, reason=CloseReason.BOUNDARY)
    box.look(1.7)
    return box


def judge(box: Box) -> None:
    """Everything is where it was, and says what it was."""
    segments, gaps = box.segments(), box.gaps()
    assert [(one.start, one.end) for one in segments] == [(utc(s), utc(s + 0.5)) for s in (0, 1, 1.5)]
    assert [one.rev for one in segments] == [2, 2, 2]
    assert [one.clock.synchronized for one in segments] == [True, True, True]
    assert [one.clock.corrected is not None for one in segments] == [True, True, False]
    wrong = segments[0].clock.corrected
    assert wrong is not None
    assert (wrong.at, wrong.start_as_recorded) == (utc(500), utc(WRONG_S))
    assert segments[1].clock.steps == (ClockStep(utc(1.5), -WRONG_S),)
    assert [(gap.start, gap.end) for gap in gaps] == [(utc(-0.1), utc(0)), (utc(0.5), utc(1)), (utc(1.5), utc(1.5))]
    assert [one.gap_before for one in segments] == gaps
    tiles = sorted([*((one.start, one.end) for one in segments), *((gap.start, gap.end) for gap in gaps)])
    assert all(before[1] == after[0] for before, after in pairwise(tiles))
    for one in segments:
        assert (box.recordings / one.file).is_file()
        assert box.recordings.joinpath(one.file).with_suffix(".json").is_file()


def test_everything_of_the_boot_is_corrected_once_the_clock_is_right(box: Box) -> None:
    names = set(tree(box.recordings))
    box.run()
    assert box.told == [], "one look is not enough"
    box.look(2.7)
    box.settle()
    judge(box)
    assert set(tree(box.recordings)) == names
    assert [(one.segment.id, one.segment.rev) for one in box.told] == [(one.id, 2) for one in box.segments()]
    (notice,) = box.notices
    assert notice.code is NoticeCode.CLOCK_CORRECTED
    assert "2 recordings" in notice.text
    assert "90000.000 s" in notice.text
    assert box.saved()["done"] == ["mic"]
    before = tree(box.folder)
    box.restarted()
    box.settle()
    assert tree(box.folder) == before
    assert len(box.told) == 3, "nothing is told twice once all of it was told"


@pytest.mark.parametrize("reboots", [False, True])
def test_a_kill_at_any_operation_is_made_good_by_the_next_start(box: Box, tmp_path: Path, *, reboots: bool) -> None:
    before = tmp_path / "before"
    shutil.copytree(box.folder, before)
    for number in range(200):
        shutil.rmtree(box.folder)
        shutil.copytree(before, box.folder)
        box.told.clear()
        box.restarted()
        box.look(1.7)  # what was seen last is remembered
        try:
            with dying(number):
                box.look(2.7)
                box.run()
        except Killed:
            pass
        else:
            break
        box.restarted("another" if reboots else BOOT)
        if not reboots:
            box.look(3.7)
            box.look(4.7)
        if not reboots or json.loads((box.state / "clock.json").read_bytes())["boots"][0]["synchronized"]:
            box.settle()
            judge(box)
            told = {(one.segment.id, one.segment.rev) for one in box.told}
            assert told == {(one.id, 2) for one in box.segments()}
    else:
        raise AssertionError("it never came to its end")
    assert number > 20


def test_an_open_segment_is_left_alone_and_corrected_when_it_is_closed(box: Box) -> None:
    """The clock is right without a step: nothing moves, and the segment goes on."""
    box.is_synchronized = False
    files = box.writer()
    pushed(files, opened(2.0, 0.0))
    pushed(files, data(pcm_frame(24000, 2.5), 2.5))
    box.is_synchronized = True
    box.look(2.7)
    parts = {path: path.read_bytes() for path in box.recordings.rglob("*.part")}
    box.settle()
    assert {path: path.read_bytes() for path in box.recordings.rglob("*.part")} == parts
    assert box.saved()["done"] == []
    finished = pushed(files, SegmentClose(utc(2.5), CloseReason.BOUNDARY, False, None))
    assert finished is not None
    assert finished.segment.clock.synchronized is False, "it was not, when it began"
    box.corrections.put(finished)
    box.settle()
    last = box.segments()[-1]
    assert (last.rev, last.clock.synchronized, last.start) == (2, True, utc(2.0))
    assert last.clock.corrected is not None
    assert box.saved()["done"] == ["mic"]


@pytest.mark.parametrize("closed", ["before", "meanwhile", "later"])
def test_what_overlapped_with_a_time_that_was_wrong_does_not_any_more(tmp_path: Path, closed: str) -> None:
    """The clock was ahead. What is recorded once it is right comes to the time that the wrong one told."""
    box = Box(tmp_path / "box")
    box.look(-0.2, 10.0)
    box.record(0.0, 10.0, reason=CloseReason.CLOCK_STEP, step_s=-10.0)
    box.is_synchronized = True
    box.look(1.0)
    files = box.writer()
    for number, start_s in enumerate((9.9, 20.0)):
        overlap_s = 10.5 - start_s if not number else 2.5
        if (number, closed) == (0, "later"):
            box.look(2.0)
            box.settle()
        pushed(files, replace(opened(start_s, 0.0), overlap_s=overlap_s))
        if (number, closed) == (0, "meanwhile"):
            box.look(2.0)
            box.settle()
        pushed(files, data(pcm_frame(24000, start_s + 0.5), start_s + 0.5))
        finished = pushed(files, SegmentClose(utc(start_s + 0.5), CloseReason.COMMAND, False, None))
        assert finished is not None
        if closed != "before":
            box.corrections.put(finished)
    box.look(2.0)
    box.settle()
    assert [one.clock.overlap_s for one in box.segments()] == [0.0, 0.0, 2.5]
    assert [one.rev for one in box.segments()] == [2, 2, 1]
    assert [one.segment.rev for one in box.told if one.segment.start == utc(9.9)] == [2]
    assert box.saved()["done"] == ["mic"]


def test_a_checksum_and_a_correction_both_stay(box: Box) -> None:
    first = box.segments()[0]
    path = box.recordings / first.file
    path.with_suffix(".json").write_bytes(encode(segment_json(replace(first, sha256=None))))
    checksums = Checksums(box.recordings, box.sidecars)
    checksums.put(FinishedSegment(replace(first, sha256=None), path))
    checksums.step()
    box.look(2.7)
    while checksums.step() | box.corrections.step():
        continue
    now = box.segments()[0]
    assert (now.rev, now.sha256, now.start) == (3, first.sha256, utc(0.0))


def test_a_gap_that_lasts_when_the_clock_is_set_is_corrected_when_it_ends(box: Box) -> None:
    gap = lost(4, 2.0, 30.0)
    began = replace(gap, start=utc(WRONG_S + 1.4))
    Ledger(box.recordings, "mic").append(GapLine("begin", replace(began, end=None)))
    box.look(2.7)
    box.settle()
    assert box.saved()["done"] == []
    box.ledger(began)
    box.now_s += 11
    box.look(31)
    box.run()
    (told,) = [one for one in box.gaps() if one.id == gap.id]
    assert told.start == utc(1.4)


def test_what_a_boot_recorded_that_never_learned_the_time_stays(box: Box) -> None:
    box.restarted("another")
    box.is_synchronized = True
    before = tree(box.recordings)
    for second in range(5):
        box.look(10.0 + second)
    box.settle()
    assert tree(box.recordings) == before
    assert box.told == []


def test_a_disk_that_takes_nothing_is_tried_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    box.look(2.7)
    with monkeypatch.context() as patched:
        patched.setattr("agent.storage.ledger.append_durably", full)
        box.run()
    assert box.told == []
    box.now_s += 61
    box.look(80)
    box.settle()
    judge(box)


def test_a_state_file_that_is_none_is_begun_anew(box: Box) -> None:
    (box.state / "clock.json").write_text('{"boots": [{}]}')
    box.restarted()
    assert box.saved()["boot"] == BOOT


def test_a_file_that_is_closed_while_it_is_looked_for_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gap before it is told by it: the clock was set back meanwhile, so the ledger alone does not know its end."""
    box, ahead_s = Box(tmp_path), 3600.0
    box.look(-0.2, ahead_s)
    box.record(0.0, ahead_s, reason=CloseReason.GAP)
    gap = lost(4, ahead_s + 0.5, ahead_s + 0.5)
    box.ledger(gap)
    box.look(10.0)
    box.is_synchronized = True
    files = box.writer()
    pushed(files, opened(20.0, 0.0, gap))
    pushed(files, data(pcm_frame(24000, 20.5), 20.5))
    files.settle()
    looked_at: list[str] = []
    real = Path.glob

    def glob(folder: Path, pattern: str) -> Iterator[Path]:
        if pattern in ("mic_*.json", "mic_*.json.part") and len(looked_at) < 2:
            looked_at.append(pattern)
            if len(looked_at) == 2:  # between the two looks at its folder
                finished = pushed(files, SegmentClose(utc(20.5), CloseReason.BOUNDARY, False, None))
                assert finished is not None
                box.corrections.put(finished)
        return real(folder, pattern)

    monkeypatch.setattr(Path, "glob", glob)
    box.look(20.6)
    box.look(21.6)
    box.settle()
    assert len(looked_at) == 2
    (told,) = [one for one in box.gaps() if one.id == gap.id]
    assert (told.start, told.end) == (utc(0.5), utc(20))
