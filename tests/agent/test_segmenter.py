import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.archive_format.times import from_ns, to_ns
from agent.model import (
    AudioFormat,
    Break,
    CloseReason,
    Dated,
    DatedFrame,
    DatedSplit,
    DatedTitle,
    Frame,
    GapCause,
    Part,
    SampleFormat,
    SegmentClose,
    SegmentData,
    SegmentOpen,
    SegmentTitle,
)
from agent.periods import next_boundary_ns
from agent.segmenter import Segmenter
from tests.agent.build import EPOCH_NS, MP3_STEREO, NS, S16_MONO, at, singly, together

BERLIN = ZoneInfo("Europe/Berlin")
PERIODS = [5, 10, 60, 900, 3600, 86400]


@dataclass
class Cut:
    """One segment as its parts tell it."""

    opened: SegmentOpen
    frames: list[Frame] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    close: SegmentClose | None = None

    @property
    def data(self) -> bytes:
        return b"".join(frame.data for frame in self.frames)

    @property
    def samples(self) -> int:
        return sum(frame.samples for frame in self.frames)


def gathered(parts: list[Part]) -> list[Cut]:
    """The segments; an AssertionError where the parts are in no sensible order."""
    cuts: list[Cut] = []
    current: Cut | None = None
    for part in parts:
        if isinstance(part, SegmentOpen):
            assert current is None
            cuts.append(current := Cut(part))
        elif isinstance(part, SegmentData):
            assert current is not None
            assert part.frame.samples > 0
            assert part.frame.format == current.opened.format
            current.frames.append(part.frame)
            current.ends.append(to_ns(part.end))
        elif isinstance(part, SegmentClose):
            assert current is not None
            assert current.frames, "an empty segment"
            current.close = part
            current = None
    return cuts


def push_all(segmenter: Segmenter, items: list[Dated]) -> list[Part]:
    return [part for item in items for part in segmenter.push(item)]


def dated(data: bytes, audio_format: AudioFormat, samples: int, start_ns: int, end_ns: int) -> DatedFrame:
    frame = Frame(data, samples, audio_format, at(0))
    return DatedFrame(frame, start_ns, end_ns, start_ns - EPOCH_NS + 1000 * NS, None)


def run_of(
    audio_format: AudioFormat, sizes: list[int], start_ns: int, *, ppm: float = 0.0, first: int = 0
) -> list[Dated]:
    """Frames of so many samples one after the other, on a card that is off by `ppm`. Each sample is its own number."""
    width = audio_format.bytes_per_sample
    items: list[Dated] = []
    done = 0
    scale = NS / (audio_format.sample_rate_hz * (1 + ppm * 1e-6))
    for number, size in enumerate(sizes):
        if width is None:
            data = (first + number).to_bytes(4, "big") * 8
        else:
            data = np.arange(first + done, first + done + size, dtype="<u4").tobytes()
        bounds = start_ns + round(done * scale), start_ns + round((done + size) * scale)
        items.append(dated(data, audio_format, size, *bounds))
        done += size
    return items


SLOW = AudioFormat.pcm(1000, 2, SampleFormat.S16_LE)
"""1000 samples a second of four bytes: few enough to count in a test."""


@given(
    st.lists(st.integers(1, 30_000), min_size=1, max_size=30),
    st.integers(0, 86_400 * 1000),
    st.sampled_from(PERIODS),
    st.integers(-200, 200),
)
@settings(max_examples=60)
@example([30_000], 0, 5, 0)
@example([1, 30_000, 1], 4_999, 5, 200)
@example([5000, 5000, 5000], 0, 5, 0)
def test_pcm_is_cut_at_the_nearest_sample_and_nothing_is_lost(
    sizes: list[int], start_ms: int, period_s: int, ppm: int
) -> None:
    start_ns = EPOCH_NS + start_ms * 1_000_000
    items = run_of(SLOW, sizes, start_ns, ppm=ppm)
    parts = push_all(Segmenter(period_s=period_s, zone=BERLIN), [*items, Break(GapCause.STOPPED, None, start_ns)])
    cuts = gathered(parts)
    whole = b"".join(item.frame.data for item in items if isinstance(item, DatedFrame))
    assert b"".join(cut.data for cut in cuts) == whole

    sample_ns = NS / (1000 * (1 + ppm * 1e-6))
    position = 0
    for cut, following in zip(cuts, cuts[1:], strict=False):
        position += cut.samples
        assert cut.close is not None
        assert cut.close.reason is CloseReason.BOUNDARY
        assert cut.close.aligned_end
        assert following.opened.aligned_start
        assert following.opened.start == cut.close.end
        boundary_ns = to_ns(cut.close.end)
        assert next_boundary_ns(boundary_ns - 1, period_s, BERLIN) == boundary_ns
        # The sample after the cut is the one nearest to the boundary.
        assert abs(position * sample_ns - (boundary_ns - start_ns)) <= sample_ns / 2 + 2
    assert not cuts[0].opened.aligned_start
    # Every boundary within the audio is a cut.
    expected, now_ns = 0, start_ns + round(sample_ns / 2)
    end_ns = start_ns + round(sum(sizes) * sample_ns)
    while (now_ns := next_boundary_ns(now_ns, period_s, BERLIN)) <= end_ns - sample_ns / 2 - 2:
        expected += 1
    assert len(cuts) in (expected, expected + 1)


