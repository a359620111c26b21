"""Timeline and segmenter together, on simulated clocks: what arrives when never changes what was made when."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.archive_format.names import segment_name, start_of
from agent.archive_format.times import to_ns
from agent.filler import Filler
from agent.model import (
    Break,
    CloseReason,
    Frame,
    GapCause,
    Instant,
    RunStarted,
    SegmentClose,
    SegmentData,
    SegmentOpen,
    Unit,
)
from agent.segmenter import Segmenter
from agent.timeline import Timeline
from tests.agent.build import EPOCH_NS, MP3_STEREO, NS, UTC_ZONE, together
from tests.agent.simulated_card import FORMAT, RATE, Card

CUT_WITHIN_NS = 20_000_000


@dataclass
class Cut:
    opened: SegmentOpen
    frames: list[Frame] = field(default_factory=list)
    close: SegmentClose | None = None

    @property
    def samples(self) -> int:
        return sum(frame.samples for frame in self.frames)

    @property
    def counters(self) -> "np.ndarray[tuple[int], np.dtype[np.uint32]]":
        return np.frombuffer(b"".join(frame.data for frame in self.frames), "<u4")


def line(
    units: Iterable[Unit], *, period_s: int = 5, zone: ZoneInfo = UTC_ZONE, fill_s: float = 0.0
) -> tuple[list[Cut], list[Break]]:
    """The segments and breaks that come of it; the last segment may be open."""
    timeline, filler = Timeline(), Filler(up_to_ns=round(fill_s * NS))
    segmenter = Segmenter(period_s=period_s, zone=zone)
    cuts: list[Cut] = []
    breaks: list[Break] = []
    for unit in units:
        for dated in timeline.push(unit):
            for whole in filler.push(dated):
                for part in segmenter.push(whole):
                    if isinstance(part, SegmentOpen):
                        cuts.append(Cut(part))
                    elif isinstance(part, SegmentData):
                        cuts[-1].frames.append(part.frame)
                    elif isinstance(part, SegmentClose):
                        cuts[-1].close = part
                    elif isinstance(part, Break):
                        breaks.append(part)
    return cuts, breaks


def recorded(card: Card, seconds: float) -> Iterator[Unit]:
    yield RunStarted(FORMAT, card.instant(0))
    yield from card.frames(seconds)


spans = st.tuples(st.floats(4.0, 60.0), st.sampled_from([0.3, 1.0, 5.0]))
set_by_spans = st.tuples(st.floats(4.0, 60.0), st.floats(-7200, 7200).filter(lambda step_s: abs(step_s) > 0.05))


@given(
    ppm=st.integers(-200, 200),
    seed=st.integers(0, 1 << 32),
    jitter_s=st.sampled_from([0.0, 0.004, 0.02, 0.1, 0.3]),
    stalls=st.lists(spans, max_size=2),
    set_by=st.lists(set_by_spans, max_size=2),
)
@example(200, 1, 0.1, [(10.0, 5.0)], [])
@example(-200, 1, 0.0, [(30.0, 5.0)], [(20.0, -3600.0), (40.0, 3600.0)])
@settings(max_examples=60, deadline=None)
def test_however_a_card_is_read_no_sample_is_lost_and_every_cut_is_where_it_was_made(
    ppm: int, seed: int, jitter_s: float, stalls: list[tuple[float, float]], set_by: list[tuple[float, float]]
) -> None:
    """Jitter, slow reads, stalls of 5 s with everything at once behind them, and a clock that is set both ways."""
    card = Card(ppm, seed, jitter_s, stalls=tuple(stalls), steps=tuple(set_by))
    cuts, breaks = line(recorded(card, 75))
    assert {one.cause for one in breaks} <= {GapCause.CLOCK_STEP}, "a false gap"
    assert len(breaks) <= len(set_by)
    heard = np.concatenate([cut.counters for cut in cuts])
    assert np.array_equal(heard, np.arange(len(heard))), "a sample is lost or doubled"
    starts = [cut.opened.start_boottime_s for cut in cuts]
    assert starts == sorted(starts), "in order of (boot, monotonic start), whatever the wall clock said"
    within_ns = max(CUT_WITHIN_NS, round(jitter_s * NS))
    done = 0
    for cut, following in zip(cuts, cuts[1:], strict=False):
        assert cut.close is not None
        done += cut.samples
        if cut.close.reason is CloseReason.BOUNDARY:
            assert following.opened.start == cut.close.end
            # What was made since the last read before a step is dated by the new time.
            if not any(-0.05 <= when - done / card.rate < 6 for when, _ in set_by):
                assert abs(to_ns(cut.close.end) - card.made_ns(done)) <= within_ns


@given(st.integers(-200, 200), st.integers(0, 1 << 32), st.sampled_from([5, 60, 900]))
@settings(max_examples=15, deadline=None)
def test_a_calm_card_is_cut_within_20_ms_from_its_first_boundary_on(ppm: int, seed: int, period_s: int) -> None:
    card = Card(ppm, seed, 0.01, start_ns=EPOCH_NS - (period_s - 3) * NS)
    cuts, breaks = line(recorded(card, 300), period_s=period_s)
    assert not breaks
    worst_ns, _ = judged(cuts, card)
    assert worst_ns <= CUT_WITHIN_NS


def judged(cuts: list[Cut], card: Card) -> tuple[int, list[tuple[float, float]]]:
    """The worst cut; when a drift was stated, and how wrong it was."""
    worst_ns, done, off_ppm = 0, 0, []
    for cut in cuts:
        if cut.close is None:
            continue
        done += cut.samples
        worst_ns = max(worst_ns, abs(to_ns(cut.close.end) - card.made_ns(done)))
        if cut.close.drift_ppm is not None:
            at_s = (to_ns(cut.close.end) - card.start_ns) / 1e9
            off_ppm.append((at_s, abs(cut.close.drift_ppm - card.ppm)))
    return worst_ns, off_ppm


def a_day(ppm: int, period_s: int, hours: int, jitter_s: float) -> None:
    rng = random.Random(ppm)
    stalls = tuple((rng.uniform(100, hours * 3600 - 100), 5.0) for _ in range(3 * hours))
    card = Card(ppm, 1, jitter_s, stalls=stalls)
    cuts, breaks = line(recorded(card, hours * 3600), period_s=period_s)
    assert not breaks
    heard = [cut.counters for cut in cuts]
    assert all(int(cut[0]) == int(before[-1]) + 1 for before, cut in zip(heard, heard[1:], strict=False))
    assert sum(len(part) for part in heard) == heard[-1][-1] + 1
    worst_ns, off_ppm = judged(cuts, card)
    assert worst_ns <= CUT_WITHIN_NS
    assert min(at_s for at_s, _ in off_ppm) <= max(period_s, 300) + period_s
    assert max(off for _, off in off_ppm) <= 5
    length_s = (to_ns(cuts[-2].opened.start) - to_ns(cuts[1].opened.start)) / 1e9
    samples = sum(cut.samples for cut in cuts[1:-2])
    assert samples == pytest.approx(length_s * RATE * (1 + ppm * 1e-6), abs=RATE * 0.02)


@pytest.mark.parametrize("ppm", [-200, 200])
def test_two_hours_at_200_ppm(ppm: int) -> None:
    """Every cut within 20 ms by the feeder's own account, the drift within 5 ppm from when it is stated on."""
    a_day(ppm, 60, 2, 0.02)


