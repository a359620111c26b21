"""Segments and gaps that tile are let be; holes and overlaps are named."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.model import Clock, CloseReason, Gap, GapCause, Segment
from agent.verify.tiling import Piece, in_order, judge_tiling
from tests.agent.build import MP3_STEREO, S16_MONO, utc
from tests.agent.verify.support import checks


def segment(start_s: float, end_s: float, *, boottime_s: float | None = None, **fields: object) -> Segment:
    begin, end = utc(start_s), utc(end_s)
    samples = round((end_s - start_s) * 48000)
    made = Segment(
        id=f"{start_s}",
        agent="shed",
        source="mic",
        boot="boot",
        run="run",
        file=f"{start_s}.flac",
        container="flac",
        format=S16_MONO,
        start=begin,
        end=end,
        tz="UTC",
        samples=samples,
        packets=None,
        bytes=1,
        payload_offset=0,
        aligned_start=False,
        clock=Clock(True, start_s if boottime_s is None else boottime_s, None, 0.0, ((0, begin), (samples, end))),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def gap(start_s: float, end_s: float | None, *, name: str = "g", filled: int = 0) -> Gap:
    end = None if end_s is None else utc(end_s)
    return Gap(name + str(start_s), "mic", utc(start_s), end, GapCause.DEVICE_LOST, None, filled)


def judged(segments: list[Segment], gaps: list[Gap], unknown: list[datetime] | None = None) -> list[str]:
    pieces = [Piece(one.file, one) for one in segments]
    return [str(one) for one in judge_tiling(pieces, gaps, unknown or [])]


def found(segments: list[Segment], gaps: list[Gap]) -> set[str]:
    return checks(list(judge_tiling([Piece(one.file, one) for one in segments], gaps, [])))


def test_what_begins_at_the_same_moment_of_the_clock_that_never_steps_comes_behind_what_it_overlaps() -> None:
    """A stream that was found to have lasted less long just when the clock was set back left a file without length."""
    before, short = segment(41, 43, boottime_s=1001), segment(43, 43, boottime_s=1003, reason=CloseReason.CLOCK_STEP)
    after = segment(23, 24, boottime_s=1003)
    after = replace(after, clock=replace(after.clock, overlap_s=20.0))
    last = segment(24, 25, boottime_s=1004)
    assert judged([before, short, after, last], []) == []


@given(
    st.lists(st.tuples(st.floats(0.01, 100), st.sampled_from([0.0, 0.5, 30.0])), min_size=1, max_size=20), st.randoms()
)
def test_what_tiles_is_right_in_any_order_and_a_lost_gap_or_file_shows(
    parts: list[tuple[float, float]], rng: random.Random
) -> None:
    segments, gaps, at = [], [], 0.0
    for length_s, gap_s in parts:
        if gap_s:
            gaps.append(gap(at, at + gap_s))
            at += gap_s
        segments.append(segment(at, at + length_s))
        at += length_s
    shuffled = rng.sample(segments, len(segments))
    assert judged(shuffled, gaps) == []
    if len(segments) > 2:
        lost = segments[len(segments) // 2]
        assert found([one for one in shuffled if one is not lost], gaps) == {"hole"}
    inner = [one for one in gaps if one.start > segments[0].start]
    if inner:
        assert found(shuffled, [one for one in gaps if one is not inner[0]]) == {"hole"}


def test_a_hole_says_how_long_and_where() -> None:
    (line,) = judged([segment(0, 10), segment(15, 20)], [gap(10, 13)])
    assert line.startswith("15.flac: hole: found 2.000 s that nothing tells of between 2026-11-22T13:00:10.000Z")


def test_a_millisecond_or_a_packet_is_no_hole() -> None:
    assert judged([segment(0, 10), segment(10.001, 20)], []) == []
    assert found([segment(0, 10), segment(10.002, 20)], []) == {"hole"}
    stream = segment(0, 10, format=MP3_STEREO, samples=441_000, packets=383)
    assert judged([stream, segment(10.026, 20)], []) == []
    assert found([stream, segment(10.06, 20)], []) == {"hole"}


def test_the_gap_before_of_a_sidecar_counts_where_the_ledger_is_lost() -> None:
    assert judged([segment(0, 10), segment(15, 20, gap_before=gap(10, 15))], []) == []


def test_of_what_was_forgotten_on_purpose_no_account_is_due() -> None:
    """A protected segment from long ago, and what came after it is gone with its lines in the ledger."""
    pieces = [Piece(one.file, one) for one in (segment(0, 10), segment(95, 105), segment(110, 120))]
    (late,) = judge_tiling(pieces, [], [], utc(100))
    assert (late.check, late.found.split()[0]) == ("hole", "5.000")
    assert list(judge_tiling(pieces, [gap(105, 110)], [], utc(95))) == []
    (early,) = judge_tiling(pieces, [gap(105, 110)], [], utc(94))
    assert early.found.startswith("1.000 s")


def test_a_gap_that_never_ended_explains_nothing() -> None:
    assert found([segment(0, 10), segment(15, 20)], [gap(10, None)]) == {"hole"}


def test_an_overlap_is_named_unless_it_is_told() -> None:
    first, second = segment(0, 10), segment(9, 20)
    assert found([first, second], []) == {"overlap"}
    told = replace(second, clock=replace(second.clock, overlap_s=1.0))
    assert judged([first, told], []) == []


def test_a_clock_that_was_set_back_by_an_hour_is_in_order() -> None:
    before = segment(3600, 3700, boottime_s=0, reason=CloseReason.CLOCK_STEP)
    after = segment(100, 200, boottime_s=100)
    later = segment(200, 300, boottime_s=200)
    after = replace(after, clock=replace(after.clock, overlap_s=3600.0))
    ordered = in_order([Piece(one.file, one) for one in (after, later, before)])
    assert [piece.segment.start for piece in ordered] == [utc(3600), utc(100), utc(200)]
    assert judged([after, later, before], []) == []


def test_a_burst_of_old_audio_that_tells_of_its_overlap_is_right() -> None:
    """What a server sends again after a reconnect may begin before, and end in a later file, than what was there."""

    def burst(start_s: float, end_s: float, overlap_s: float) -> Segment:
        made = segment(start_s, end_s)
        return replace(made, clock=replace(made.clock, overlap_s=overlap_s))

    assert judged([segment(21, 23), burst(20, 27, 3.0), segment(27, 30)], []) == []
    crossing = [segment(28, 30), segment(30, 30.04), burst(29.8, 30.01, 0.24), segment(30.01, 60)]
    assert judged(crossing, []) == []
    assert found([segment(28, 30), segment(30, 30.04), segment(29.8, 30.01), segment(30.01, 60)], []) == {"overlap"}
    assert found([segment(0, 10), segment(10, 20), segment(10, 20)], []) == {"overlap"}


def test_a_gap_where_there_is_audio_is_named() -> None:
    assert found([segment(0, 10), segment(10, 20)], [gap(3, 5)]) == {"overlap"}
    told = gap(3, 5)
    assert judged([segment(0, 10, gaps=(told,)), segment(10, 20)], [told]) == []
    assert judged([segment(0, 10), segment(10, 20)], [gap(3, 4, filled=48000)]) == []


def test_nothing_is_said_of_the_time_around_what_is_still_open() -> None:
    assert judged([segment(0, 10), segment(15, 20)], [], [utc(10)]) == []
    assert len(judged([segment(0, 10), segment(15, 20)], [], [utc(30)])) == 1


def test_hundreds_of_days_are_judged_quickly() -> None:
    day = [segment(60.0 * number, 60.0 * number + 60) for number in range(20_000)]
    gaps = [gap(-float(number) - 1, -float(number)) for number in range(20_000)]
    assert judged(day, gaps) == []
    assert day[-1].end == datetime(2026, 11, 22, 13, tzinfo=UTC) + timedelta(minutes=20_000)
