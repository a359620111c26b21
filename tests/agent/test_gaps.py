import random
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.ledger import ledger_line, open_gap, read_ledger
from agent.archive_format.sidecar import gap_json
from agent.archive_format.times import from_ns, to_ns
from agent.filler import Filler
from agent.gaps import GapAccount
from agent.model import (
    Break,
    CloseReason,
    Entry,
    Frame,
    Gap,
    GapCause,
    GapLine,
    Instant,
    Loss,
    Part,
    RunEnded,
    RunStarted,
    RunStarting,
    SegmentClose,
    SegmentOpen,
    SplitHere,
    Unit,
)
from agent.segmenter import Segmenter
from agent.timeline import Timeline
from tests.agent.build import EPOCH_NS, NS, S16_MONO, UTC_ZONE, utc
from tests.agent.schemas import validate

BERLIN = ZoneInfo("Europe/Berlin")


def opened(seconds: float) -> SegmentOpen:
    return SegmentOpen(utc(seconds), seconds, S16_MONO, aligned_start=False)


def broken(cause: GapCause, seconds: float) -> Break:
    return Break(cause, None, EPOCH_NS + round(seconds * NS))


def push_all(account: GapAccount, parts: list[Part]) -> list[Entry]:
    return [entry for part in parts for entry in account.push(part)]


def finished_gaps(entries: list[Entry]) -> list[Gap]:
    """What the ledger says in the end; every line is written, read and checked on the way."""
    lines = [entry for entry in entries if isinstance(entry, GapLine)]
    for line in lines:
        validate("gap", gap_json(line.gap, at=line.at))
    data = b"".join(ledger_line(line) for line in lines)
    return [line.gap for line in read_ledger(data).values()]


