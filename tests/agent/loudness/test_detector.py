from hypothesis import example, given
from hypothesis import strategies as st

from agent.loudness.detector import Detector, Moment
from agent.model import EventRule, EventType

RATE = 48000
BLOCK = RATE // 100
RULE = EventRule(threshold_dbfs=-20.0, hysteresis_db=3.0, min_duration_s=0.05, hold_s=0.1)

Event = tuple[int, int | None, float]


def moment(position: int) -> Moment:
    return Moment(position, position // BLOCK * 10_000_000)


def heard(levels: list[float], kind: EventType = EventType.LOUD, rule: EventRule = RULE) -> list[Event]:
    """Events as (first block, block after the last or None while it lasts, loudest)."""
    detector = Detector(kind, rule, RATE)
    events: list[Event] = []
    for number, level in enumerate(levels):
        run = detector.push(level, number * BLOCK, (number + 1) * BLOCK, moment)
        if run is not None and detector.event is run:
            events.append((run.start.position // BLOCK, None, run.max_dbfs))
        elif run is not None:
            assert events[-1][:2] == (run.start.position // BLOCK, None)
            events[-1] = (events[-1][0], run.end.position // BLOCK, run.max_dbfs)
    return events


def by_definition(levels: list[float], rule: EventRule = RULE) -> list[Event]:
    """Runs found in the whole list at once: from a block above the threshold over all that go on, short drops in."""
    hold, least = round(rule.hold_s * 100), round(rule.min_duration_s * 100)
    goes_on = [level >= rule.threshold_dbfs - rule.hysteresis_db for level in levels]
    events: list[Event] = []
    at = 0
    while at < len(levels):
        if levels[at] < rule.threshold_dbfs:
            at += 1
            continue
        end = at + 1
        while (ahead := next((n for n in range(end, min(len(levels), end + hold)) if goes_on[n]), None)) is not None:
            end = ahead + 1
        is_over = end + hold <= len(levels)
        if end - at >= least:
            loud = [level for level, on in zip(levels[at:end], goes_on[at:end], strict=True) if on]
            events.append((at, end if is_over else None, max(loud)))
        if not is_over:
            break
        at = end + hold
    return events


LEVELS = st.lists(
    st.tuples(st.sampled_from([-60.0, -24.0, -23.0, -22.0, -20.1, -20.0, -10.0]), st.integers(1, 14)), max_size=30
).map(lambda runs: [level for level, length in runs for _ in range(length)])


@given(LEVELS)
@example([-10.0] * 4 + [-60.0] * 9 + [-10.0])
def test_events_are_those_of_the_definition(levels: list[float]) -> None:
    events = heard(levels)
    wanted = by_definition(levels)
    assert [event[:2] for event in events] == [event[:2] for event in wanted]
    # The loudest of an event that lasts is what is known when it begins.
    assert [event for event in events if event[1] is not None] == [event for event in wanted if event[1] is not None]


@given(LEVELS)
def test_silence_is_the_same_turned_round(levels: list[float]) -> None:
    rule = EventRule(-60.0 - RULE.threshold_dbfs - 20.0, RULE.hysteresis_db, RULE.min_duration_s, RULE.hold_s)
    mirrored = [-80.0 - level for level in levels]
    loud = [event[:2] for event in heard(levels)]
    assert [event[:2] for event in heard(mirrored, EventType.SILENCE, rule)] == loud


def test_an_event_is_known_as_soon_as_it_has_lasted_its_least_duration() -> None:
    assert heard([-60.0] * 5 + [-20.0] * 4) == []
    assert heard([-60.0] * 5 + [-20.0] * 5) == [(5, None, -20.0)]


def test_the_end_is_the_last_block_above_the_hysteresis_and_is_told_after_the_hold() -> None:
    loud = [-20.0] * 5 + [-23.0] * 3
    assert heard(loud + [-23.1] * 9) == [(0, None, -20.0)]
    assert heard(loud + [-23.1] * 10) == [(0, 8, -20.0)]
