from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.mqtt.lanes import Lane, Lanes
from agent.mqtt.rows import Dropped, Kind, Row, dropped
from tests.agent.build import utc


def row(seq: int, kind: Kind = Kind.SEGMENT, source: str = "mic", known_s: float | None = 0.0, size: int = 100) -> Row:
    return Row(seq, kind, source, f"id-{seq}", size, known_s, utc(0))


def send(lanes: Lanes, now_s: float) -> None:
    chosen = lanes.next(now_s)
    assert chosen is not None
    lanes.sent(*chosen, now_s)


def drain(lanes: Lanes, now_s: float) -> list[int]:
    """Everything that may be sent now, each acknowledged at once."""
    found = []
    while (chosen := lanes.next(now_s)) is not None:
        lanes.sent(*chosen, now_s)
        lanes.acknowledged(chosen[0].seq)
        found.append(chosen[0].seq)
    return found


def test_what_just_happened_goes_first() -> None:
    lanes = Lanes()
    lanes.add([row(1), row(2, Kind.EVENT), row(3, source="radio", known_s=100), row(4, Kind.EVENT, known_s=100)])
    assert drain(lanes, 100) == [3, 4, 1, 2]


def test_a_new_segment_waits_for_the_older_ones_of_its_source() -> None:
    lanes = Lanes()
    lanes.add([row(1), row(2), row(3, known_s=100)])
    assert drain(lanes, 100) == [1, 2, 3]


def test_a_backlog_goes_out_at_twenty_a_second() -> None:
    lanes = Lanes()
    lanes.add(row(seq) for seq in range(1, 301))
    counts = [len(drain(lanes, 1000 + tick / 4)) for tick in range(40)]
    assert max(counts) == 5
    assert sum(counts) == 5 * 40


def test_one_of_a_topic_at_a_time_and_ten_together() -> None:
    lanes = Lanes()
    lanes.add(row(seq, source=f"s{seq % 20}", known_s=100) for seq in range(1, 41))
    sent = []
    while (chosen := lanes.next(100)) is not None:
        lanes.sent(*chosen, 100)
        sent.append(chosen[0].seq)
    assert sent == list(range(1, 11))
    lanes.acknowledged(3)
    assert lanes.next(100) == (row(11, source="s11", known_s=100), Lane("s11", "segment"))


def test_a_backlog_leaves_room_for_news() -> None:
    lanes = Lanes()
    lanes.add(row(seq, source=f"s{seq}") for seq in range(1, 20))
    now_s = 1000.0
    for _ in range(30):
        now_s += 1
        while (chosen := lanes.next(now_s)) is not None:
            lanes.sent(*chosen, now_s)
    assert lanes.in_flight == 8
    lanes.add([row(20, Kind.EVENT, known_s=now_s)])
    assert lanes.next(now_s) is not None


def test_a_refused_topic_is_tried_again_after_five_minutes_and_after_a_reconnect() -> None:
    lanes = Lanes()
    lanes.add([row(1), row(2), row(3, source="radio")])
    send(lanes, 0)
    assert lanes.refused(1, "Not authorized", 0) == Lane("mic", "segment")
    assert lanes.refusal == (Lane("mic", "segment"), "Not authorized")
    assert drain(lanes, 299) == [3]
    send(lanes, 300)
    lanes.refused(1, "Not authorized", 300)
    assert lanes.next(400) is None
    lanes.lost()
    assert drain(lanes, 401) == [1, 2]
    assert lanes.refusal is None


def test_what_goes_when_there_is_too_much() -> None:
    lanes = Lanes()
    lanes.add([row(1), row(2, Kind.EVENT), row(3, Kind.EVENT), row(4), row(5, size=500)])
    assert [one.seq for one in lanes.surplus(5, 900)] == []
    assert [one.seq for one in lanes.surplus(3, 10_000)] == [2, 3]
    assert [one.seq for one in lanes.surplus(2, 10_000)] == [2, 3, 1]
    assert [one.seq for one in lanes.surplus(99, 550)] == [2, 3, 1, 4]
    going = lanes.surplus(2, 10_000)
    lanes.drop(going)
    assert (lanes.depth, lanes.bytes) == (2, 600)
    assert dropped(going) == Dropped(1, 3, 3)
    assert drain(lanes, 0) == [4, 5]


def test_what_is_under_way_is_not_dropped() -> None:
    lanes = Lanes()
    lanes.add([row(1), row(2)])
    send(lanes, 0)
    assert [one.seq for one in lanes.surplus(0, 0)] == [2]


@given(st.integers(0, 40), st.integers(0, 400))
def test_a_row_expires_after_its_time(waited: int, years: int) -> None:
    one = row(1)
    assert one.is_expired(utc(0) + timedelta(days=waited), timedelta(days=30)) == (waited > 30)
    ancient = Row(1, Kind.EVENT, "mic", "x", 1, None, utc(0).replace(year=1970))
    assert not ancient.is_expired(utc(0) + timedelta(days=365 * years), timedelta(days=30))


class AnyOrder(RuleBasedStateMachine):
    """Whatever comes and goes: a topic never has two under way, and says its numbers in order."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.now_s = 0.0
        self.seq = 0
        self.flying: dict[int, Lane] = {}
        self.said: dict[Lane, list[int]] = {}
        self.waiting: set[int] = set()

    @rule(kind=st.sampled_from(Kind), source=st.sampled_from(["mic", "radio"]), known=st.booleans())
    def add(self, kind: Kind, source: str, known: bool) -> None:
        self.seq += 1
        self.waiting.add(self.seq)
        earlier_boot = not known and not self.said and not self.flying and self.seq < 4
        self.lanes.add([row(self.seq, kind, source, None if earlier_boot else self.now_s)])

    @rule()
    def send(self) -> None:
        while (chosen := self.lanes.next(self.now_s)) is not None:
            one, lane = chosen
            assert (lane.leaf == "event") == (one.kind is Kind.EVENT and not one.is_late(self.now_s))
            self.lanes.sent(one, lane, self.now_s)
            assert lane not in self.flying.values()
            self.flying[one.seq] = lane
            assert len(self.flying) <= 10

    @rule(place=st.integers(0, 9), well=st.booleans())
    def answer(self, place: int, well: bool) -> None:
        if not self.flying:
            return
        seq = list(self.flying)[place % len(self.flying)]
        lane = self.flying.pop(seq)
        if well:
            self.lanes.acknowledged(seq)
            self.said.setdefault(lane, []).append(seq)
            self.waiting.remove(seq)
        else:
            self.lanes.refused(seq, "no", self.now_s)

    @rule()
    def lost(self) -> None:
        self.lanes.lost()
        self.flying.clear()

    @rule(seconds=st.sampled_from([0.1, 10, 61, 301]))
    def time(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def nothing_is_lost_and_order_holds(self) -> None:
        assert self.lanes.depth == len(self.waiting)
        assert self.lanes.bytes == 100 * len(self.waiting)
        for said in self.said.values():
            assert said == sorted(said)


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