@pytest.mark.long
@pytest.mark.parametrize("period_s", [10, 900])
@pytest.mark.parametrize("ppm", [-200, -37, 0, 37, 200])
def test_a_day_at_up_to_200_ppm(ppm: int, period_s: int) -> None:
    a_day(ppm, period_s, 24, 0.02)


# --- streams ---


PACKET_S = 1152 / 44100


def packets(count: int, burst: int, seed: int, *, stalled_from: int, ppm: int) -> Iterator[Frame]:
    """MP3 of 128 kbit/s: `burst` packets at once, then some together now and then, and once nothing for 5 s."""
    rng = random.Random(seed)
    waiting: list[int] = list(range(burst))
    now_s = 0.0
    for number in range(burst, count):
        waiting.append(number)
        made_s = (number - burst + 1) * PACKET_S / (1 + ppm * 1e-6)
        stalled = stalled_from <= number < stalled_from + round(5 / PACKET_S)
        if stalled or rng.random() < 0.6:
            continue
        now_s = max(now_s, made_s + rng.expovariate(1 / 0.003))
        moment = Instant(EPOCH_NS + round(now_s * NS), 1000 * NS + round(now_s * NS), 1000 * NS + round(now_s * NS))
        yield together([Frame(one.to_bytes(4, "big") * 104, 1152, MP3_STEREO, moment) for one in waiting])
        waiting = []


@given(
    burst=st.sampled_from([0, 157, 400]),
    seed=st.integers(0, 1 << 32),
    stalled_from=st.integers(200, 1500),
    ppm=st.integers(-200, 200),
)
@example(157, 0, 700, 0)
@settings(max_examples=40, deadline=None)
def test_a_burst_of_64_kib_and_a_stall_change_no_length_and_make_no_gap(
    burst: int, seed: int, stalled_from: int, ppm: int
) -> None:
    """157 packets are 64 KiB. The burst began before the connection, and the files say so."""
    start = Instant(EPOCH_NS, 1000 * NS, 1000 * NS)
    frames = list(packets(2400, burst, seed, stalled_from=stalled_from, ppm=ppm))
    cuts, breaks = line([RunStarted(MP3_STEREO, start), *frames], period_s=10)
    assert not breaks
    numbers = [int.from_bytes(data[:4], "big") for cut in cuts for frame in cut.frames for data, _ in frame.packets()]
    assert numbers == list(range(len(numbers)))
    assert to_ns(cuts[0].opened.start) == pytest.approx(EPOCH_NS - burst * PACKET_S * NS, abs=15_000_000)
    for cut, following in zip(cuts, cuts[1:], strict=False):
        assert cut.close is not None
        assert cut.close.end == following.opened.start
    for cut in cuts[1:-1]:
        assert cut.close is not None
        assert cut.samples / 44100 == pytest.approx(
            (cut.close.end - cut.opened.start).total_seconds(), abs=PACKET_S + 0.012
        )