@given(
    st.integers(1, 600),
    st.integers(0, 86_400 * 1000),
    st.sampled_from([5, 10, 60]),
    st.integers(-200, 200),
)
@settings(max_examples=60)
def test_packets_are_cut_at_the_nearest_packet_and_keep_their_bytes(
    count: int, start_ms: int, period_s: int, ppm: int
) -> None:
    start_ns = EPOCH_NS + start_ms * 1_000_000
    items = run_of(MP3_STEREO, [1152] * count, start_ns, ppm=ppm)
    cuts = gathered(push_all(Segmenter(period_s=period_s, zone=BERLIN), items))
    packets = [item.frame for item in items if isinstance(item, DatedFrame)]
    assert [frame for cut in cuts for frame in cut.frames] == packets
    packet_ns = 1152 * NS / 44100
    for cut, following in zip(cuts, cuts[1:], strict=False):
        assert cut.close is not None
        assert following.opened.start == cut.close.end
        edge_ns = to_ns(cut.close.end)
        nearest_ns = min(
            (
                next_boundary_ns(edge_ns - round(packet_ns), period_s, BERLIN),
                next_boundary_ns(edge_ns, period_s, BERLIN),
            ),
            key=lambda boundary_ns: abs(boundary_ns - edge_ns),
        )
        assert abs(edge_ns - nearest_ns) <= packet_ns / 2 * 1.001 + 1_000_000


@given(
    st.lists(st.integers(1, 250), min_size=1, max_size=30),
    st.integers(0, 86_400 * 1000),
    st.sampled_from([5, 10]),
)
@settings(max_examples=60)
def test_packets_that_come_together_are_cut_as_if_each_had_come_alone(
    counts: list[int], start_ms: int, period_s: int
) -> None:
    # The middles of packets lie 1/49 ms apart: with 7 us more none is on a boundary, where a nanosecond would decide.
    items = run_of(MP3_STEREO, [1152] * sum(counts), EPOCH_NS + start_ms * 1_000_000 + 7_000)
    groups = []
    for count in counts:
        group, items = items[:count], items[count:]
        first, last = group[0], group[-1]
        assert isinstance(first, DatedFrame)
        assert isinstance(last, DatedFrame)
        frame = together([item.frame for item in group if isinstance(item, DatedFrame)])
        groups.append((group, DatedFrame(frame, first.start_ns, last.end_ns, first.start_boottime_ns, None)))
    whole, one_by_one = Segmenter(period_s=period_s, zone=BERLIN), Segmenter(period_s=period_s, zone=BERLIN)
    cuts = gathered(push_all(whole, [group for _, group in groups]))
    expected = gathered(push_all(one_by_one, [item for items, _ in groups for item in items]))
    assert [[single for frame in cut.frames for single in singly(frame)] for cut in cuts] == [
        cut.frames for cut in expected
    ]
    for cut, other in zip(cuts, expected, strict=True):
        assert abs(to_ns(cut.opened.start) - to_ns(other.opened.start)) <= 1_000_000  # rounded to whole ms


