import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.lateness import NS, Lateness, support_line

RATE = 48000
ppm = st.integers(-200, 200)
seeds = st.integers(0, 1 << 32)


def made_ns(sample: int, parts_per_million: float) -> int:
    """When a card that is off by so much makes a sample; its first one at 1000 s of boottime."""
    return 1000 * NS + round(sample * NS / (RATE * (1 + parts_per_million * 1e-6)))


@given(ppm, seeds, st.sampled_from([1, 20, 100, 400]))
@settings(max_examples=10, deadline=None)
def test_jitter_bursts_and_drift_leave_the_estimate_right(parts_per_million: int, seed: int, jitter_ms: int) -> None:
    """Blocks of 50 ms come in order, late by up to `jitter_ms`; one in 19 of them comes at once. Six minutes."""
    rng = random.Random(seed)
    lateness = Lateness(RATE)
    at_ns = 0
    for number in range(1, 7201):
        samples = number * 2400
        true_ns = made_ns(samples, parts_per_million)
        prompt_ns = made_ns(-(-number // 19) * 19 * 2400, parts_per_million)
        at_ns = max(at_ns, min(prompt_ns, true_ns + rng.randrange(jitter_ms * 1_000_000)))
        lateness.arrived(samples, at_ns)
        elapsed_s = number * 0.05
        if elapsed_s < 3:
            continue
        error_ns = lateness.boottime_ns(samples) - true_ns
        # Until a minute has gone by the line is flat; a card that is slow is then dated early, never by more than
        # what it has drifted.
        slack_ns = 1_000_000 + (elapsed_s * abs(parts_per_million) * 1000 if elapsed_s < 66 else 0)
        assert -slack_ns <= error_ns <= 1_000_000 + 2 * abs(parts_per_million) * 1000, (elapsed_s, error_ns)
    assert lateness.drift_ppm == pytest.approx(parts_per_million, abs=5)


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 3_000_000_000)), min_size=1, max_size=60))
def test_no_sample_is_dated_later_than_it_arrived(steps: list[tuple[int, int]]) -> None:
    lateness = Lateness(RATE)
    samples, at_ns, arrivals = 0, 1000 * NS, []
    for count, pause_ns in steps:
        samples, at_ns = samples + count + 1, at_ns + pause_ns
        lateness.arrived(samples, at_ns)
        arrivals.append((samples, at_ns))
        for sample, there_ns in arrivals:
            assert lateness.boottime_ns(sample) <= there_ns + 1000


def test_a_stall_that_brings_everything_afterwards_is_not_drift() -> None:
    lateness = Lateness(RATE)
    for number in range(1, 7001):
        samples = number * 2400
        true_ns = made_ns(samples, 0)
        at_ns = max(true_ns, 1000 * NS + 130 * NS) if 125 * NS < true_ns - 1000 * NS < 130 * NS else true_ns
        lateness.arrived(samples, at_ns)
        assert abs(lateness.boottime_ns(samples) - true_ns) < 1_000_000
    assert lateness.drift_ppm == pytest.approx(0, abs=0.1)


def test_a_lasting_delay_is_not_taken_for_a_clock_that_is_wildly_off() -> None:
    lateness = Lateness(RATE)
    for number in range(1, 7000):
        lateness.arrived(number * 2400, made_ns(number * 2400, 0) + number * 1_000_000)
    assert lateness.drift_ppm == -300.0


def test_drift_is_not_told_before_five_minutes_have_gone_by() -> None:
    lateness = Lateness(RATE)
    for number in range(1, 6000):
        lateness.arrived(number * 2400, made_ns(number * 2400, 100))
        assert lateness.drift_ppm is None


@given(st.lists(st.integers(1, 600), min_size=1, max_size=200))
def test_it_settles_within_two_seconds_of_arrivals_whatever_comes(pauses_ms: list[int]) -> None:
    lateness = Lateness(RATE)
    at_ns, samples = 0, 0
    assert not lateness.settled
    for pause_ms in pauses_ms:
        at_ns, samples = at_ns + pause_ms * 1_000_000, samples + 50_000
        lateness.arrived(samples, at_ns)
        if at_ns - pauses_ms[0] * 1_000_000 >= 2 * NS:
            assert lateness.settled


def test_it_settles_when_the_estimate_has_stood_still_for_a_quarter_of_a_second() -> None:
    lateness = Lateness(RATE)
    settled_ms = None
    for number in range(1, 20):
        lateness.arrived(number * 2400, number * 50_000_000)
        if lateness.settled and settled_ms is None:
            settled_ms = number * 50
    assert settled_ms is not None
    assert 250 <= settled_ms <= 350


