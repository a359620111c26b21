"""What a wrong clock has dated is where it really was, and segments and gaps still tile the time."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.times import ms_of
from agent.boot_clock import BootClock
from agent.clock_correction import Edges, corrected_gaps, corrected_segment, is_wrong, offset_ms, true_offset_ms
from agent.gaps import GapAccount
from agent.model import (
    Clock,
    CloseReason,
    Gap,
    GapCause,
    GapLine,
    Instant,
    RunEnded,
    RunStarted,
    Segment,
    SegmentClose,
    SegmentOpen,
    SplitHere,
    TitleAt,
    Unit,
)
from agent.segmenter import Segmenter
from agent.timeline import Timeline
from tests.agent.build import EPOCH_NS, NS, S16_MONO, UTC_ZONE, origin, pcm_frame, utc

TRUE_MS = EPOCH_NS // 1_000_000 - 1_000_000
BLOCK_S = 0.5
BOOT = origin().boot
AT = utc(100_000)
BLOCK = pcm_frame(round(48000 * BLOCK_S))


@dataclass
class World:
    """A box whose wall clock is set now and then, and one source of it. Everything is told by the boottime clock."""

    offset_ns: int
    boottime_ns: int = 1000 * NS
    clock: BootClock = field(default_factory=lambda: BootClock(BOOT))
    units: list[Unit] = field(default_factory=list)
    is_running: bool = False

    def now(self) -> Instant:
        return Instant(self.boottime_ns + self.offset_ns, self.boottime_ns, self.boottime_ns)

    def passes(self, blocks: int) -> None:
        for _ in range(blocks):
            self.boottime_ns += round(BLOCK_S * NS)
            if self.is_running:
                self.units.append(replace(BLOCK, received_at=self.now()))
            self.clock = self.clock.seen(self.now(), synchronized=False)

    def runs(self) -> None:
        if not self.is_running:
            self.units.append(RunStarted(S16_MONO, self.now()))
        self.is_running = True

    def ends(self, cause: GapCause) -> None:
        self.units.append(RunEnded(cause, None, self.now()))
        self.is_running = False

    def is_set(self, by_ms: int) -> None:
        self.offset_ns += by_ms * 1_000_000


STEPS_MS = st.integers(-90_000, 90_000).filter(lambda by: abs(by) > 11) | st.sampled_from([-20 * 10**11, 10**11, 500])
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 20)),
        st.tuples(st.just("set"), STEPS_MS),
        st.tuples(st.just("end"), st.sampled_from([GapCause.DISCONNECTED, GapCause.STOPPED, GapCause.DEVICE_LOST])),
        st.tuples(st.just("run"), st.none()),
        st.tuples(st.just("split"), st.none()),
    ),
    max_size=14,
)


def lived(deeds: list[tuple[str, object]], wrong_ms: int) -> World:
    """A boot: what happened while the clock was wrong, then it is set right, and audio goes on for a while."""
    world = World((TRUE_MS + wrong_ms) * 1_000_000)
    world.clock = world.clock.seen(world.now(), synchronized=False)
    for deed, what in [("run", None), ("pass", 4), *deeds]:
        match deed, what:
            case "pass", int():
                world.passes(what)
            case "set", int():
                # Looks and blocks show each step of the clock for itself.
                world.passes(6)
                world.is_set(what)
                world.passes(6)
            case "end", GapCause() if world.is_running:
                world.ends(what)
            case "run", _:
                world.runs()
            case "split", _:
                world.units.append(SplitHere(world.now()))
    world.is_set(TRUE_MS - world.offset_ns // 1_000_000)
    world.passes(6)
    world.clock = world.clock.seen(world.now(), synchronized=True)
    world.runs()
    world.units.append(SplitHere(world.now()))
    world.passes(8)
    world.ends(GapCause.AGENT_STOPPED)
    return world


def recorded(world: World) -> tuple[list[Segment], list[Gap]]:
    """What the line makes of it, as the sidecars and the ledger have it."""
    timeline, segmenter = Timeline(), Segmenter(period_s=5, zone=UTC_ZONE)
    account = GapAccount("mic", UTC_ZONE)
    opened: SegmentOpen | None = None
    segments, gaps = [], []
    entries = (
        entry
        for unit in world.units
        for dated in timeline.push(unit)
        for part in segmenter.push(dated)
        for entry in account.push(part)
    )
    for entry in entries:
        match entry:
            case SegmentOpen():
                opened = entry
            case SegmentClose():
                assert opened is not None
                segments.append(segment(opened, entry, world.clock))
            case GapLine(at="end"):
                gaps.append(entry.gap)
    return segments, gaps


def segment(opened: SegmentOpen, close: SegmentClose, clock: BootClock) -> Segment:
    is_known = not clock.is_before(opened.start_boottime_s)
    pairs = ((0, opened.start), (100, close.end))
    steps = (*opened.steps, *close.steps)
    return Segment(
        id="1",
        agent="shed",
        source="mic",
        boot=BOOT,
        run="r",
        file="f",
        container="flac",
        format=S16_MONO,
        start=opened.start,
        end=close.end,
        tz="UTC",
        samples=100,
        packets=None,
        bytes=1,
        payload_offset=0,
        aligned_start=True,
        reason=close.reason,
        clock=Clock(is_known, opened.start_boottime_s, None, opened.overlap_s, pairs, steps),
        gap_before=opened.gap_before,
        titles=(TitleAt("a", opened.start, 0.0),),
    )


def set_right(
    segments: list[Segment], gaps: list[Gap], clock: BootClock, before: list[Segment] | None = None
) -> tuple[list[Segment], list[Gap]]:
    """Everything corrected; `before` is how the segments were, where some are corrected already."""
    offsets = [(round((one.clock.start_boottime_s or 0) * 1000), offset_ms(one)) for one in segments]
    true_ms = true_offset_ms(clock, offsets)
    right = [corrected_segment(one, true_ms, AT) if is_wrong(one, clock) else one for one in segments]
    edges = [
        Edges(ms_of(was.start), ms_of(was.end), ms_of(now.start) - ms_of(was.start), (), _gap(was))
        for was, now in zip(before or segments, right, strict=True)
    ]
    fixed = {gap.id: gap for gap in corrected_gaps(gaps, set(), edges, clock, true_ms, AT)}
    return right, [fixed.get(gap.id, gap) for gap in gaps]


def _gap(one: Segment) -> str | None:
    return None if one.gap_before is None else one.gap_before.id


def stretches(segments: list[Segment], gaps: list[Gap]) -> list[tuple[int, int]]:
    ends = [(ms_of(gap.start), ms_of(gap.end)) for gap in gaps if gap.end is not None]
    return sorted([*ends, *((ms_of(one.start), ms_of(one.end)) for one in segments)])


@settings(deadline=None, max_examples=100)
@given(deeds=DEEDS, wrong_ms=STEPS_MS)
def test_segments_and_gaps_tile_the_true_time(deeds: list[tuple[str, object]], wrong_ms: int) -> None:
    world = lived(deeds, wrong_ms)
    segments, gaps = recorded(world)
    right, right_gaps = set_right(segments, gaps, world.clock)
    tiles = stretches(right, right_gaps)
    assert all(before[1] == after[0] for before, after in pairwise(tiles)), tiles
    assert all(begin <= end for begin, end in tiles)
    for one in right:
        assert one.clock.synchronized is True
        true_ms = round((one.clock.start_boottime_s or 0) * 1000) + TRUE_MS
        assert abs(ms_of(one.start) - true_ms) <= 12, "not when it was"
        assert (one.clock.map[0][1], one.clock.map[-1][1]) == (one.start, one.end)
        assert one.titles[0].at == one.start
    # From the first sample to the last: the run began at 1000 s of boottime.
    assert abs(tiles[0][0] - (TRUE_MS + 1_000_000)) <= 12
    assert abs(tiles[-1][1] - (TRUE_MS + world.boottime_ns // 1_000_000)) <= 12


@settings(deadline=None, max_examples=60)
@given(deeds=DEEDS, wrong_ms=STEPS_MS, some=st.randoms(use_true_random=False))
def test_it_comes_to_the_same_wherever_it_was_interrupted(
    deeds: list[tuple[str, object]], wrong_ms: int, some: object
) -> None:
    world = lived(deeds, wrong_ms)
    segments, gaps = recorded(world)
    right, right_gaps = set_right(segments, gaps, world.clock)
    assert set_right(right, right_gaps, world.clock, segments) == (right, right_gaps)
    # The ledger goes first; a kill leaves it done in part, or whole with a part of the sidecars.
    for done in range(len(gaps) + 1):
        assert set_right(segments, [*right_gaps[:done], *gaps[done:]], world.clock) == (right, right_gaps)
    for done in range(len(segments) + 1):
        assert set_right([*right[:done], *segments[done:]], right_gaps, world.clock, segments) == (right, right_gaps)


@settings(deadline=None, max_examples=60)
@given(deeds=DEEDS, wrong_ms=STEPS_MS)
def test_both_sides_of_a_step_tell_it(deeds: list[tuple[str, object]], wrong_ms: int) -> None:
    segments, _ = recorded(lived(deeds, wrong_ms))
    for before, after in pairwise(segments):
        if before.reason is CloseReason.CLOCK_STEP:
            (step,) = [step for step in before.clock.steps if step.at == before.end]
            assert step.by_s != 0
            moved_s = (after.start - before.end).total_seconds()
            if after.clock.steps and after.clock.steps[0].at == after.start:
                assert abs(sum(one.by_s for one in after.clock.steps if one.at == after.start) - moved_s) < 0.005
        assert all(one.at in (before.start, before.end) for one in before.clock.steps)


def test_a_gap_that_began_by_a_wrong_clock_and_ended_by_the_right_one() -> None:
    """The box starts in 1970, its stream answers once the network is there and the clock is right."""
    world = World(0)
    world.clock = world.clock.seen(world.now(), synchronized=False)
    world.passes(20)
    begun = datetime.fromtimestamp(1000 + 2, UTC)
    world.is_set(TRUE_MS)
    world.passes(2)
    world.clock = world.clock.seen(world.now(), synchronized=True)
    gap = Gap("g", "mic", begun, utc(30), GapCause.STARTING)
    (right,) = corrected_gaps(
        [gap], set(), [Edges(ms_of(utc(30)), ms_of(utc(60)), 0, (), "g")], world.clock, TRUE_MS, AT
    )
    assert (right.start, right.end) == (utc(2), utc(30))
    assert right.corrected is not None
    assert right.corrected.start_as_recorded == begun


def test_a_gap_since_an_earlier_boot_keeps_its_start() -> None:
    world = lived([("pass", 30)], 3_600_000)
    segments, _ = recorded(world)
    first = segments[0]
    for cause, begun_before in ((GapCause.AGENT_CRASHED, set()), (GapCause.STOPPED, {"g"})):
        gap = Gap("g", "mic", utc(-5000), first.start, cause)
        (right,) = _with(world, [replace(first, gap_before=gap)], gap, begun_before)
        assert right.start == utc(-5000)
        assert abs(ms_of(right.end or AT) - (TRUE_MS + 1_000_000)) <= 12


def test_a_gap_inside_a_segment_moves_with_it() -> None:
    world = lived([("pass", 10)], -7_200_000)
    segments, _ = recorded(world)
    start = segments[0].start
    filled = Gap("g", "mic", start, start + timedelta(seconds=0.2), GapCause.OVERRUN, filled_samples=9600)
    one = replace(segments[0], gaps=(filled,))
    right = corrected_segment(one, TRUE_MS, AT)
    edges = Edges(ms_of(one.start), ms_of(one.end), ms_of(right.start) - ms_of(one.start), ("g",))
    (in_ledger,) = corrected_gaps([filled], set(), [edges], world.clock, TRUE_MS, AT)
    assert right.gaps == (in_ledger,)
    assert (in_ledger.start, in_ledger.duration_s) == (right.start, 0.2)


def test_a_gap_inside_a_file_of_an_earlier_boot_stays_in_it() -> None:
    """A crash kept it out of the ledger; this boot wrote it down, whose wrong clock told that very time again."""
    world = lived([("pass", 30)], -7_200_000)
    segments, _ = recorded(world)
    for cause, at in ((GapCause.CORRUPT, segments[0].start), (GapCause.OVERRUN, segments[0].end)):
        gap = Gap("g", "mic", at, at + timedelta(seconds=0.2), cause, filled_samples=9600)
        assert _with(world, segments, gap, set()) == []


def _with(world: World, segments: list[Segment], gap: Gap, begun_before: set[str]) -> list[Gap]:
    true_ms = TRUE_MS
    edges = [
        Edges(ms_of(one.start), ms_of(one.end), true_ms - (offset_ms(one) or 0), (), _gap(one)) for one in segments
    ]
    return list(corrected_gaps([gap], begun_before, edges, world.clock, true_ms, AT))


def looks(clock: BootClock, offsets_ms: list[int], *, synchronized: bool = False) -> Iterator[BootClock]:
    for second, offset in enumerate(offsets_ms):
        now = Instant((second * 1000 + offset) * 1_000_000, second * NS, second * NS)
        clock = clock.seen(now, synchronized=synchronized)
        yield clock


def test_a_clock_that_is_set_and_right_at_once_is_looked_at_twice() -> None:
    *_, clock = looks(BootClock("b"), [0, 0, 0])
    assert clock.synchronized is None
    later = clock.seen(Instant((3000 + 77) * 1_000_000, 3 * NS, 0), synchronized=True)
    assert later.synchronized is None
    later = later.seen(Instant((4000 + 77) * 1_000_000, 4 * NS, 0), synchronized=True)
    assert later.synchronized is not None
    assert later.synchronized.offset_ms == 77
    assert [one.offset_ms for one in later.stretches] == [0, 77]
    again = later.seen(Instant(10**18, 5 * NS, 0), synchronized=False)
    assert again is later, "what happens after the first time is of no interest"


def test_small_moves_make_no_stretch() -> None:
    *_, clock = looks(BootClock("b"), [0, 3, -4, 9, 20])
    assert [one.offset_ms for one in clock.stretches] == [0, 20]
