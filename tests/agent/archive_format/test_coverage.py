"""What tiles a day, against a count of every single millisecond."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.coverage import (
    Hole,
    Span,
    Stretch,
    Sums,
    causes,
    coarse,
    day_of,
    days_of,
    merged,
    sums,
    tile,
)
from agent.model import GapCause

BERLIN = ZoneInfo("Europe/Berlin")
END = 60
spans = st.lists(st.tuples(st.integers(0, END), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])))
holes = st.lists(
    st.builds(
        lambda start, length, cause, inside: Hole(start, start + length, cause, inside and cause.missing),
        st.integers(0, END),
        st.integers(0, 20),
        st.sampled_from([GapCause.STALL, GapCause.OVERRUN, GapCause.STOPPED, GapCause.SCHEDULED]),
        st.booleans(),
    ),
    max_size=12,
)
within = st.tuples(st.integers(0, 30), st.integers(0, 50)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def in_any(at: int, many: list[Span]) -> bool:
    return any(start <= at < end for start, end in many)


def kind(at: int, recorded: list[Span], gaps: list[Hole]) -> str | None:
    """What a moment is, by the rule alone."""
    here = [gap for gap in gaps if gap.start_ms <= at < gap.end_ms]
    if sum(start <= at < end for start, end in recorded) > sum(gap.inside for gap in here):
        return "recorded"
    if any(gap.cause.missing for gap in here):
        return "missing"
    return "not asked" if here else None


def shown(stretch: Stretch) -> str:
    return "recorded" if stretch.cause is None else "missing" if stretch.cause.missing else "not asked"


@given(spans, holes, within)
@settings(max_examples=400)
def test_every_moment_counts_once_and_as_what_it_is(recorded: list[Span], gaps: list[Hole], span: Span) -> None:
    tiles = tile(recorded, gaps, span)
    for before, after in zip(tiles, tiles[1:], strict=False):
        assert before.end_ms <= after.start_ms
    assert all(span[0] <= one.start_ms < one.end_ms <= span[1] for one in tiles)
    counted = {at: shown(one) for one in tiles for at in range(one.start_ms, one.end_ms)}
    assert counted == {at: what for at in range(*span) if (what := kind(at, recorded, gaps)) is not None}
    total = sums(tiles)
    told = list(counted.values())
    assert total == Sums(told.count("recorded"), told.count("missing"), told.count("not asked"))
    assert sum(causes(tiles).values()) == total.missing_ms + total.not_asked_ms


@given(st.lists(st.tuples(st.integers(1, 50_000), st.sampled_from([None, *GapCause])), min_size=1))
def test_a_tiling_without_holes_is_found_again(parts: list[tuple[int, GapCause | None]]) -> None:
    """Generated the other way round: what tiles a span adds up to its length."""
    at, recorded, gaps = 0, [], []
    for length, cause in parts:
        if cause is None:
            recorded.append((at, at + length))
        else:
            gaps.append(Hole(at, at + length, cause))
        at += length
    total = sums(tile(recorded, gaps, (0, at)))
    assert total.recorded_ms + total.missing_ms + total.not_asked_ms == at
    assert total.missing_ms == sum(length for length, cause in parts if cause is not None and cause.missing)


@given(spans)
def test_spans_merge(some: list[Span]) -> None:
    assert {at for span in merged(some) for at in range(*span)} == {at for span in some for at in range(*span)}


@given(st.lists(st.tuples(st.integers(0, 40), st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=5))))
def test_a_moment_is_recorded_where_any_file_has_audio_and_else_missing(
    files: list[tuple[int, list[tuple[int, bool]]]],
) -> None:
    """Files over one another, because the clock was set back again and again, each with silences of its own."""
    recorded, silences, audio = [], [], set()
    for start, parts in files:
        at = start
        for length, is_silent in parts:
            if is_silent:
                silences.append(Hole(at, at + length, GapCause.OVERRUN, inside=True))
            else:
                audio |= set(range(at, at + length))
            at += length
        recorded.append((start, at))
    tiles = tile(recorded, silences, (0, 100))
    heard = {at for one in tiles if one.cause is None for at in range(one.start_ms, one.end_ms)}
    missing = {at for one in tiles if one.cause is not None for at in range(one.start_ms, one.end_ms)}
    assert heard == audio
    assert missing == {at for gap in silences for at in range(gap.start_ms, gap.end_ms)} - audio


@given(spans, holes, st.integers(1, 12))
def test_a_coarse_picture_hides_nothing_that_is_missing(recorded: list[Span], gaps: list[Hole], most: int) -> None:
    tiles = tile(recorded, gaps, (0, END))
    rough = coarse(tiles, (0, END), most)
    assert len(rough) <= most
    missing = [(one.start_ms, one.end_ms) for one in rough if shown(one) == "missing"]
    assert all(
        in_any(at, missing) for one in tiles if shown(one) == "missing" for at in range(one.start_ms, one.end_ms)
    )


def test_audio_that_is_there_twice_counts_once() -> None:
    """The clock was set back by five of ten: the wall times of both files overlap."""
    assert sums(tile([(0, 10), (5, 20)], [], (0, 30))) == Sums(20, 0, 0)


def test_silence_inside_a_file_is_missing_and_audio_in_a_gap_is_there() -> None:
    filled = Hole(4, 6, GapCause.OVERRUN, inside=True)
    early = Hole(10, 20, GapCause.DISCONNECTED)
    tiles = tile([(0, 10), (18, 30)], [filled, early], (0, 30))
    assert [(one.start_ms, one.end_ms, one.cause) for one in tiles] == [
        (0, 4, None), (4, 6, GapCause.OVERRUN), (6, 10, None), (10, 18, GapCause.DISCONNECTED), (18, 30, None)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sum_of", "completeness"),
    [
        (Sums(0, 0, 5), None),
        (Sums(5, 0, 5), 100.0),
        (Sums(0, 5, 0), 0.0),
        (Sums(86_400_000, 1, 0), 99.999),
        (Sums(3, 1, 9), 75.0),
    ],
)
def test_completeness_is_that_of_what_was_asked_for(sum_of: Sums, completeness: float | None) -> None:
    assert sum_of.completeness_pct == completeness


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 11, 22), 24),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # its midnight is left out
    ],
)
def test_a_day_has_as_many_hours_as_the_local_clock(zone: str, day: date, hours: float) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
    found = day_of(round(noon.timestamp() * 1000), ZoneInfo(zone))
    assert (found.date, found.end_ms - found.start_ms) == (day, hours * 3_600_000)
    assert day_of(found.start_ms, ZoneInfo(zone)) == day_of(found.end_ms - 1, ZoneInfo(zone)) == found


ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia"]


@given(st.integers(946_684_800, 2_114_380_800), st.integers(0, 500), st.sampled_from(ZONES))
@settings(max_examples=50)
def test_the_days_of_a_span_follow_one_another(start_s: int, hours: int, zone: str) -> None:
    span = (start_s * 1000, (start_s + hours * 3600) * 1000)
    found = list(days_of(span, ZoneInfo(zone)))
    if hours:
        assert found[0].start_ms <= span[0]
        assert found[-1].end_ms >= span[1]
    assert found == [day_of(day.start_ms, ZoneInfo(zone)) for day in found]
    for before, after in zip(found, found[1:], strict=False):
        assert before.end_ms == after.start_ms
        assert before.date < after.date