# --- suspend ---


@given(
    when_s=st.floats(3.5, 40.0),
    slept_s=st.sampled_from([0.5, 3.0, 60.0, 36_000.0]),
    ppm=st.integers(-200, 200),
    seed=st.integers(0, 1 << 32),
    set_s=st.sampled_from([0.0, 0.0, 2.0, -2.0]),
)
@settings(max_examples=40, deadline=None)
def test_a_sleep_of_the_box_is_a_gap_of_its_length_and_no_step(
    when_s: float, slept_s: float, ppm: int, seed: int, set_s: float
) -> None:
    """The card stands still with the monotonic clock; the wall clock may come back wrong, which is part of the gap."""
    steps = ((when_s, set_s),) if set_s else ()
    card = Card(ppm, seed, sleeps=((when_s, slept_s),), steps=steps)
    cuts, breaks = line(recorded(card, 60), period_s=3600)
    assert [one.cause for one in breaks] == [GapCause.SUSPENDED]
    heard = np.concatenate([cut.counters for cut in cuts])
    assert np.array_equal(heard, np.arange(len(heard)))
    at = next(index for index, cut in enumerate(cuts) if cut.close and cut.close.reason is CloseReason.GAP)
    before, after = cuts[at].close, cuts[at + 1].opened
    assert before is not None
    gap_s = (after.start - before.end).total_seconds()
    assert gap_s == pytest.approx(slept_s + set_s, abs=0.05)
    assert after.start_boottime_s - cuts[at].opened.start_boottime_s >= slept_s
    first = cuts[at + 1].counters[0]
    assert to_ns(before.end) == pytest.approx(card.start_ns + round(when_s * NS), abs=0.35 * NS)
    done = int(first) + cuts[at + 1].samples
    last_ns = to_ns(after.start) + round(cuts[at + 1].samples * NS / (RATE * (1 + ppm * 1e-6)))
    assert last_ns == pytest.approx(card.made_ns(done), abs=CUT_WITHIN_NS)


# --- local clocks that change ---


CHANGES = [
    ("Europe/Berlin", "2026-03-29T00:30:00+00:00", "2026-03-29T01:30:00+00:00"),
    ("Europe/Berlin", "2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"),
    ("Australia/Lord_Howe", "2026-10-03T15:00:00+00:00", "2026-10-03T16:00:00+00:00"),
    ("Australia/Lord_Howe", "2026-04-04T14:30:00+00:00", "2026-04-04T15:30:00+00:00"),
    ("America/St_Johns", "2026-03-08T05:00:00+00:00", "2026-03-08T06:00:00+00:00"),
    ("America/St_Johns", "2026-11-01T04:00:00+00:00", "2026-11-01T05:00:00+00:00"),
    ("Asia/Kolkata", "2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"),
]


@pytest.mark.parametrize(("name", "first", "last"), CHANGES)
@pytest.mark.parametrize("period_s", [900, 1800, 3600])
def test_recording_goes_on_through_a_change_of_the_local_clock(name: str, first: str, last: str, period_s: int) -> None:
    """From half an hour before to half an hour after: every boundary that the clock shows is a cut, no name is taken
    twice, and what the names say is in order."""
    zone = ZoneInfo(name)
    start_ns = to_ns(datetime.fromisoformat(first)) - NS // 2 - 1800 * NS
    seconds = round((to_ns(datetime.fromisoformat(last)) - start_ns) / NS) + 1800
    block = np.zeros(RATE, "<u4").tobytes()

    def moment(second: int) -> Instant:
        return Instant(start_ns + second * NS, 1000 * NS + second * NS, 1000 * NS + second * NS)

    units: list[Unit] = [RunStarted(FORMAT, moment(0))]
    units += [Frame(block, RATE, FORMAT, moment(n + 1)) for n in range(seconds)]
    cuts, breaks = line(units, period_s=period_s, zone=zone)
    assert not breaks
    assert sum(cut.samples for cut in cuts) >= (seconds - 2) * RATE
    starts = [cut.opened.start for cut in cuts]
    names = [segment_name("mic", start, zone, "flac") for start in starts]
    assert len({one.audio for one in names}) == len(names)
    told = [start_of(one) for one in names]
    assert told == starts == sorted(starts)
    for cut, following in zip(cuts, cuts[1:], strict=False):
        assert cut.close is not None
        assert cut.close.end == following.opened.start
    # The local clock itself, second by second.
    shown = [datetime.fromtimestamp(start_ns // NS + 1 + second, zone) for second in range(seconds)]
    expected = [now for now in shown if (now.hour * 3600 + now.minute * 60 + now.second) % period_s == 0]
    assert [start.timestamp() for start in starts[1:]] == [now.timestamp() for now in expected][: len(starts) - 1]
    assert len(starts) - 1 >= len(expected) - 1
