"""Which segments go: whatever the recordings and the rules, the promises hold."""

from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Kept, Retention
from agent.retention import Doomed, Rules, Why, selection
from tests.agent.build import utc

NOW = utc(0)
DISK = 7


def kept(hours_ago: float, size: int = 10, *, source: str = "mic", protected: bool = False, disk: int = DISK) -> Kept:
    start = NOW - timedelta(hours=hours_ago)
    return Kept(start, f"{source}/{hours_ago:09.3f}.flac", source, size, protected, disk)


def rules(others: Retention | None = None, **sources: Retention) -> Rules:
    return Rules(others or Retention(), sources)


def files(doomed: list[Doomed]) -> list[str]:
    return [one.segment.file for one in doomed]


some_rules = st.builds(
    Retention,
    max_age_s=st.none() | st.integers(1, 40).map(lambda hours: hours * 3600.0),
    max_size_bytes=st.none() | st.integers(0, 300),
    min_free_bytes=st.none() | st.integers(0, 200),
    protected_too=st.booleans(),
)
some_segments = st.lists(
    st.builds(
        kept,
        st.integers(0, 48),
        st.integers(1, 40),
        source=st.sampled_from(["mic", "radio", "gone"]),
        protected=st.booleans(),
        disk=st.sampled_from([DISK, 8]),
    ),
    max_size=25,
    unique_by=lambda one: one.file,
).map(sorted)
some = st.builds(
    lambda others, mic, radio: Rules(others, {"mic": mic, "radio": radio}), some_rules, some_rules, some_rules
)
some_room = st.fixed_dictionaries({DISK: st.integers(0, 150), 8: st.integers(0, 150)})


def after(segments: list[Kept], doomed: list[Doomed], free: dict[int, int]) -> tuple[list[Kept], dict[int, int]]:
    gone = set(files(doomed))
    left = dict(free)
    for one in doomed:
        left[one.segment.disk] += one.segment.bytes
    return [one for one in segments if one.file not in gone], left


@given(some_segments, some, some_room)
def test_only_what_there_is_goes_each_once_and_protected_only_where_that_is_said(
    segments: list[Kept], some: Rules, free: dict[int, int]
) -> None:
    doomed = selection(segments, some, NOW, free)
    assert len(set(files(doomed))) == len(doomed)
    assert set(files(doomed)) <= {one.file for one in segments}
    for one in doomed:
        assert not one.segment.protected or some.of(one.segment.source).protected_too


@given(some_segments, some, some_room)
def test_every_rule_holds_afterwards_unless_nothing_more_may_go(
    segments: list[Kept], some: Rules, free: dict[int, int]
) -> None:
    left, room = after(segments, selection(segments, some, NOW, free), free)
    may_go = [one for one in left if not one.protected or some.of(one.source).protected_too]
    for one in may_go:
        age_s = some.of(one.source).max_age_s
        assert age_s is None or one.start > NOW - timedelta(seconds=age_s)
        least = some.of(one.source).min_free_bytes
        assert least is None or room[one.disk] >= least
    sizes: dict[str, int] = defaultdict(int)
    for one in left:
        sizes[one.source] += one.bytes
    for source, own in some.sources.items():
        is_within = own.max_size_bytes is None or sizes[source] <= own.max_size_bytes
        assert is_within or not [one for one in may_go if one.source == source]
    whole = some.others.max_size_bytes
    assert whole is None or sum(sizes.values()) <= whole or not may_go


@given(some_segments, some, some_room)
def test_none_goes_that_does_not_have_to(segments: list[Kept], some: Rules, free: dict[int, int]) -> None:
    doomed = selection(segments, some, NOW, free)
    for why in (Why.MAX_SIZE, Why.MIN_FREE):
        last = next((one for one in reversed(doomed) if one.why is why), None)
        if last is None or why is Why.MAX_SIZE:
            continue
        # Without the last one its rule would not hold.
        before = [one for one in doomed if one is not last]
        least = some.of(last.segment.source).min_free_bytes
        assert least is not None
        room = after(segments, before, free)[1][last.segment.disk]
        assert room < least
    for one in doomed:
        if one.why is Why.MAX_AGE:
            age_s = some.of(one.segment.source).max_age_s
            assert age_s is not None
            assert one.segment.start <= NOW - timedelta(seconds=age_s)


@given(some_segments, some, some_room)
def test_the_oldest_go_first_and_protected_ones_last_of_all(
    segments: list[Kept], some: Rules, free: dict[int, int]
) -> None:
    doomed = selection(segments, some, NOW, free)
    for why in Why:
        turns: dict[tuple[str, int], list[tuple[bool, Kept]]] = defaultdict(list)
        for one in doomed:
            if one.why is why:
                turns[one.segment.source, one.segment.disk].append((one.segment.protected, one.segment))
        for turn in turns.values():
            assert turn == sorted(turn)
    left, _ = after(segments, doomed, free)
    for one in doomed:
        if one.segment.protected and one.why is Why.MIN_FREE:
            assert not [
                other
                for other in left
                if other.source == one.segment.source and other.disk == one.segment.disk and not other.protected
            ]


@given(some_segments, some, some_room)
def test_done_once_there_is_nothing_left_to_do(segments: list[Kept], some: Rules, free: dict[int, int]) -> None:
    left, room = after(segments, selection(segments, some, NOW, free), free)
    assert selection(left, some, NOW, room) == []


@given(some_segments, some_room)
def test_nothing_is_deleted_unasked(segments: list[Kept], free: dict[int, int]) -> None:
    assert rules(mic=Retention()).delete_nothing
    assert selection(segments, rules(mic=Retention()), NOW, free) == []


@pytest.mark.parametrize(
    ("own", "gone"),
    [
        (Retention(max_age_s=2.5 * 3600), ["mic/00000.000", "mic/00000.000"]),
        (Retention(max_size_bytes=25), ["mic", "mic"]),
    ],
)
def test_a_source_has_its_own_rules(own: Retention, gone: list[str]) -> None:
    segments = sorted([*(kept(hours) for hours in (1, 2, 3, 4)), *(kept(h, source="radio") for h in (5, 6, 7))])
    doomed = selection(segments, rules(mic=own, radio=Retention()), NOW, {DISK: 0})
    assert len(doomed) == len(gone)
    assert files(doomed) == ["mic/00004.000.flac", "mic/00003.000.flac"]


def test_room_is_made_on_the_disk_that_is_short_with_the_oldest_of_all_sources() -> None:
    segments = sorted([kept(4), kept(3, source="radio"), kept(2), kept(9, disk=8)])
    doomed = selection(segments, rules(Retention(min_free_bytes=35)), NOW, {DISK: 20, 8: 100})
    assert files(doomed) == ["mic/00004.000.flac", "radio/00003.000.flac"]
    assert {one.why for one in doomed} == {Why.MIN_FREE}


def test_a_disk_that_does_not_tell_costs_nothing() -> None:
    assert selection([kept(4)], rules(Retention(min_free_bytes=35)), NOW, {}) == []
