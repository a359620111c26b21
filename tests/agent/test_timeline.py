import random
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.model import (
    Break,
    Dated,
    DatedFrame,
    DatedSplit,
    DatedTitle,
    Frame,
    GapCause,
    Instant,
    Loss,
    Resumed,
    RunEnded,
    RunStarted,
    RunStarting,
    SplitHere,
    Tail,
    Title,
    Unit,
)
from agent.timeline import Timeline
from tests.agent.build import EPOCH_NS, MP3_STEREO, NS, S16_MONO, at, together

BLOCK = 2400


def frame(samples: int, seconds: float, *, step_s: float = 0.0) -> Frame:
    """A frame of so many samples, read then; the wall clock has been set by `step_s`."""
    moment = at(seconds)
    moment = Instant(moment.wall_ns + round(step_s * NS), moment.boottime_ns, moment.monotonic_ns)
    return Frame(bytes(2 * samples), samples, S16_MONO, moment)


def push_all(timeline: Timeline, units: list[Unit]) -> list[Dated]:
    return [dated for unit in units for dated in timeline.push(unit)]


def dated_frames(dated: list[Dated]) -> list[DatedFrame]:
    return [item for item in dated if isinstance(item, DatedFrame)]


def prompt(first: int, count: int, *, step_s: float = 0.0) -> Iterator[Frame]:
    """Blocks of 50 ms that come the moment they are complete."""
    for number in range(first, first + count):
        yield frame(BLOCK, (number + 1) * 0.05, step_s=step_s)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[float], int]:
    """When blocks of 50 ms come, in order, never before they exist; and how far off the card is, in ppm."""
    off_ppm = draw(st.integers(-200, 200))
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    count = draw(st.integers(1, 400))
    stalled_from = draw(st.integers(0, 400))
    stalled_blocks = draw(st.sampled_from([0, 20, 100]))
    if stalled_from < count:
        count = max(count, stalled_from + stalled_blocks + 20)  # a stall is followed by everything
    jitter_s = draw(st.sampled_from([0.0, 0.004, 0.04, 0.2]))
    times = [(number + 1) * 0.05 / (1 + off_ppm * 1e-6) for number in range(count)]
    for number in range(count):
        if stalled_from <= number < stalled_from + stalled_blocks:
            times[number] = (stalled_from + stalled_blocks) * 0.05 / (1 + off_ppm * 1e-6)
        prompt_s = -(-number // 10) * 10 * 0.05 / (1 + off_ppm * 1e-6)  # each tenth comes at once, whatever was before
        times[number] = max(times[number], min(prompt_s, times[number] + rng.random() * jitter_s))
    latest = 0.0
    for number, time in enumerate(times):
        latest = times[number] = max(latest, time)
    return times, off_ppm


@given(arrivals())
@settings(max_examples=60)
def test_frames_in_are_frames_out_and_their_dates_join(case: tuple[list[float], int]) -> None:
    times, _ = case
    frames = [frame(BLOCK, time) for time in times]
    timeline = Timeline()
    dated = push_all(timeline, [RunStarted(S16_MONO, at(0)), *frames])
    dated += push_all(timeline, [RunEnded(GapCause.DEVICE_LOST, "away", at(times[-1]))])
    found = dated_frames(dated)
    assert [item.frame for item in found] == frames
    assert [type(item) for item in dated[:-1]] == [DatedFrame] * len(frames)
    end = dated[-1]
    assert isinstance(end, Break)
    assert abs(end.at_ns - found[-1].end_ns) < 40_000_000
    for item in found:
        assert abs(item.end_ns - item.start_ns - BLOCK * NS // 48000) < 1_000_000
    # Neighbours join; the border moves only when the estimate does, and that is not by more than the jitter.
    for before, after in zip(found, found[1:], strict=False):
        assert abs(after.start_ns - before.end_ns) <= 210_000_000
    calm = [abs(b.start_ns - a.end_ns) for a, b in zip(found, found[1:], strict=False)]
    assert sum(moved > 3_000_000 for moved in calm) <= 12


@given(arrivals())
@settings(max_examples=60)
def test_dates_are_near_the_truth_and_never_later_than_the_arrival(case: tuple[list[float], int]) -> None:
    times, off_ppm = case
    timeline = Timeline()
    dated = push_all(timeline, [RunStarted(S16_MONO, at(0)), *(frame(BLOCK, time) for time in times)])
    dated += push_all(timeline, [RunEnded(GapCause.STOPPED, None, at(times[-1]))])
    # A run that is over before its first stall has ended never showed when its audio was made.
    caught_up = min(time - (number + 1) * 0.05 / (1 + off_ppm * 1e-6) for number, time in enumerate(times)) < 0.2
    for number, item in enumerate(dated_frames(dated)):
        true_ns = EPOCH_NS + round((number + 1) * 0.05 / (1 + off_ppm * 1e-6) * NS)
        assert item.end_ns <= EPOCH_NS + round(times[number] * NS) + 1000
        assert item.end_ns - true_ns >= -20_000_000
        if number >= 20 and len(times) > 40 and caught_up:
            assert item.end_ns - true_ns <= 210_000_000


@given(st.integers(-200, 200), st.floats(0, 0.0499))
@settings(max_examples=10)
def test_a_steady_card_is_dated_to_the_millisecond(off_ppm: int, phase_s: float) -> None:
    """Three minutes: within 20 ms at every moment, within 1 ms once the drift is known.

    What comes out last is what went in; while the clock is looked for, nothing comes out.
    """
    timeline = Timeline()
    push_all(timeline, [RunStarted(S16_MONO, at(0))])
    for number in range(4000):
        end_s = (number + 1) * 0.05 / (1 + off_ppm * 1e-6) + phase_s
        for item in dated_frames(push_all(timeline, [frame(BLOCK, end_s)]))[-1:]:
            error_ns = item.end_ns - EPOCH_NS - round(end_s * NS)
            assert abs(error_ns) <= (20_000_000 if end_s < 66 else 1_000_000)


@given(st.lists(st.floats(0.01, 1.5), min_size=1, max_size=40))
def test_nothing_is_held_for_more_than_two_seconds(pauses_s: list[float]) -> None:
    """Each block lowers the estimate, so that it never stands still."""
    timeline = Timeline()
    push_all(timeline, [RunStarted(S16_MONO, at(0))])
    now_s, waiting = 0.0, []
    for number, pause_s in enumerate(pauses_s):
        now_s += pause_s
        waiting.append(now_s)
        out = dated_frames(push_all(timeline, [frame(round((pause_s + 0.01) * 48000), now_s)]))
        waiting = waiting[len(out) :]
        assert number == 0 or not waiting or now_s - waiting[0] < 2.0


def mp3(seconds: float) -> Frame:
    return Frame(bytes(417), 1152, MP3_STEREO, at(seconds))


def test_a_burst_began_before_the_connection() -> None:
    """160 packets (4.2 s) at once, then each on time."""
    packet_s = 1152 / 44100
    timeline = Timeline()
    units: list[Unit] = [RunStarted(MP3_STEREO, at(0)), *(mp3(0.0) for _ in range(160))]
    units += [mp3(number * packet_s) for number in range(1, 40)]
    found = dated_frames(push_all(timeline, units))
    assert found[0].start_ns == pytest.approx(EPOCH_NS - 160 * packet_s * NS, abs=1_000_000)
    assert found[-1].end_ns == pytest.approx(EPOCH_NS + 39 * packet_s * NS, abs=1_000_000)


def test_a_burst_in_two_reads_is_one_burst() -> None:
    packet_s = 1152 / 44100
    timeline = Timeline()
    units: list[Unit] = [RunStarted(MP3_STEREO, at(0)), *(mp3(0.0) for _ in range(80)), *(mp3(0.3) for _ in range(80))]
    units += [mp3(0.3 + number * packet_s) for number in range(1, 40)]
    found = dated_frames(push_all(timeline, units))
    assert len(found) == 199
    assert found[0].start_ns == pytest.approx(EPOCH_NS + (0.3 - 160 * packet_s) * NS, abs=1_000_000)
    for before, after in zip(found, found[1:], strict=False):
        assert after.start_ns == pytest.approx(before.end_ns, abs=100)


@given(
    st.floats(-7200, 7200).filter(lambda step: abs(step) > 0.011),
    st.integers(8, 60),
)
@example(3600.0, 20)
@example(-0.02, 20)
def test_a_step_of_the_clock_is_one_break_and_the_dates_after_it_carry_the_new_time(step_s: float, after: int) -> None:
    timeline = Timeline()
    units: list[Unit] = [RunStarted(S16_MONO, at(0)), *prompt(0, after), *prompt(after, 40, step_s=step_s)]
    dated = push_all(timeline, units)
    breaks = [item for item in dated if isinstance(item, Break)]
    assert [item.cause for item in breaks] == [GapCause.CLOCK_STEP]
    index = dated.index(breaks[0])
    assert index == after
    assert breaks[0].at_ns == pytest.approx(EPOCH_NS + after * 0.05 * NS, abs=1000)
    first = dated[index + 1]
    assert isinstance(first, DatedFrame)
    assert first.start_ns - breaks[0].at_ns == pytest.approx(step_s * NS, abs=1000)
    assert first.start_boottime_ns == pytest.approx(1000 * NS + after * 0.05 * NS, abs=1000)
    frames = dated_frames(dated)
    assert len(frames) == after + 40
    for before, behind in zip(frames, frames[1:], strict=False):
        if behind is not first:
            assert behind.start_ns == pytest.approx(before.end_ns, abs=100)


@given(st.lists(st.integers(-9_000_000, 9_000_000), min_size=30, max_size=60))
def test_a_clock_that_is_pulled_gently_makes_no_break(moves_ns: list[int]) -> None:
    """What chrony does: some milliseconds between two looks, and in the end the dates have followed."""
    timeline = Timeline()
    offset_ns, units = 0, [RunStarted(S16_MONO, at(0))]
    units_all: list[Unit] = [*units]
    for number, move_ns in enumerate(moves_ns):
        offset_ns += move_ns
        units_all.append(frame(BLOCK, (number + 1) * 0.05, step_s=offset_ns / NS))
    dated = push_all(timeline, units_all)
    frames = dated_frames(dated)
    assert len(frames) == len(dated) == len(moves_ns)
    assert frames[-1].end_ns == pytest.approx(EPOCH_NS + len(moves_ns) * 0.05 * NS + offset_ns, abs=1000)


def test_a_step_while_frames_are_held_dates_all_of_them_by_the_new_time() -> None:
    timeline = Timeline()
    dated = push_all(timeline, [RunStarted(S16_MONO, at(0)), *prompt(0, 3), *prompt(3, 20, step_s=60.0)])
    assert all(isinstance(item, DatedFrame) for item in dated)
    assert dated_frames(dated)[0].start_ns == pytest.approx(EPOCH_NS + 60 * NS, abs=1000)


def test_a_loss_ends_the_audio_and_the_time_goes_on_by_the_clock() -> None:
    timeline = Timeline()
    units: list[Unit] = [RunStarted(S16_MONO, at(0)), *prompt(0, 20), Loss(GapCause.OVERRUN, "overrun!!!", at(1.7))]
    units += prompt(34, 60)  # 700 ms are missing
    dated = push_all(timeline, units)
    (lost,) = (item for item in dated if isinstance(item, Break))
    frames = dated_frames(dated)
    assert (lost.cause, lost.detail) == (GapCause.OVERRUN, "overrun!!!")
    assert lost.at_ns == pytest.approx(EPOCH_NS + NS, abs=1000)
    assert frames[20].start_ns == pytest.approx(EPOCH_NS + 1.7 * NS, abs=1000)


@pytest.mark.parametrize("after", [3, 40])
def test_a_loss_of_known_length_is_a_hole_in_the_same_clock(after: int) -> None:
    """While the first frames are still held, and later."""
    lost = 12_000
    behind = [frame(BLOCK, (number + 1) * 0.05 + 0.25) for number in range(after, 60)]
    loss = Loss(GapCause.CORRUPT, "damage", at(after * 0.05), samples=lost)
    dated = push_all(Timeline(), [RunStarted(S16_MONO, at(0)), *prompt(0, after), loss, *behind])
    (hole,) = [item for item in dated if isinstance(item, Break)]
    frames = dated_frames(dated)
    assert (hole.cause, hole.at_ns) == (GapCause.CORRUPT, frames[after - 1].end_ns)
    assert frames[after].start_ns - hole.at_ns == pytest.approx(250_000_000, abs=2)
    assert frames[-1].end_ns == pytest.approx(EPOCH_NS + round(3.25 * NS), abs=1000)


def test_a_loss_that_nobody_tells_of_is_seen_by_the_clock() -> None:
    """700 ms are missing without a word; from when it is sure on, the dates are right again."""
    timeline = Timeline()
    units: list[Unit] = [RunStarted(S16_MONO, at(0)), *prompt(0, 20), *prompt(34, 200)]
    dated = push_all(timeline, units)
    (lost,) = (item for item in dated if isinstance(item, Break))
    frames = dated_frames(dated)
    assert lost.cause is GapCause.OVERRUN
    assert [item.frame for item in frames] == [unit for unit in units if isinstance(unit, Frame)]
    behind = dated[dated.index(lost) + 1]
    assert isinstance(behind, DatedFrame)
    assert behind.start_ns - lost.at_ns == pytest.approx(0.7 * NS, abs=1000)
    assert frames[-1].end_ns == pytest.approx(EPOCH_NS + 234 * 0.05 * NS, abs=1000)


def test_a_loss_before_the_first_sample_is_none() -> None:
    timeline = Timeline()
    assert push_all(timeline, [RunStarted(S16_MONO, at(0)), Loss(GapCause.OVERRUN, "", at(0.1))]) == []


def test_a_run_without_audio_ends_when_it_is_said_to() -> None:
    timeline = Timeline()
    refused = RunEnded(GapCause.REFUSED, "404", at(3))
    assert push_all(timeline, [RunStarting(at(0)), refused]) == [
        Break(GapCause.STARTING, None, EPOCH_NS),
        Break(GapCause.REFUSED, "404", EPOCH_NS + 3 * NS),
    ]


def test_a_run_that_ends_at_once_gives_up_what_was_held() -> None:
    timeline = Timeline()
    dated = push_all(timeline, [RunStarted(S16_MONO, at(0)), *prompt(0, 2), RunEnded(GapCause.STOPPED, None, at(0.2))])
    assert [type(item) for item in dated] == [DatedFrame, DatedFrame, Break]
    end = dated[-1]
    assert isinstance(end, Break)
    assert end.at_ns == dated_frames(dated)[-1].end_ns


def test_two_runs_have_clocks_of_their_own() -> None:
    timeline = Timeline()
    first: list[Unit] = [RunStarted(S16_MONO, at(0)), *prompt(0, 20), RunEnded(GapCause.STALL, None, at(3))]
    second: list[Unit] = [RunStarted(S16_MONO, at(5)), *prompt(100, 20)]
    frames = dated_frames(push_all(timeline, [*first, *second]))
    assert frames[19].end_ns == pytest.approx(EPOCH_NS + NS, abs=1000)
    assert frames[20].start_ns == pytest.approx(EPOCH_NS + 5 * NS, abs=1000)


def test_titles_and_splits_keep_their_place_between_the_frames_that_are_held() -> None:
    timeline = Timeline()
    units: list[Unit] = [RunStarted(S16_MONO, at(0)), Title("before", at(0)), *prompt(0, 3), Title("now", at(0.15))]
    units += [*prompt(3, 1), SplitHere(at(0.2)), *prompt(4, 10), Title("late", at(0.7)), SplitHere(at(0.7))]
    dated = push_all(timeline, units)
    kinds = [type(item) for item in dated]
    marks = [i for i, kind in enumerate(kinds) if kind is not DatedFrame]
    assert marks == [0, 4, 6, 17, 18]
    titles = [item for item in dated if isinstance(item, DatedTitle)]
    assert [title.text for title in titles] == ["before", "now", "late"]
    assert titles[1].at_ns == pytest.approx(EPOCH_NS + 0.15 * NS, abs=1000)
    split = dated[6]
    assert isinstance(split, DatedSplit)
    assert split.at_ns == pytest.approx(EPOCH_NS + 0.2 * NS, abs=1000)


def test_marks_between_runs_carry_the_wall_clock() -> None:
    timeline = Timeline()
    push_all(timeline, [RunStarted(S16_MONO, at(0)), *prompt(0, 20), RunEnded(GapCause.STALL, None, at(1))])
    assert push_all(timeline, [SplitHere(at(9)), Title("x", at(9))]) == [
        DatedSplit(EPOCH_NS + 9 * NS),
        DatedTitle("x", EPOCH_NS + 9 * NS),
    ]


@given(st.integers(0, 10 * NS))
def test_a_latency_moves_every_date_by_itself(latency_ns: int) -> None:
    def run(timeline: Timeline) -> list[DatedFrame]:
        return dated_frames(push_all(timeline, [RunStarted(S16_MONO, at(0)), *prompt(0, 20)]))

    plain, moved = run(Timeline()), run(Timeline(latency_ns=latency_ns))
    assert [item.start_ns - latency_ns for item in plain] == [item.start_ns for item in moved]


def test_another_sample_rate_is_another_scale() -> None:
    """A stream that changes from 44.1 to 22.05 kHz, without a pause: the dates go on where they were."""
    slow = Frame(bytes(417), 576, type(MP3_STEREO)("mp3", 22050, 2), at(0))
    packet_s = 1152 / 44100
    units: list[Unit] = [RunStarted(MP3_STEREO, at(0)), *(mp3((n + 1) * packet_s) for n in range(40))]
    units += [Frame(slow.data, 576, slow.format, at((40 + n + 1) * packet_s)) for n in range(40)]
    dated = push_all(Timeline(), units)
    frames = dated_frames(dated)
    assert len(frames) == len(dated) == 80
    for number, item in enumerate(frames):
        assert item.end_ns == pytest.approx(EPOCH_NS + (number + 1) * packet_s * NS, abs=1_000_000)


def test_audio_without_an_announced_run_is_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="announced"):
        push_all(Timeline(), [Frame(b"", 0, type(S16_MONO)("pcm", 0, 1), at(0))])


@given(st.integers(100, 5000), st.integers(0, 40))
@settings(max_examples=20)
def test_samples_that_are_missing_without_a_word_become_a_gap_of_their_length(lost_ms: int, jitter_ms: int) -> None:
    rng = random.Random(lost_ms)
    timeline = Timeline()
    push_all(timeline, [RunStarted(S16_MONO, at(0))])
    dated: list[Dated] = []
    for number in range(300):
        late_s = (lost_ms / 1000 if number >= 100 else 0.0) + (rng.random() * jitter_ms / 1000 if number % 10 else 0.0)
        dated += push_all(timeline, [frame(BLOCK, (number + 1) * 0.05 + late_s)])
    breaks = [index for index, item in enumerate(dated) if isinstance(item, Break)]
    assert len(breaks) == 1
    before, after = dated[breaks[0] - 1], dated[breaks[0] + 1]
    lost = dated[breaks[0]]
    assert isinstance(before, DatedFrame)
    assert isinstance(after, DatedFrame)
    assert isinstance(lost, Break)
    assert lost.cause is GapCause.OVERRUN
    assert abs(after.start_ns - lost.at_ns - lost_ms * 1_000_000) < 20_000_000


@given(st.integers(1, 20))
@settings(max_examples=10)
def test_a_stall_that_is_made_good_is_no_loss(stalled_s: int) -> None:
    timeline = Timeline()
    push_all(timeline, [RunStarted(S16_MONO, at(0))])
    stalled_until = 5.0 + stalled_s
    dated: list[Dated] = []
    for number in range(round((stalled_until + 5) / 0.05)):
        made_s = (number + 1) * 0.05
        read_s = max(made_s, stalled_until) if made_s > 5 else made_s
        dated += push_all(timeline, [frame(BLOCK, read_s)])
    assert not [item for item in dated if isinstance(item, Break)]


# --- runs that go on where the one before ended ---


def stream(first: int, count: int, *, live: int = 0, late_s: float = 0.0) -> Iterator[Frame]:
    """Packets, each when it is made, but those before packet `live` with that one; all of them so much late."""
    for number in range(first, first + count):
        yield mp3(max(number + 1, live) * PACKET_S + late_s)


def two_runs(outage: int, *, late_s: float = 0.0, step_s: float = 0.0) -> list[Dated]:
    """The second comes back after so many packets, with all of them in its burst."""
    live = 100 + outage
    back = list(stream(100, outage + 60, live=live, late_s=late_s))
    for number, one in enumerate(back):
        moment = one.received_at
        moved = Instant(moment.wall_ns + round(step_s * NS), moment.boottime_ns, moment.monotonic_ns)
        back[number] = Frame(one.data, one.samples, one.format, moved)
    units: list[Unit] = [RunStarted(MP3_STEREO, at(0)), *stream(0, 100)]
    units += [RunEnded(GapCause.DISCONNECTED, None, at(3)), RunStarted(MP3_STEREO, at(4)), Title("x", at(4)), Resumed()]
    return push_all(Timeline(), [*units, *back])


PACKET_S = 1152 / 44100


@given(st.integers(0, 400), st.floats(0, 0.5))
@example(100, 0.0)
def test_a_run_that_resumes_goes_on_with_the_very_next_sample(outage: int, late_s: float) -> None:
    """However much later the new connection brings it: that is no time at which audio was made."""
    dated = two_runs(outage, late_s=late_s)
    frames = dated_frames(dated)
    (broken,) = [item for item in dated if isinstance(item, Break)]
    assert len(frames) == 160 + outage
    assert frames[100].start_ns == broken.at_ns == frames[99].end_ns
    assert frames[-1].end_ns == pytest.approx(EPOCH_NS + (160 + outage) * PACKET_S * NS, abs=1000)
    (title,) = [item for item in dated if isinstance(item, DatedTitle)]
    assert title.at_ns == broken.at_ns


def test_a_connection_that_is_faster_moves_the_dates_from_there_on() -> None:
    frames = dated_frames(two_runs(100, late_s=-0.3))
    assert frames[-1].end_ns == pytest.approx(EPOCH_NS + (260 * PACKET_S - 0.3) * NS, abs=1000)
    assert len(frames) == 260


@pytest.mark.parametrize(("step_s", "late_s"), [(0.005, 0.0), (-0.005, 0.0), (0.0, -0.02)])
def test_a_small_correction_during_the_outage_makes_no_gap(step_s: float, late_s: float) -> None:
    """The wall clock is pulled, or the new connection shows that the audio is a little older: later dates take it."""
    frames = dated_frames(two_runs(100, step_s=step_s, late_s=late_s))
    assert frames[100].start_ns == frames[99].end_ns
    assert frames[-1].end_ns == pytest.approx(EPOCH_NS + (260 * PACKET_S + step_s + late_s) * NS, abs=1000)


def test_the_clock_was_set_during_the_outage() -> None:
    dated = two_runs(100, step_s=60.0)
    assert [item.cause for item in dated if isinstance(item, Break)] == [GapCause.DISCONNECTED, GapCause.CLOCK_STEP]
    frames = dated_frames(dated)
    assert frames[100].start_ns - frames[99].end_ns == pytest.approx(60 * NS, abs=1000)


def test_a_run_without_audio_between_two_that_join_changes_nothing() -> None:
    timeline = Timeline()
    units: list[Unit] = [RunStarted(MP3_STEREO, at(0)), *stream(0, 100), RunEnded(GapCause.DISCONNECTED, None, at(3))]
    units += [RunStarted(MP3_STEREO, at(4)), Title("x", at(4)), RunEnded(GapCause.DISCONNECTED, None, at(4.1))]
    units += [RunStarted(MP3_STEREO, at(5)), Resumed(), *stream(100, 200, live=200)]
    frames = dated_frames(push_all(timeline, units))
    assert frames[100].start_ns == frames[99].end_ns
    assert frames[-1].end_ns == pytest.approx(EPOCH_NS + 300 * PACKET_S * NS, abs=1000)


@given(st.integers(0, 3 * NS))
def test_after_a_restart_the_dates_go_on_where_the_newest_file_ends(latency_ns: int) -> None:
    ended = at(100 * PACKET_S - latency_ns / NS)
    timeline = Timeline(latency_ns=latency_ns, tail=Tail(MP3_STEREO, (b"",), ended))
    items: list[Unit] = [RunStarted(MP3_STEREO, at(5)), Resumed(), *stream(100, 200, live=200)]
    frames = dated_frames(push_all(timeline, items))
    assert len(frames) == 200
    assert frames[0].start_ns == ended.wall_ns
    assert frames[-1].end_ns == pytest.approx(EPOCH_NS + 300 * PACKET_S * NS - latency_ns, abs=1000)


def test_after_a_restart_that_does_not_resume_the_clock_is_new() -> None:
    timeline = Timeline(tail=Tail(MP3_STEREO, (b"",), at(0)))
    frames = dated_frames(push_all(timeline, [RunStarted(MP3_STEREO, at(8)), *stream(400, 100)]))
    assert frames[0].start_ns == pytest.approx(EPOCH_NS + 400 * PACKET_S * NS, abs=1000)


def test_a_loss_right_behind_the_tail_of_an_earlier_line_is_a_hole_as_long_as_it_says() -> None:
    """After a restart the burst goes on with the very next packet, and that one is damaged."""
    tail = Tail(MP3_STEREO, (bytes(417),) * 8, at(0))
    lost = Loss(GapCause.CORRUPT, "damage", at(1), samples=3 * 1152)
    units: list[Unit] = [RunStarted(MP3_STEREO, at(1)), Resumed(), lost, *stream(3, 60)]
    dated = push_all(Timeline(tail=tail), units)
    (hole,) = [item for item in dated if isinstance(item, Break)]
    frames = dated_frames(dated)
    assert (hole.cause, hole.at_ns) == (GapCause.CORRUPT, EPOCH_NS)
    assert frames[0].start_ns == pytest.approx(EPOCH_NS + 3 * PACKET_S * NS, abs=1000)
    assert frames[-1].end_ns == pytest.approx(EPOCH_NS + 63 * PACKET_S * NS, abs=1000)


def test_a_loss_of_known_length_before_the_first_packet_moves_no_date() -> None:
    lost = Loss(GapCause.CORRUPT, "damage", at(0), samples=44_100)
    units: list[Unit] = [RunStarted(MP3_STEREO, at(0)), Title("x", at(0)), lost, *stream(0, 60), lost, *stream(60, 5)]
    frames = dated_frames(push_all(Timeline(), units))
    assert frames[0].start_ns == pytest.approx(EPOCH_NS, abs=1_000_000)
    assert frames[59].end_ns == pytest.approx(EPOCH_NS + 60 * PACKET_S * NS, abs=1_000_000)


@given(
    st.sampled_from([GapCause.STOPPED, GapCause.SCHEDULED]),
    st.integers(10, 400),
    st.floats(0.2, 5.0),
    st.booleans(),
    st.booleans(),
)
@example(GapCause.STOPPED, 160, 1.0, True, True)
def test_what_was_made_while_nobody_asked_for_it_is_left_out(
    cause: GapCause, burst: int, paused_s: float, resumes: bool, alone: bool
) -> None:
    """Stopped and started again within the server's burst: the file begins where the gap `stopped` ended."""
    started_s = 3.0 + paused_s
    units: list[Unit] = [RunStarted(MP3_STEREO, at(0)), *stream(0, 115), RunEnded(cause, None, at(3.0))]
    units += [RunStarting(at(started_s)), RunStarted(MP3_STEREO, at(started_s))]
    live = 0
    if resumes:  # the burst covers the pause, and what was recorded before has been taken out of it
        units.append(Resumed())
        live = round(started_s / PACKET_S)
        burst = live - 115
    coming = [mp3(started_s) for _ in range(burst)]
    coming += [mp3(started_s + (number + 1) * PACKET_S) for number in range(80)]
    units += coming if alone else [together(coming[:burst]), *coming[burst:]] if burst else coming
    dated = push_all(Timeline(), units)
    starting = next(i for i, item in enumerate(dated) if isinstance(item, Break) and item.cause is GapCause.STARTING)
    behind = dated_frames(dated[starting:])
    assert not [item for item in dated[starting + 1 :] if isinstance(item, Break)]
    first = behind[0].start_ns - EPOCH_NS
    assert 0 <= first - round(started_s * NS) <= (PACKET_S + 0.001) * NS
    assert sum(len(item.frame.borders) + 1 for item in behind) in (79, 80, 81)
    for before, after in zip(behind, behind[1:], strict=False):
        assert after.start_ns == pytest.approx(before.end_ns, abs=1000)


def test_after_an_outage_the_burst_is_kept_as_it_was() -> None:
    """Nobody stopped it, so all of it was asked for."""
    units: list[Unit] = [RunStarted(MP3_STEREO, at(0)), *stream(0, 115), RunEnded(GapCause.DISCONNECTED, None, at(3))]
    units += [RunStarting(at(8)), RunStarted(MP3_STEREO, at(8)), *(mp3(8) for _ in range(100))]
    units += [mp3(8 + (number + 1) * PACKET_S) for number in range(30)]
    behind = dated_frames(push_all(Timeline(), units))[115:]
    assert len(behind) == 130
    assert behind[0].start_ns == pytest.approx(EPOCH_NS + (8 - 100 * PACKET_S) * NS, abs=1_000_000)


def test_a_card_that_is_started_again_begins_with_the_first_sample_made_since() -> None:
    units: list[Unit] = [RunStarted(S16_MONO, at(0)), *prompt(0, 20), RunEnded(GapCause.STOPPED, None, at(1))]
    units += [RunStarting(at(2)), RunStarted(S16_MONO, at(2.02)), *(frame(BLOCK, 2.02 + n * 0.05) for n in range(20))]
    behind = dated_frames(push_all(Timeline(), units))[20:]
    assert behind[0].start_ns == pytest.approx(EPOCH_NS + 2 * NS, abs=21_000)
    assert sum(item.frame.samples for item in behind) == 20 * BLOCK - round(0.03 * 48000)


@pytest.mark.parametrize("off_ms", [-4, -1, 0, 1, 4])
def test_nothing_begins_before_it_was_asked_for_by_clocks_that_were_read_on_a_busy_box(off_ms: int) -> None:
    """The gap `stopped` has ended by the first reading, and the file begins by a later one."""
    moment = at(2)
    asked = Instant(moment.wall_ns + off_ms * 1_000_000, moment.boottime_ns, moment.monotonic_ns)
    units: list[Unit] = [RunStarted(S16_MONO, at(0)), *prompt(0, 20), RunEnded(GapCause.STOPPED, None, at(1))]
    units += [RunStarting(asked), RunStarted(S16_MONO, at(2.02)), *(frame(BLOCK, 2.02 + n * 0.05) for n in range(20))]
    first, second, *_ = dated_frames(push_all(Timeline(), units))[20:]
    assert first.start_ns >= asked.wall_ns
    assert first.start_ns == pytest.approx(max(asked.wall_ns, moment.wall_ns), abs=21_000)
    assert first.start_boottime_ns == pytest.approx(moment.boottime_ns, abs=21_000)
    assert first.end_ns == second.start_ns


def asleep(seconds: float, slept_s: float) -> Instant:
    moment = at(seconds + slept_s)
    return Instant(moment.wall_ns, moment.boottime_ns, moment.monotonic_ns - round(slept_s * NS))


@pytest.mark.parametrize("kept", [3, 100])
def test_a_device_that_does_not_wake_up_is_a_gap_of_its_own_behind_the_sleep(kept: int) -> None:
    """Also where the run was too young for its clock to be known."""
    units: list[Unit] = [RunStarted(S16_MONO, at(0)), *prompt(0, kept)]
    units += [RunEnded(GapCause.DEVICE_LOST, "gone", asleep(kept * 0.05 + 0.5, 3600))]
    dated = push_all(Timeline(), units)
    slept, lost = [item for item in dated if isinstance(item, Break)]
    assert (slept.cause, slept.detail) == (GapCause.SUSPENDED, "the box slept for 3600.0 s")
    assert slept.at_ns == pytest.approx(EPOCH_NS + kept * 0.05 * NS, abs=1000)
    assert (lost.cause, lost.at_ns) == (GapCause.DEVICE_LOST, EPOCH_NS + round((3600.5 + kept * 0.05) * NS))
    assert len(dated_frames(dated)) == kept


def test_a_sleep_between_two_runs_is_part_of_the_gap_that_there_is() -> None:
    units: list[Unit] = [RunStarted(S16_MONO, at(0)), *prompt(0, 20), RunEnded(GapCause.DEVICE_LOST, None, at(1))]
    units += [RunStarting(asleep(2, 60)), RunStarted(S16_MONO, asleep(2, 60))]
    units += [Frame(bytes(4800), 2400, S16_MONO, asleep(2 + (n + 1) * 0.05, 60)) for n in range(20)]
    dated = push_all(Timeline(), units)
    assert [item.cause for item in dated if isinstance(item, Break)] == [GapCause.DEVICE_LOST, GapCause.STARTING]
    assert dated_frames(dated)[20].start_ns == pytest.approx(EPOCH_NS + 62 * NS, abs=1000)


def test_a_stream_whose_server_waited_through_the_sleep_has_a_gap_of_no_length() -> None:
    """Three seconds of sleep, and all that the server had kept comes at once behind them."""
    units: list[Unit] = [RunStarted(MP3_STEREO, at(0)), *stream(0, 400)]
    awake_s = 400 * PACKET_S + 3
    waiting = round(3 / PACKET_S)
    units += [Frame(bytes(417), 1152, MP3_STEREO, asleep(awake_s - 3, 3)) for _ in range(waiting)]
    units += [Frame(bytes(417), 1152, MP3_STEREO, asleep(awake_s - 3 + n * PACKET_S, 3)) for n in range(1, 150)]
    dated = push_all(Timeline(), units)
    (slept,) = [item for item in dated if isinstance(item, Break)]
    behind = dated[dated.index(slept) + 1]
    assert isinstance(behind, DatedFrame)
    assert slept.cause is GapCause.SUSPENDED
    assert behind.start_ns == pytest.approx(slept.at_ns, abs=PACKET_S * NS)
