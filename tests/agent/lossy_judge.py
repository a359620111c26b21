"""What was injected, held against files, sidecars, ledger and account. The units' own numbers are the judge."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from agent import clock
from agent.archive_format.ledger import read_ledger
from agent.archive_format.sidecar import segment_from
from agent.archive_format.times import to_ns
from agent.model import Gap, GapCause, Segment, Today
from agent.verify.finding import Finding
from agent.verify.places import groups
from agent.verify.run import Verifier
from tests.agent.build import NS
from tests.agent.lossy import Rig
from tests.agent.lossy_source import Injected, LossySource
from tests.agent.lossy_stream import numbers

Numbers = NDArray[np.int64]
_MS = 1_000_000
_JOINS_NS = 1_000_000


@dataclass(frozen=True)
class Loss:
    """A true loss on the wall clock. Of one whose place nobody can know (`is_placed`), only the length is judged."""

    cause: GapCause
    begins_ns: int
    ends_ns: int

    @property
    def length_ns(self) -> int:
        return max(0, self.ends_ns - self.begins_ns)


@dataclass(frozen=True)
class File:
    """A finished file: its sidecar, and the numbers of its units; 0 where silence was filled in."""

    segment: Segment
    units: Numbers


@dataclass
class Judge:
    """`begun_ns` is when the source was first asked to record, `ended_ns` when it ended; `within_ns` how exact a gap
    has to be. A burst of `burst_ns` may reach back into what was told of as a gap,
    and `twice_most` of its packets be twice, because eight are needed to know them again."""

    rig: Rig
    source: LossySource
    files: list[File]
    begun_ns: int
    within_ns: int
    burst_ns: int = 0
    twice_most: int = 0

    @property
    def gaps(self) -> list[Gap]:
        """The ledger, without the gap that lasts, and what a boundary has cut in two as one."""
        found: list[Gap] = []
        for line in self._lines():
            gap, before = line, found[-1] if found else None
            if before is not None and before.filled_samples and gap.filled_samples and before.end == gap.start:
                found[-1] = Gap(before.id, gap.source, before.start, gap.end, gap.cause, gap.detail, 1)
            else:
                found.append(gap)
        return found

    def judge(self) -> None:
        """All of it."""
        self.each_unit_is_in_one_file()
        truth = self.truth()
        self.the_ledger_is_the_truth(truth)
        self.sidecars_say_the_same()
        self.it_tiles()
        self.today_is_true(truth)
        self.verify_finds_nothing()

    def truth(self) -> list[Loss]:
        """What is missing, by the numbers of what is there."""
        kept = self._kept()
        at = np.flatnonzero(np.diff(kept) != 1)
        holes = [(int(kept[low]) + 1, int(kept[low + 1])) for low in at]
        found = []
        for one in self.source.injected:
            if not one.is_within:
                hole = (one.first, one.end)
                assert hole in holes or one.first == one.end, f"{one}: the holes nearby are {_near(holes, one)}"
                holes = [other for other in holes if other != hole]
                found.append(self._loss(one, *hole))
                continue
            own = [hole for hole in holes if one.first <= hole[0] and hole[1] <= one.end]
            holes = [hole for hole in holes if hole not in own or one.ends_ns is not None]
            if one.cause is GapCause.DISK_FULL and (not own or own[0][0] > one.first + 5 * self.source.units_per_s):
                own.insert(0, (0, 0))  # The line broke, and the queue lost nothing by it.
            found += [self._loss(one, *hole) for hole in own or [(0, 0)]]
        assert not holes, f"lost and never injected: {holes}"
        return found

    def each_unit_is_in_one_file(self) -> None:
        """In order, none twice; each file begins when its first unit was made, and ends with its last."""
        for file in self.files:
            segment, units = file.segment, file.units
            silent_ns = round(int(np.argmax(units != 0)) / self.source.units_per_s * NS)
            off_ns = to_ns(segment.start) + silent_ns - self.source.wall_ns(int(units[units != 0][0]))
            assert abs(off_ns) <= self.within_ns, f"{segment.file} is off by {off_ns / NS:+.3f} s"
            filled = sum(gap.filled_samples for gap in segment.gaps)
            assert filled == int((units == 0).sum()), f"{segment.file}: {filled} samples are told of as filled"
            self._filled_in_place(file)

    def _filled_in_place(self, file: File) -> None:
        """Silence stands where samples are missing, and only there."""
        numbers = file.units[file.units != 0]
        missing = int(numbers[-1] - numbers[0]) + 1 - len(numbers)
        slept_ns = to_ns(file.segment.end) - to_ns(file.segment.start)
        runs = np.flatnonzero(np.diff((file.units == 0).astype(np.int8), prepend=0, append=0))
        for low, high in zip(runs[::2].tolist(), runs[1::2].tolist(), strict=True):
            at = self.source.wall_ns(int(file.units[low - 1]) + 1, is_end=True) if low else None
            gap = [one for one in file.segment.gaps if at is not None and abs(to_ns(one.start) - at) <= self.within_ns]
            assert low == 0 or gap, f"{file.segment.file}: silence from sample {low} to {high} is not listed"
        assert missing == 0 or runs.size, f"{missing} samples are missing within {slept_ns / NS:.3f} s without silence"

    def the_ledger_is_the_truth(self, truth: list[Loss]) -> None:
        """Each loss once, with its cause and its length."""
        told = self.gaps
        listed = "\n".join(
            [
                f"told  {gap.cause:15} {gap.start:%H:%M:%S.%f} {_length_ns(gap) / NS:8.3f} {gap.filled_samples}"
                for gap in told
            ]
            + [f"truth {one.cause:15} {_utc(one.begins_ns):%H:%M:%S.%f} {one.length_ns / NS:8.3f}" for one in truth]
        )
        assert [gap.cause for gap in told] == [one.cause for one in truth], listed
        for gap, one in zip(told, truth, strict=True):
            off_ns = _length_ns(gap) - one.length_ns
            assert abs(off_ns) <= self.within_ns, f"{gap} is {off_ns / NS:+.3f} s too long\n{listed}"
            if one.begins_ns:
                off_ns = to_ns(gap.start) - one.begins_ns
                assert abs(off_ns) <= self.within_ns, f"{gap} begins {off_ns / NS:+.3f} s late\n{listed}"

    def sidecars_say_the_same(self) -> None:
        """What is filled is in the file that it is filled in; every other gap is before the file that ended it."""
        lines = self._lines()
        inside = [gap for file in self.files for gap in file.segment.gaps]
        assert inside == [gap for gap in lines if gap.filled_samples]
        before = [file.segment.gap_before for file in self.files if file.segment.gap_before is not None]
        last = [
            gap
            for gap, after in pairwise([*lines, None])
            if gap and not gap.filled_samples and not _gives_way(gap, after)
        ]
        assert before == last

    def it_tiles(self) -> None:
        """Segments and gaps follow one another from the first wish to record until now; what overlaps is flagged."""
        edge_ns = furthest_ns = self.begun_ns
        slack_ns = self.burst_ns + _JOINS_NS
        gaps = [gap for gap in self._lines() if not gap.filled_samples]
        for file in self.files:
            segment = file.segment
            while (
                gaps
                and abs(to_ns(gaps[0].start) - edge_ns) <= _JOINS_NS
                and _ends_ns(gaps[0]) <= to_ns(segment.start) + slack_ns
            ):
                edge_ns = _ends_ns(gaps.pop(0))
            hole_ns = to_ns(segment.start) - edge_ns
            overlap_ns = round(segment.clock.overlap_s * NS)
            assert _JOINS_NS >= hole_ns >= -overlap_ns - slack_ns, f"{hole_ns / NS:+.6f} s before {segment.file}"
            twice_ns = max(0, furthest_ns - to_ns(segment.start))
            assert overlap_ns <= twice_ns + _JOINS_NS, f"{segment.file} lies over {twice_ns / NS} s, no more"
            edge_ns = to_ns(segment.end)
            furthest_ns = max(furthest_ns, edge_ns)
        assert not gaps
        lasting = self.rig.board.of("mic").gap
        assert lasting is not None
        assert lasting.cause is GapCause.STOPPED
        assert abs(to_ns(lasting.start) - edge_ns) <= _JOINS_NS

    def today_is_true(self, truth: list[Loss]) -> None:
        """The account that was kept since the last start, and one that is read from disk now."""
        now_ms = clock.now().wall_ns // _MS
        there = np.zeros(now_ms - self.begun_ns // _MS + 120_000, np.int8)
        origin_ms = self.begun_ns // _MS - 120_000

        def mark(begins_ns: int, ends_ns: int, what: int) -> None:
            span = there[max(0, begins_ns // _MS - origin_ms) : max(0, ends_ns // _MS - origin_ms)]
            span[span < what] = what

        for low, high in self._stretches():
            mark(self.source.wall_ns(low), self.source.wall_ns(high + 1, is_end=True), 2)
        for one in truth:
            if one.cause.missing:
                mark(one.begins_ns, one.ends_ns, 1)
        for gap in self._lines():
            if gap.filled_samples:  # unless there is audio of the same time, because the clock was set back
                mark(to_ns(gap.start), _ends_ns(gap), 1)
        fresh = self.rig.account()
        fresh.add("mic")
        for account in (self.rig.completeness, fresh):
            while account.step():
                pass
            today = self.rig.board.of("mic").today
            assert isinstance(today, Today)
            expected = [int(np.isin(there, what).sum()) / 1000 for what in (2, 1)]
            assert [today.recorded_s, today.missing_s] == pytest.approx(expected, abs=1.0), (today, expected)

    def verify_finds_nothing(self) -> None:
        """`isr-agent verify`, in this process."""
        found: list[Finding] = []
        verifier = Verifier(now=clock.utc_now, progress=lambda _done, _total: None, tell=found.append)
        verifier.check([list(groups(self.rig.recordings))])
        assert not found, "\n".join(map(str, found))

    def _kept(self) -> Numbers:
        """All that was recorded, in order, without the few packets of a burst that are too few to be known again."""
        joined = np.concatenate([file.units for file in self.files])
        joined = joined[joined != 0]
        before = np.maximum.accumulate(np.concatenate(([0], joined[:-1])))
        again = np.flatnonzero(joined <= before)
        for units in np.split(again, np.flatnonzero(np.diff(again) != 1) + 1):
            assert len(units) <= self.twice_most, f"{joined[units[0]]} came again behind {joined[units[0] - 1]}"
        kept: Numbers = joined[joined > before]
        return kept

    def _stretches(self) -> list[tuple[int, int]]:
        """First and last of what follows without a break; a step or a sleep is one too."""
        kept = self._kept()
        breaks = np.flatnonzero(np.diff(kept) != 1) + 1
        moved = [int(np.searchsorted(kept, at)) for at in self.source.moved_at]
        edges = sorted({0, len(kept), *breaks.tolist(), *moved})
        return [(int(kept[low]), int(kept[high - 1])) for low, high in pairwise(edges) if low < high]

    def _lines(self) -> list[Gap]:
        lines = read_ledger((self.rig.recordings / "mic" / "gaps.jsonl").read_bytes())
        return [line.gap for line in lines.values() if line.at == "end"]

    def _loss(self, one: Injected, first: int, end: int) -> Loss:
        begins_ns = self.source.wall_ns(first, is_end=True) if first else 0
        ends_ns = self.source.wall_ns(end) if end else 0
        return Loss(one.cause, one.begins_ns or begins_ns, one.ends_ns or ends_ns)


def stream_files(recordings: Path) -> list[File]:
    """The files of a stream, in order."""
    return [
        File(segment, numbers(recordings / segment.file, segment.payload_offset)) for segment in _segments(recordings)
    ]


def card_files(recordings: Path) -> list[File]:
    """The files of a card, in order."""
    found = []
    for segment in _segments(recordings):
        samples, _ = soundfile.read(recordings / segment.file, dtype="int32")
        found.append(File(segment, np.asarray(samples, np.int64)))
    return found


def _segments(recordings: Path) -> list[Segment]:
    bodies = [json.loads(path.read_bytes()) for path in (recordings / "mic").glob("*/*/*/*.json")]
    return sorted(map(segment_from, bodies), key=lambda segment: segment.clock.start_boottime_s or 0.0)


def _gives_way(gap: Gap, after: Gap | None) -> bool:
    """Whether one gap ended only because the next began there."""
    return after is not None and not after.filled_samples and after.start == gap.end


def _length_ns(gap: Gap) -> int:
    return _ends_ns(gap) - to_ns(gap.start)


def _ends_ns(gap: Gap) -> int:
    return to_ns(gap.end or gap.start)


def _near(holes: list[tuple[int, int]], one: Injected) -> list[tuple[int, int]]:
    return sorted(holes, key=lambda hole: abs(hole[0] - one.first))[:3]


def _utc(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / NS, UTC)