@given(st.integers(0, 100), st.integers(1, 8), st.sampled_from([MP3_STEREO, SLOW]))
def test_a_frame_that_spans_several_boundaries(offset_ms: int, periods: int, audio_format: AudioFormat) -> None:
    """PCM is cut at each of them; a packet cannot be, and stays whole."""
    start_ns = EPOCH_NS - offset_ms * 1_000_000
    samples = (periods * 5 + 2) * audio_format.sample_rate_hz
    items = run_of(audio_format, [samples, audio_format.sample_rate_hz], start_ns)
    cuts = gathered(push_all(Segmenter(period_s=5, zone=BERLIN), [*items, Break(GapCause.STALL, None, start_ns)]))
    assert b"".join(cut.data for cut in cuts) == b"".join(i.frame.data for i in items if isinstance(i, DatedFrame))
    if audio_format is SLOW:
        assert len(cuts) == periods + 1 + (offset_ms > 0)
    for cut, following in zip(cuts, cuts[1:], strict=False):
        assert cut.close is not None
        assert following.opened.start == cut.close.end > cut.opened.start


@given(st.integers(0, 1 << 32), st.sampled_from([SLOW, MP3_STEREO]), st.sampled_from([5, 60]))
@settings(max_examples=80)
def test_an_estimate_that_moves_loses_nothing_and_leaves_no_hole(
    seed: int, audio_format: AudioFormat, period_s: int
) -> None:
    """The dates of a frame need not be where the frame before ended: the estimate gets better as it goes."""
    rng = random.Random(seed)
    start_ns, done, items = EPOCH_NS + rng.randrange(60 * NS), 0, []
    for number in range(300):
        samples = rng.choice([1, 50, 400]) if audio_format is SLOW else 1152
        start_ns += rng.choice([0, 0, 0, 1, -1]) * rng.randrange(30_000_000)
        end_ns = start_ns + samples * NS // audio_format.sample_rate_hz
        width = audio_format.bytes_per_sample
        data = number.to_bytes(4, "big") * (samples if width else 8)
        items.append(dated(data, audio_format, samples, start_ns, end_ns))
        start_ns, done = end_ns, done + samples
    all_items: list[Dated] = [*items, Break(GapCause.DISCONNECTED, None, start_ns)]
    cuts = gathered(push_all(Segmenter(period_s=period_s, zone=BERLIN), all_items))
    assert b"".join(cut.data for cut in cuts) == b"".join(item.frame.data for item in items)
    for cut, following in zip(cuts, cuts[1:], strict=False):
        assert cut.close is not None
        assert following.opened.start == cut.close.end
        assert following.opened.overlap_s == 0.0
    for cut in cuts:
        assert cut.close is not None
        assert cut.close.end >= cut.opened.start


REASONS = {
    GapCause.STOPPED: CloseReason.STOP,
    GapCause.SCHEDULED: CloseReason.SCHEDULE,
    GapCause.AGENT_STOPPED: CloseReason.SHUTDOWN,
    GapCause.CLOCK_STEP: CloseReason.CLOCK_STEP,
}


@pytest.mark.parametrize("cause", list(GapCause))
def test_a_break_ends_the_segment_where_the_audio_ended(cause: GapCause) -> None:
    end_ns = EPOCH_NS + 2 * NS
    items: list[Dated] = [*run_of(SLOW, [1000, 1000], EPOCH_NS), Break(cause, "why", end_ns)]
    items += [*run_of(SLOW, [1000], EPOCH_NS + 4 * NS)]
    parts = push_all(Segmenter(period_s=60, zone=BERLIN), items)
    first, second = gathered(parts)
    assert first.close == SegmentClose(from_ns(end_ns), REASONS.get(cause, CloseReason.GAP), False, None)
    assert not second.opened.aligned_start
    assert second.opened.start == from_ns(EPOCH_NS + 4 * NS)
    assert Break(cause, "why", end_ns) in parts