class Clock:
    """Makes what a source says: boottime runs, the wall clock may be set."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_ns = 0
        self.wall_ns = EPOCH_NS + self.rng.randrange(86_400) * NS
        self.units: list[Unit] = []

    def at(self) -> Instant:
        return Instant(self.wall_ns + self.now_ns, 1000 * NS + self.now_ns, 1000 * NS + self.now_ns)

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS)

    def audio(self, blocks: int, *, burst: int = 0) -> None:
        for number in range(burst + blocks):
            self.wait(0.05 if number >= burst else 0.0)
            self.units.append(Frame(bytes(4800), 2400, S16_MONO, self.at()))

    def run(self, steps: int) -> None:
        """One run of the source with whatever may happen in it."""
        rng = self.rng
        self.units.append(RunStarting(self.at()))
        self.wait(rng.choice([0.0, 0.2, 5.0]))
        if rng.random() < 0.8:
            self.units.append(RunStarted(S16_MONO, self.at()))
            self.audio(rng.choice([1, 3, 30]), burst=rng.choice([0, 0, 60]))
            for _ in range(steps):
                happening = rng.choice(["audio", "split", "loss", "step", "stall", "late burst"])
                if happening == "split":
                    self.units.append(SplitHere(self.at()))
                elif happening == "loss":
                    self.wait(rng.choice([0.0, 0.3, 20.0]))
                    self.units.append(Loss(GapCause.OVERRUN, "overrun", self.at()))
                elif happening == "step":
                    self.wall_ns += rng.choice([-72_000, -10, 5, 36_000]) * NS // 10
                elif happening == "stall":
                    self.wait(1.0)
                    self.audio(0, burst=20)
                elif happening == "late burst":
                    self.audio(0, burst=rng.choice([1, 40]))
                self.audio(rng.choice([1, 10, 60]))
        causes = [GapCause.DISCONNECTED, GapCause.STALL, GapCause.REFUSED, GapCause.DEVICE_LOST, GapCause.STOPPED]
        self.units.append(RunEnded(rng.choice(causes), None, self.at()))
        self.wait(rng.choice([0.5, 90.0, 40_000.0]))


@given(st.integers(0, 1 << 32), st.integers(1, 4), st.sampled_from([5, 60, 900]), st.sampled_from([0, 1, 60]))
@settings(max_examples=120)
def test_segments_and_gaps_tile_the_time_since_the_first_request(
    seed: int, runs: int, period_s: int, fill_s: int
) -> None:
    """Whatever a source says: in the order of what happened, each stretch begins where the one before ended.

    The one exception is audio that was there before its gap ended by the clock, and then it is stated. What lies where
    other audio does says how far that reaches.
    """
    clock = Clock(seed)
    for _ in range(runs):
        clock.run(clock.rng.randrange(6))
    timeline, segmenter = Timeline(), Segmenter(period_s=period_s, zone=BERLIN)
    account, filler = GapAccount("mic", BERLIN), Filler(up_to_ns=fill_s * NS)
    entries: list[Entry] = []
    first_at = from_ns(clock.units[0].at.wall_ns if isinstance(clock.units[0], RunStarting) else 0)
    for unit in clock.units:
        moment = unit.received_at if isinstance(unit, Frame) else getattr(unit, "at")  # noqa: B009 - any other unit
        whole = [one for dated in timeline.push(unit) for one in filler.push(dated)]
        for dated in (*whole, *filler.tick(moment)):
            for part in segmenter.push(dated):
                entries += account.push(part)
        entries += account.tick(moment.wall_ns)
    for dated in filler.let_go():
        for part in segmenter.push(dated):
            entries += account.push(part)
    finished_gaps(entries)

    edge: datetime = first_at
    begun: dict[str, datetime] = {}
    ends: list[datetime] = []
    stepped = False
    for entry in entries:
        if isinstance(entry, GapLine) and entry.at == "begin":
            assert entry.gap.start == edge or stepped
            begun[entry.gap.id] = edge = entry.gap.start
        elif isinstance(entry, GapLine) and entry.at == "end":
            assert entry.gap.start == begun.pop(entry.gap.id)
            assert entry.gap.end is not None
            edge = entry.gap.end
        elif isinstance(entry, SegmentOpen):
            assert not begun, "a segment opens while a gap lasts"
            assert entry.start <= edge
            overlaps_s = [(other - entry.start).total_seconds() for other in (edge, *ends)]
            assert any(entry.overlap_s == pytest.approx(one, abs=0.0011) for one in overlaps_s) or entry.gap_before
            assert entry.overlap_s >= overlaps_s[0] - 0.0011 or entry.gap_before is not None
            edge = entry.start
        elif isinstance(entry, SegmentClose):
            assert entry.end >= edge
            edge = entry.end
            ends.append(edge)
        stepped = isinstance(entry, SegmentClose) and entry.reason is CloseReason.CLOCK_STEP
    assert len(begun) == 1, "the last run has ended, so one gap lasts"


def test_a_gap_begins_where_the_audio_ended_and_ends_where_it_begins_again() -> None:
    account = GapAccount("mic", UTC_ZONE)
    entries = push_all(account, [broken(GapCause.STALL, 1.0), opened(4.5)])
    assert [type(entry) for entry in entries] == [GapLine, GapLine, SegmentOpen]
    (gap,) = finished_gaps(entries)
    assert (gap.start, gap.end, gap.cause, gap.duration_s) == (utc(1), utc(4.5), GapCause.STALL, 3.5)
    assert isinstance(entries[2], SegmentOpen)
    assert entries[2].gap_before == gap
    assert account.open_gap is None


NOT_ASKED = {GapCause.STOPPED, GapCause.SCHEDULED}
SOFT = {
    GapCause.STARTING,
    GapCause.AGENT_STOPPED,
    GapCause.AGENT_CRASHED,
    GapCause.OVERRUN,
    GapCause.SUSPENDED,
    *NOT_ASKED,
}


@pytest.mark.parametrize("old", [cause for cause in GapCause if cause is not GapCause.CLOCK_STEP])
@pytest.mark.parametrize("new", [cause for cause in GapCause if cause is not GapCause.CLOCK_STEP])
def test_a_cause_gives_way_to_another_or_stands(old: GapCause, new: GapCause) -> None:
    account = GapAccount("mic", UTC_ZONE)
    entries = push_all(account, [broken(old, 0), broken(new, 10), opened(30)])
    gaps = finished_gaps(entries)
    if old is new:
        gives_way = False
    elif new is GapCause.STARTING:
        gives_way = old in NOT_ASKED
    elif new is GapCause.AGENT_STOPPED:
        gives_way = old not in NOT_ASKED
    else:
        gives_way = new in NOT_ASKED or old in SOFT
    assert [gap.cause for gap in gaps] == ([old, new] if gives_way else [old])
    assert gaps[0].start == utc(0)
    assert gaps[-1].end == utc(30)
    for gap, following in zip(gaps, gaps[1:], strict=False):
        assert gap.end == following.start == utc(10)


@given(st.lists(st.tuples(st.sampled_from(list(GapCause)), st.integers(-50, 50)), max_size=12))
def test_any_order_of_breaks_is_tiled_by_one_gap_at_a_time(breaks: list[tuple[GapCause, int]]) -> None:
    account = GapAccount("mic", UTC_ZONE)
    entries = push_all(account, [broken(cause, seconds) for cause, seconds in breaks])
    entries += push_all(account, [opened(100)])
    gaps = finished_gaps(entries)
    for gap, following in zip(gaps, gaps[1:], strict=False):
        assert gap.end == following.start
    assert all(gap.end is not None and gap.end >= gap.start for gap in gaps)
    if gaps:
        assert gaps[-1].end == utc(100)


def test_a_step_forward_is_missing_time_and_a_step_back_is_not() -> None:
    forward = finished_gaps(push_all(GapAccount("mic", UTC_ZONE), [broken(GapCause.CLOCK_STEP, 5), opened(65)]))
    assert [(gap.cause, gap.duration_s) for gap in forward] == [(GapCause.CLOCK_STEP, 60.0)]
    back = push_all(GapAccount("mic", UTC_ZONE), [broken(GapCause.CLOCK_STEP, 5), opened(1)])
    assert back == [opened(1)]


def test_a_gap_from_before_this_start_goes_on() -> None:
    old = Gap("01920000-0000-7000-8000-000000000000", "mic", utc(-3600), None, GapCause.AGENT_CRASHED)
    account = GapAccount("mic", UTC_ZONE, open_gap=old)
    entries = push_all(account, [broken(GapCause.STARTING, 0), opened(2)])
    assert finished_gaps(entries) == [replace(old, end=utc(2))]


def test_a_gap_that_lasts_over_midnight_has_a_line_for_each() -> None:
    account = GapAccount("mic", BERLIN)
    began_ns = EPOCH_NS
    entries = push_all(account, [broken(GapCause.STOPPED, 0)])
    midnights = []
    for minute in range(1, 3 * 24 * 60):
        now_ns = began_ns + minute * 60 * NS
        lines = list(account.tick(now_ns))
        midnights += [line.gap.end for line in lines]
        assert all(line.at == "midnight" for line in lines)
        entries += lines
    assert [end.astimezone(BERLIN).isoformat() for end in midnights if end] == [
        "2026-11-23T00:00:00+01:00",
        "2026-11-24T00:00:00+01:00",
        "2026-11-25T00:00:00+01:00",
    ]
    (gap,) = finished_gaps(entries)
    assert gap.end == midnights[-1]
    data = b"".join(ledger_line(entry) for entry in entries if isinstance(entry, GapLine))
    assert open_gap(read_ledger(data)) == account.open_gap


def test_a_gap_that_began_just_after_midnight_has_no_line_for_that_midnight() -> None:
    account = GapAccount("mic", UTC_ZONE)
    midnight = datetime(2026, 11, 23, tzinfo=UTC_ZONE)
    began = midnight + timedelta(milliseconds=50)
    list(account.begin(GapCause.STALL, began))
    assert list(account.tick(to_ns(midnight + timedelta(milliseconds=100)))) == []


def test_without_a_gap_midnight_passes_in_silence() -> None:
    midnight_ns = to_ns(datetime(2026, 11, 23, tzinfo=UTC_ZONE))
    assert list(GapAccount("mic", UTC_ZONE).tick(midnight_ns + NS)) == []


def test_of_the_midnights_that_nobody_saw_the_newest_has_a_line() -> None:
    """The agent was stopped for a week: the line of the last midnight says what those before it would have said."""
    old = Gap("01920000-0000-7000-8000-000000000000", "mic", utc(0), None, GapCause.AGENT_STOPPED)
    account = GapAccount("mic", BERLIN, open_gap=old)
    now_ns = to_ns(datetime(2026, 11, 29, 12, tzinfo=BERLIN))
    midnight = datetime(2026, 11, 29, tzinfo=BERLIN)
    assert list(account.tick(now_ns)) == [GapLine("midnight", replace(old, end=midnight))]
    assert list(account.tick(now_ns + NS)) == []
    assert account.open_gap == old
    again = GapAccount("mic", BERLIN, open_gap=old, told_until=midnight)
    assert list(again.tick(now_ns + 2 * NS)) == [], "another start on the same day has nothing to add"