def test_the_packets_of_one_read_count_together() -> None:
    """A burst that comes in two reads 300 ms apart has not settled with the first packet of the second read."""
    lateness = Lateness(44100)
    for packet in range(1, 81):
        lateness.arrived(packet * 1152, 0)
    for packet in range(81, 161):
        lateness.arrived(packet * 1152, 300_000_000)
        assert not lateness.settled


@given(st.integers(60, 5000), st.integers(1, 100))
def test_samples_that_are_missing_are_told_after_three_seconds(missing_ms: int, before: int) -> None:
    lateness = Lateness(RATE)
    told_ms = None
    for number in range(1, before + 100):
        late_ms = missing_ms if number > before else 0
        lateness.arrived(number * 2400, (number * 50 + late_ms) * 1_000_000)
        if lateness.lost and told_ms is None:
            told_ms = (number - before) * 50
    assert told_ms is not None
    assert 3000 <= told_ms <= 3100


def test_a_reader_that_was_held_up_has_lost_nothing() -> None:
    """Late already when the hold-up began, and all at once when it was over."""
    lateness = Lateness(RATE)
    for number in range(1, 200):
        at_ms = number * 50 + (100 if number == 60 else 0)
        if 60 < number < 160:
            at_ms = 160 * 50
        lateness.arrived(number * 2400, at_ms * 1_000_000)
        assert not lateness.lost


@pytest.mark.parametrize("missing_ms", [60, 700])
def test_a_loss_that_is_taken_moves_the_dates_by_its_length_at_once_and_leaves_the_drift(missing_ms: int) -> None:
    lateness = Lateness(RATE)
    for number in range(1, 8000):
        late_ms = missing_ms if number > 6500 else 0
        prompt_ns = made_ns(number * 2400, 120)
        lateness.arrived(number * 2400, prompt_ns + (late_ms + (number % 40) // 2) * 1_000_000)
        if lateness.lost:
            lateness.take_loss()
            assert abs(lateness.boottime_ns(number * 2400) - prompt_ns - missing_ms * 1_000_000) < 1_000_000
        if number > 6600:
            assert lateness.drift_ppm == pytest.approx(120, abs=1)
            assert abs(lateness.boottime_ns(number * 2400) - prompt_ns - missing_ms * 1_000_000) < 1_000_000


def test_behind_a_loss_the_clock_starts_anew_and_runs_as_fast_as_before() -> None:
    before = Lateness(RATE)
    for number in range(1, 6500):
        before.arrived(number * 2400, made_ns(number * 2400, -150))
    after = before.behind_loss()
    for number in range(1, 1000):
        # Reads that are late by half a period, but one in two seconds.
        true_ns = made_ns((6600 + number) * 2400, -150)
        after.arrived(number * 2400, true_ns + (0 if number % 40 == 0 else 25_000_000))
        if after.settled:
            assert number >= 50
            assert abs(after.boottime_ns(number * 2400) - true_ns) < 500_000
            assert after.drift_ppm == pytest.approx(-150, abs=1)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(-(10**9), 10**9)), min_size=1, max_size=80),
)
def test_the_support_line_lies_below_all_points_and_touches_one(steps: list[tuple[int, int]]) -> None:
    x, points = 0.0, []
    for step, late in steps:
        x += step
        points.append((x, float(late)))
    offset, slope = support_line(points)
    distances = [late - (offset + slope * x * NS) for x, late in points]
    assert min(distances) == pytest.approx(0, abs=1e-3)
    assert abs(slope) <= 300e-6


@given(st.floats(-250e-6, 250e-6), st.lists(st.floats(0, 1e8), min_size=100, max_size=150), seeds)
def test_the_support_line_is_the_one_with_the_least_total_distance(slope: float, noise: list[float], seed: int) -> None:
    points = [(float(x), slope * x * NS + late) for x, late in enumerate(noise)]
    offset, found = support_line(points)
    total = sum(late - offset - found * x * NS for x, late in points)
    rng = random.Random(seed)
    for _ in range(20):
        other = max(-300e-6, min(300e-6, found + rng.uniform(-50e-6, 50e-6)))
        below = min(late - other * x * NS for x, late in points)
        assert total <= sum(late - below - other * x * NS for x, late in points) + 1
