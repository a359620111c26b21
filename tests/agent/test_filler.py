"""Short breaks of a card become silence of their length; everything else stays a break."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.archive_format.times import to_ns
from agent.filler import Filler
from agent.model import (
    AudioFormat,
    Break,
    CloseReason,
    Dated,
    DatedFrame,
    DatedSplit,
    Frame,
    GapCause,
    Loss,
    Pause,
    RunEnded,
    RunStarted,
    RunStarting,
    SampleFormat,
    Unit,
)
from agent.segmenter import Segmenter
from agent.timeline import Timeline
from tests.agent.build import EPOCH_NS, MP3_STEREO, NS, S16_MONO, UTC_ZONE, at
from tests.agent.simulated_card import FORMAT, RATE, Card
from tests.agent.test_timeline_properties import Cut, line

NEVER = {
    GapCause.STOPPED,
    GapCause.SCHEDULED,
    GapCause.AGENT_STOPPED,
    GapCause.AGENT_CRASHED,
    GapCause.CLOCK_STEP,
}


def dated(
    start_s: float, seconds: float = 1.0, *, step_s: float = 0.0, audio_format: AudioFormat = S16_MONO
) -> DatedFrame:
    start_ns = EPOCH_NS + round(start_s * NS)
    samples = round(seconds * audio_format.sample_rate_hz)
    frame = Frame(bytes(samples * (audio_format.bytes_per_sample or 0)), samples, audio_format, at(start_s + seconds))
    moved_ns = round(step_s * NS)
    end_ns = start_ns + round(seconds * NS)
    return DatedFrame(frame, start_ns + moved_ns, end_ns + moved_ns, start_ns - EPOCH_NS + 1000 * NS, None)


def broken(cause: GapCause, seconds: float) -> Break:
    return Break(cause, "why", EPOCH_NS + round(seconds * NS))


def pushed(filler: Filler, *items: Dated) -> list[Dated]:
    return [out for item in items for out in filler.push(item)]


@pytest.mark.parametrize("cause", list(GapCause))
def test_which_causes_are_filled(cause: GapCause) -> None:
    items: list[Dated] = [dated(0), broken(cause, 1), dated(1.4)]
    out = pushed(Filler(up_to_ns=NS), *items)
    if cause in NEVER:
        assert out == items
        return
    first, pause, silence, second = out
    assert (first, pause, second) == (items[0], Pause(broken(cause, 1)), items[2])
    assert isinstance(silence, DatedFrame)
    assert (silence.start_ns, silence.end_ns, silence.frame.samples) == (
        EPOCH_NS + NS,
        EPOCH_NS + round(1.4 * NS),
        19_200,
    )
    assert silence.fills == broken(cause, 1)


@pytest.mark.parametrize(
    ("filler", "items"),
    [
        (Filler(up_to_ns=0), [dated(0), broken(GapCause.OVERRUN, 1), dated(1.4)]),
        (Filler(up_to_ns=NS), [broken(GapCause.STARTING, 0), dated(1)]),
        (
            Filler(up_to_ns=NS),
            [dated(0, audio_format=MP3_STEREO), broken(GapCause.DISCONNECTED, 1), dated(1.4, audio_format=MP3_STEREO)],
        ),
    ],
    ids=["off", "nothing before it", "a stream"],
)
def test_what_passes_unchanged(filler: Filler, items: list[Dated]) -> None:
    assert pushed(filler, *items) == items
    assert list(filler.tick(at(100))) == []


@pytest.mark.parametrize(
    "after",
    [
        dated(2.2),
        dated(1.4, step_s=0.3),
        dated(1.4, audio_format=AudioFormat.pcm(44100, 1, SampleFormat.S16_LE)),
        dated(0.2),
    ],
    ids=["too long", "the clock was set meanwhile", "another format", "made before"],
)
def test_what_cannot_be_filled_is_a_break_where_the_audio_ended(after: DatedFrame) -> None:
    before, lost = dated(0), broken(GapCause.OVERRUN, 1)
    assert pushed(Filler(up_to_ns=NS), before, lost, after) == [before, Pause(lost), lost, after]


@pytest.mark.parametrize("start_s", [0.991, 1.0, 1.009])
def test_where_nothing_is_missing_nothing_is_put_in(start_s: float) -> None:
    """A message of a loss that was none: less than the clock may err by."""
    items: list[Dated] = [dated(0), broken(GapCause.OVERRUN, 1), dated(start_s)]
    assert pushed(Filler(up_to_ns=NS), *items) == [items[0], Pause(broken(GapCause.OVERRUN, 1)), items[2]]


def test_a_break_that_lasts_is_let_go_by_time_once_everything_else_is_done() -> None:
    filler = Filler(up_to_ns=NS)
    lost = broken(GapCause.DEVICE_LOST, 1)
    pushed(filler, dated(0), lost, broken(GapCause.STARTING, 1.5), broken(GapCause.DEVICE_LOST, 2))
    assert list(filler.tick(at(30))) == [], "it was busy until now"
    assert list(filler.tick(at(35))) == []
    assert list(filler.tick(at(35.1))) == [lost]
    assert list(filler.tick(at(90))) == []
    assert pushed(filler, dated(50)) == [dated(50)]


def test_a_split_while_a_break_is_held_comes_behind_the_silence_or_not_at_all() -> None:
    lost, split = broken(GapCause.OVERRUN, 1), DatedSplit(EPOCH_NS + NS)
    *_, silence, behind, again = pushed(Filler(up_to_ns=NS), dated(0), lost, split, dated(1.5))
    assert isinstance(silence, DatedFrame)
    assert silence.fills == lost
    assert (behind, again) == (DatedSplit(EPOCH_NS + round(1.5 * NS)), dated(1.5))
    out = pushed(Filler(up_to_ns=NS), dated(0), lost, split, dated(3))
    assert out == [dated(0), Pause(lost), lost, dated(3)], "the break has made a new file"


@pytest.mark.parametrize("cause", [*sorted(NEVER), GapCause.STALL])
def test_another_cause_lets_go_of_what_is_held_first(cause: GapCause) -> None:
    filler, lost, other = Filler(up_to_ns=NS), broken(GapCause.OVERRUN, 1), broken(cause, 1.5)
    assert pushed(filler, dated(0), lost, other) == [dated(0), Pause(lost), lost, other]


# --- the whole way from arrivals to segments ---


def lossy(card: Card, seconds: float, *, told: bool) -> Iterator[Unit]:
    """What is read of the card; with a word at each loss, as arecord has one."""
    yield RunStarted(FORMAT, card.instant(0))
    losses = list(card.losses) if told else []
    before = -1
    for frame in card.frames(seconds):
        numbers = np.frombuffer(frame.data, "<u4")
        whole = np.concatenate(([before], numbers.astype(np.int64)))
        hole = np.flatnonzero(np.diff(whole) > 1)
        if told and losses and len(hole):
            losses.pop()
            samples = int(hole[0])
            if samples:
                yield frame.split(samples)[0]
            yield Loss(GapCause.OVERRUN, "overrun!!!", frame.received_at)
            frame = frame.split(samples)[1]
        before = int(numbers[-1])
        yield frame


def in_file(cuts: list[Cut]) -> list[tuple[int, int]]:
    """(wall clock by the place in the file, counter) of the first sample of every frame that is no silence."""
    found = []
    for cut in cuts:
        start_ns, done = to_ns(cut.opened.start), 0
        for frame in cut.frames:
            numbers = np.frombuffer(frame.data, "<u4")
            if numbers.any():
                found.append((start_ns + round(done * NS / RATE), int(numbers[0])))
            done += frame.samples
    return found


@given(
    when_s=st.floats(6.0, 50.0),
    length_s=st.sampled_from([0.06, 0.2, 0.5, 0.95]),
    told=st.booleans(),
    seed=st.integers(0, 1 << 32),
    ppm=st.integers(-200, 200),
    jitter_s=st.sampled_from([0.0, 0.004, 0.02]),
)
@example(30.2, 0.95, True, 0, 0, 0.0)
@settings(max_examples=60, deadline=None)
def test_after_a_short_loss_every_sample_stands_at_its_wall_time(
    when_s: float, length_s: float, told: bool, seed: int, ppm: int, jitter_s: float
) -> None:
    card = Card(ppm, seed, jitter_s, losses=((when_s, length_s),))
    cuts, breaks = line(lossy(card, 65, told=told), period_s=20, fill_s=1.0)
    assert not breaks
    assert {cut.close.reason for cut in cuts if cut.close} == {CloseReason.BOUNDARY}
    heard = np.concatenate([cut.counters for cut in cuts])
    real = np.flatnonzero(np.concatenate([np.full(1, True), heard[1:] != 0]))  # counter 0 is the first sample alone
    assert np.array_equal(heard[real], card.delivered()[: len(real)]), "what was delivered is all there, in order"
    filled_s = (len(heard) - len(real)) / RATE
    assert filled_s == pytest.approx(length_s, abs=0.03)
    known_s = when_s + (0 if told else 5)  # the clock alone takes some seconds to be sure
    for wall_ns, number in in_file(cuts):
        made_s = number / card.rate
        if not when_s - 0.3 <= made_s <= known_s + 1:
            assert wall_ns == pytest.approx(card.made_ns(number), abs=0.03 * NS), made_s


@given(st.floats(19.1, 19.95), st.booleans(), st.integers(0, 1 << 32))
@settings(max_examples=20, deadline=None)
def test_a_gap_over_a_boundary_is_cut_at_the_boundary(when_s: float, told: bool, seed: int) -> None:
    card = Card(0, seed, 0.0, losses=((when_s, 0.9 if told else 0.5),))
    cuts, breaks = line(lossy(card, 40, told=told), period_s=20, fill_s=1.0)
    assert not breaks
    first, second = cuts[:2]
    assert first.close is not None
    assert to_ns(first.close.end) == to_ns(second.opened.start) == EPOCH_NS + 20 * NS
    assert first.samples == pytest.approx(20 * RATE, abs=0.02 * RATE)


def test_a_loss_longer_than_that_ends_the_segment() -> None:
    card = Card(0, 1, 0.0, losses=((10.0, 1.5),))
    cuts, breaks = line(lossy(card, 30, told=True), period_s=60, fill_s=1.0)
    assert [one.cause for one in breaks] == [GapCause.OVERRUN]
    assert [cut.close.reason for cut in cuts if cut.close] == [CloseReason.GAP]
    assert (to_ns(cuts[1].opened.start) - breaks[0].at_ns) / NS == pytest.approx(1.5, abs=0.02)


def test_a_device_that_is_back_at_once_goes_on_in_the_same_file() -> None:
    """One arecord ends, the next begins 600 ms later: the samples of both, and silence between."""

    def run() -> Iterator[Unit]:
        for begin_s, count in ((0.0, 40), (2.6, 40)):
            yield RunStarting(at(begin_s - 0.1))
            yield RunStarted(S16_MONO, at(begin_s))
            for number in range(count):
                yield Frame(bytes(4800), 2400, S16_MONO, at(begin_s + (number + 1) * 0.05))
            yield RunEnded(GapCause.DEVICE_LOST, "gone", at(begin_s + count * 0.05))

    (cut,), breaks = line(run(), period_s=60, fill_s=1.0)
    assert [one.cause for one in breaks] == [GapCause.STARTING]
    assert cut.samples == round(4.6 * 48000)


@given(st.integers(1, 60), st.sampled_from([4000, 48000]))
@settings(max_examples=20)
def test_a_long_silence_is_made_a_second_at_a_time(seconds: int, rate: int) -> None:
    audio_format = AudioFormat.pcm(rate, 1, SampleFormat.S16_LE)
    filler, segmenter = Filler(up_to_ns=60 * NS), Segmenter(period_s=86_400, zone=UTC_ZONE)
    items: list[Dated] = [dated(0, audio_format=audio_format), broken(GapCause.DEVICE_LOST, 1)]
    items += [dated(1 + seconds, audio_format=audio_format)]
    parts = [part for item in pushed(filler, *items) for part in segmenter.push(item)]
    frames = [part.frame for part in parts if hasattr(part, "frame")]
    assert max(frame.samples for frame in frames) <= rate
    assert sum(frame.samples for frame in frames) == (2 + seconds) * rate


def test_a_timeline_with_nothing_lost_never_pauses() -> None:
    timeline, filler = Timeline(), Filler(up_to_ns=NS)
    card = Card(120, 3, 0.1, stalls=((20.0, 5.0),))
    units: list[Unit] = [RunStarted(FORMAT, card.instant(0)), *card.frames(60)]
    out = [whole for unit in units for item in timeline.push(unit) for whole in filler.push(item)]
    assert all(isinstance(item, DatedFrame) and item.fills is None for item in out)