@pytest.mark.parametrize("cause", [GapCause.CLOCK_STEP, GapCause.DISCONNECTED])
def test_a_break_right_behind_a_split_lies_where_the_file_ended(cause: GapCause) -> None:
    """The estimate has moved since; what is in the file is not missing."""
    segmenter = Segmenter(period_s=3600, zone=BERLIN)
    start_ns = EPOCH_NS + NS
    frame = dated(b"x" * 100, MP3_STEREO, 48_000, start_ns, start_ns + NS)
    parts = push_all(segmenter, [frame, DatedSplit(start_ns + NS), Break(cause, None, start_ns + NS * 9 // 10)])
    closed, broken = parts[-2:]
    assert isinstance(closed, SegmentClose)
    assert isinstance(broken, Break)
    assert from_ns(broken.at_ns) == closed.end == from_ns(start_ns + NS)


def test_a_break_while_nothing_is_open_passes_through() -> None:
    item = Break(GapCause.REFUSED, None, EPOCH_NS)
    assert push_all(Segmenter(period_s=60, zone=BERLIN), [item, item]) == [item, item]


def test_a_step_back_states_what_is_there_twice() -> None:
    items: list[Dated] = [*run_of(SLOW, [4000], EPOCH_NS), Break(GapCause.CLOCK_STEP, None, EPOCH_NS + 4 * NS)]
    items += run_of(SLOW, [1000], EPOCH_NS + 1 * NS)
    first, second = gathered(push_all(Segmenter(period_s=60, zone=BERLIN), items))
    assert second.opened.overlap_s == 3.0
    assert second.opened.start == from_ns(EPOCH_NS + NS)
    assert first.opened.overlap_s == 0.0


def test_a_start_before_the_end_of_an_earlier_run_states_what_is_there_twice() -> None:
    ended = from_ns(EPOCH_NS + 2 * NS)
    segmenter = Segmenter(period_s=60, zone=BERLIN, ended=ended)
    first, *_ = gathered(push_all(segmenter, run_of(S16_MONO, [48000] * 5, EPOCH_NS)))
    assert first.opened.overlap_s == 2.0
    assert first.opened.start == from_ns(EPOCH_NS)


def test_every_file_of_a_time_that_is_there_already_says_so() -> None:
    """Set back by four and a half minutes: the next four files, and no more, lie where there is audio already."""
    items: list[Dated] = [*run_of(SLOW, [1000] * 270, EPOCH_NS), Break(GapCause.CLOCK_STEP, None, EPOCH_NS + 270 * NS)]
    items += run_of(SLOW, [1000] * 300, EPOCH_NS + 60 * NS)
    cuts = gathered(push_all(Segmenter(period_s=60, zone=BERLIN), items))
    assert [cut.opened.overlap_s for cut in cuts] == [0.0] * 5 + [210.0, 150.0, 90.0, 30.0, 0.0]


def test_time_between_two_recordings_is_not_there_twice() -> None:
    """What a clock that was years ahead has dated is not in the way of what comes after it was set right."""
    items: list[Dated] = []
    for at_s in (0, 3600, 90, 7200):
        items += run_of(SLOW, [1000] * 90, EPOCH_NS + at_s * NS)
        items.append(Break(GapCause.CLOCK_STEP, None, EPOCH_NS + (at_s + 90) * NS))
    cuts = gathered(push_all(Segmenter(period_s=60, zone=BERLIN), items))
    assert [cut.opened.overlap_s for cut in cuts] == [0.0] * 4 + [3600.0] + [0.0] * 3


@given(
    st.lists(st.tuples(st.integers(-400, 400), st.integers(1, 200)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 300)), max_size=4),
    st.sampled_from([5, 60, 3600]),
)
@settings(deadline=None)
def test_what_lies_over_earlier_audio_says_how_far_that_reaches(
    runs: list[tuple[int, int]], earlier: list[tuple[int, int]], period_s: int
) -> None:
    """Whatever steps the clock makes, and whatever an earlier line has left on disk."""
    on_disk = [(from_ns(EPOCH_NS + at * NS), from_ns(EPOCH_NS + (at + length) * NS)) for at, length in earlier]
    asked: list[datetime] = []

    def recorded_in(begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        asked.append(begin)
        return [one for one in on_disk if one[0] < end and one[1] > begin]

    ended = max((end for _, end in on_disk), default=None)
    segmenter = Segmenter(period_s=period_s, zone=BERLIN, ended=ended, recorded_in=recorded_in)
    items: list[Dated] = []
    at_s = 1000
    for step_s, length_s in runs:
        at_s += step_s
        items += run_of(SLOW, [1000] * length_s, EPOCH_NS + at_s * NS)
        at_s += length_s
        items.append(Break(GapCause.CLOCK_STEP, None, EPOCH_NS + at_s * NS))
    there, last = list(on_disk), ended
    for cut in gathered(push_all(segmenter, items)):
        assert cut.close is not None
        start, end, overlap = cut.opened.start, cut.close.end, timedelta(seconds=cut.opened.overlap_s)
        assert all(other - start <= overlap for begin, other in there if begin < end and start < other)
        assert last is None or last - start <= overlap
        assert not overlap or start + overlap in {other for _, other in there}
        there.append((start, end))
        last = end
    assert len(asked) <= len(runs), "a step back asks once"


def test_of_countless_breaks_the_disk_is_asked() -> None:
    """A stream that reconnects every few seconds for weeks does not fill the memory."""
    items: list[Dated] = []
    for number in range(6000):
        items += run_of(SLOW, [1000], EPOCH_NS + number * 3 * NS)
        items.append(Break(GapCause.DISCONNECTED, None, EPOCH_NS + (number * 3 + 1) * NS))
    asked: list[tuple[datetime, datetime]] = []

    def recorded_in(begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        asked.append((begin, end))
        return [(from_ns(EPOCH_NS + 300 * NS), from_ns(EPOCH_NS + 301 * NS))]

    segmenter = Segmenter(period_s=60, zone=BERLIN, recorded_in=recorded_in)
    push_all(segmenter, items)
    assert asked == []
    *_, last = gathered(push_all(segmenter, run_of(SLOW, [1000] * 180, EPOCH_NS + 180 * NS)))
    assert asked == [(from_ns(EPOCH_NS + 180 * NS), from_ns(EPOCH_NS + (240 + 3600) * NS))]
    assert last.opened.overlap_s == 1.0


def test_another_format_is_another_segment_that_joins() -> None:
    items: list[Dated] = [*run_of(SLOW, [1000], EPOCH_NS), *run_of(MP3_STEREO, [1152] * 3, EPOCH_NS + NS)]
    first, second = gathered(push_all(Segmenter(period_s=60, zone=BERLIN), items))
    assert first.close == SegmentClose(from_ns(EPOCH_NS + NS), CloseReason.FORMAT_CHANGE, False, None)
    assert second.opened.format == MP3_STEREO
    assert second.opened.start == from_ns(EPOCH_NS + NS)
    assert not second.opened.aligned_start


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_a_split_is_a_new_file_that_joins_and_never_an_empty_one(splits: list[bool]) -> None:
    items: list[Dated] = []
    for number, split in enumerate(splits):
        items += run_of(SLOW, [100], EPOCH_NS + number * NS // 10, first=100 * number)
        items += [DatedSplit(EPOCH_NS + (number + 1) * NS // 10)] * (2 if split else 0)
    cuts = gathered(push_all(Segmenter(period_s=3600, zone=BERLIN), items))
    assert len(cuts) == sum(splits[:-1]) + 1
    assert sum(cut.samples for cut in cuts) == 100 * len(splits)
    for cut, following in zip(cuts, cuts[1:], strict=False):
        assert cut.close is not None
        assert cut.close.reason is CloseReason.COMMAND
        assert following.opened.start == cut.close.end


def test_titles_pass_through_whether_a_segment_is_open_or_not() -> None:
    title = DatedTitle("a song", EPOCH_NS + 1)
    parts = push_all(Segmenter(period_s=60, zone=BERLIN), [title, *run_of(SLOW, [10], EPOCH_NS), title])
    assert [type(part) for part in parts] == [SegmentTitle, SegmentOpen, SegmentData, SegmentTitle]
    assert parts[0] == SegmentTitle("a song", from_ns(EPOCH_NS))


def test_the_close_says_the_drift_as_it_was_last_known() -> None:
    frame = run_of(SLOW, [1000], EPOCH_NS)[0]
    assert isinstance(frame, DatedFrame)
    known = DatedFrame(frame.frame, frame.start_ns, frame.end_ns, frame.start_boottime_ns, 12.5)
    (cut,) = gathered(push_all(Segmenter(period_s=60, zone=BERLIN), [known, DatedSplit(0)]))
    assert cut.close is not None
    assert cut.close.drift_ppm == 12.5


def test_the_card_of_the_house_at_its_usual_rate() -> None:
    """48 kHz in blocks of 50 ms, +37 ppm, a boundary in the middle of a block."""
    rate = 48000 * (1 + 37e-6)
    start_ns = EPOCH_NS - 2 * NS - 12_345_678
    items: list[Dated] = [
        dated(
            number.to_bytes(2, "little") * 2400,
            S16_MONO,
            2400,
            start_ns + round(number * 2400 * NS / rate),
            start_ns + round((number + 1) * 2400 * NS / rate),
        )
        for number in range(100)
    ]
    first, second = gathered(push_all(Segmenter(period_s=900, zone=BERLIN), items))
    assert abs(start_ns + first.samples * NS / rate - EPOCH_NS) <= NS / rate / 2 + 1
    assert second.opened.start == from_ns(EPOCH_NS)
    assert second.opened.start_boottime_s == 1000.0
