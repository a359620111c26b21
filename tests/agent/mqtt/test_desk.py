import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.model import Choice, Desired, OpenSegment, Outcome, SourceState, SourceStatus
from agent.mqtt.commands import Answer, answer_json
from agent.mqtt.desk import CommandDesk
from agent.mqtt.message import Message
from agent.mqtt.payloads import encode
from tests.agent.build import utc
from tests.agent.schemas import validate

NOW = datetime(2026, 11, 22, 13, tzinfo=UTC)


@dataclass
class FakeSource:
    """What the desk asks of a source; `full` is a disk that remembers nothing."""

    wanted: list[Desired] = field(default_factory=list)
    splits: int = 0
    full: bool = False

    def want(self, desired: Desired) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.wanted.append(desired)

    def split(self) -> None:
        self.splits += 1


class FakeTimers:
    """Timers that need no disk. `full` is one that remembers nothing."""

    def __init__(self) -> None:
        self.set_to: dict[str, float | None] = {}
        self.over: list[str] = []
        self.full = False

    def set(self, source: str, for_s: float | None) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.set_to[source] = for_s
        self.over = [one for one in self.over if one != source]

    def due(self) -> list[str]:
        return list(self.over)


class Room:
    """A desk with two sources whose statuses the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.sources = {"mic": FakeSource(), "radio": FakeSource()}
        self.statuses = {
            name: SourceStatus(name, name, "test", SourceState.RECORDING, Desired.RECORD, utc(0))
            for name in self.sources
        }
        self.timers = FakeTimers()
        self.choices: list[tuple[Choice, bool]] = []
        self.outcome: Outcome | None = None
        self.desk = CommandDesk(
            self.sources,
            self.statuses.__getitem__,
            self.timers,
            protect=self.protect,
            utc_now=lambda: NOW,
            now_s=lambda: self.now_s,
        )

    def protect(self, choice: Choice, *, on: bool) -> Callable[[], Outcome | None]:
        self.choices.append((choice, on))
        return lambda: self.outcome

    def set(self, name: str, state: SourceState, *, file: str | None = None, desired: Desired | None = None) -> None:
        opened = None if file is None else OpenSegment(file, utc(0), 0, 0)
        before = self.statuses[name]
        self.statuses[name] = replace(before, state=state, open_segment=opened, desired=desired or before.desired)

    def send(self, payload: str | bytes, source: str | None = "mic") -> list[Answer]:
        """The list that this command's answers go to."""
        answers: list[Answer] = []
        data = payload if isinstance(payload, bytes) else payload.encode()
        self.desk.take(Message("t", data), source, answers.append)
        return answers


def codes(answers: list[Answer]) -> list[str]:
    for answer in answers:
        validate("resp", json.loads(encode(answer_json(answer, NOW))))
    return [answer.code for answer in answers]


def test_start_while_recording_is_already_done() -> None:
    room = Room()
    assert codes(room.send("start")) == ["already"]
    assert room.sources["mic"].wanted == [Desired.RECORD]


def test_stop_is_accepted_and_done_when_it_is_seen_to_be() -> None:
    room = Room()
    answers = room.send("stop")
    room.desk.look()
    assert codes(answers) == ["accepted"]
    room.now_s += 2.5
    room.set("mic", SourceState.STOPPED)
    room.desk.look()
    room.desk.look()
    assert codes(answers) == ["accepted", "done"]
    assert answers[-1].took_ms == 2500
    assert answers[-1].state == "stopped"


def test_what_takes_too_long_times_out() -> None:
    room = Room()
    answers = room.send("stop")
    room.now_s += 14.9
    room.desk.look()
    assert codes(answers) == ["accepted"]
    room.now_s += 0.1
    room.desk.look()
    assert codes(answers) == ["accepted", "timeout"]


def test_a_source_that_cannot_start_is_said_so() -> None:
    room = Room()
    room.set("mic", SourceState.STOPPED, desired=Desired.STOP)
    answers = room.send("start")
    room.statuses["mic"] = replace(room.statuses["mic"], state=SourceState.ERROR, last_error="no such card")
    room.desk.look()
    assert codes(answers) == ["accepted", "source_unreachable"]
    assert answers[-1].text == "no such card"


def test_a_split_is_done_when_another_file_is_open() -> None:
    room = Room()
    room.set("mic", SourceState.RECORDING, file="a")
    answers = room.send("split")
    room.desk.look()
    room.set("mic", SourceState.RECORDING)
    room.desk.look()
    assert codes(answers) == ["accepted"]
    room.set("mic", SourceState.RECORDING, file="b")
    room.desk.look()
    assert codes(answers) == ["accepted", "done"]
    assert room.sources["mic"].splits == 1


def test_a_second_split_within_a_second_is_already_done() -> None:
    room = Room()
    room.set("mic", SourceState.RECORDING, file="a")
    room.send("split")
    room.now_s += 0.9
    assert codes(room.send("split")) == ["already"]
    room.now_s += 0.2
    assert codes(room.send("split")) == ["accepted"]
    assert room.sources["mic"].splits == 2


@pytest.mark.parametrize("state", [state for state in SourceState if state is not SourceState.RECORDING])
def test_nothing_can_be_split_where_nothing_is_open(state: SourceState) -> None:
    room = Room()
    room.set("mic", state, file="a")
    assert codes(room.send("split")) == ["source_unreachable"]
    room.set("mic", SourceState.RECORDING)
    assert codes(room.send("split")) == ["source_unreachable"]


def test_all_sources_at_once() -> None:
    room = Room()
    answers = room.send("stop-all", None)
    room.set("mic", SourceState.STOPPED)
    room.desk.look()
    assert codes(answers) == ["accepted"]
    room.set("radio", SourceState.STOPPED)
    room.desk.look()
    assert codes(answers) == ["accepted", "done"]
    assert codes(room.send("ping", None)) == ["done"]


def test_refusals_are_answered_and_nothing_happens() -> None:
    room = Room()
    assert codes(room.send("dance")) == ["unknown_cmd"]
    assert codes(room.send("start", "attic")) == ["unknown_source"]
    assert codes(room.send("{")) == ["bad_json"]
    assert codes(room.send('{"cmd":"start","expires":"2026-11-22T12:00:00Z"}')) == ["expired"]
    assert not room.sources["mic"].wanted


def test_a_wish_that_cannot_be_remembered_has_failed() -> None:
    room = Room()
    room.sources["mic"].full = True
    assert codes(room.send("stop")) == ["disk_full"]
    room.now_s += 60
    room.desk.look()


def test_a_repeated_id_replays_the_answer_and_does_nothing() -> None:
    room = Room()
    body = '{"id":"7f3a","cmd":"start"}'
    (first,) = room.send(body)
    assert room.send(body) == [replace(first, dup=True)]
    assert room.sources["mic"].wanted == [Desired.RECORD]


def test_a_repeated_id_under_way_gets_the_same_final_answer() -> None:
    room = Room()
    body = '{"id":"7f3a","cmd":"stop"}'
    first, second = room.send(body), room.send(body)
    assert codes(second) == ["accepted"]
    room.set("mic", SourceState.STOPPED)
    room.desk.look()
    assert codes(first) == codes(second) == ["accepted", "done"]
    assert [answer.dup for answer in first + second] == [False, False, True, True]
    assert len(room.sources["mic"].wanted) == 1


def test_an_id_with_another_body_is_refused() -> None:
    room = Room()
    room.send('{"id":"7f3a","cmd":"start"}')
    assert codes(room.send('{"id":"7f3a","cmd":"stop"}')) == ["duplicate"]
    assert codes(room.send('{"id":"7f3a","cmd":"start"}', "radio")) == ["already"], "another source, another command"
    assert room.sources["mic"].wanted == [Desired.RECORD]


@given(st.integers(0, 600))
def test_hundreds_of_ids_are_remembered(later: int) -> None:
    room = Room()
    room.send('{"id":"first","cmd":"start"}')
    for number in range(later):
        room.send(f'{{"id":"{number}","cmd":"ping"}}', None)
    (answer,) = room.send('{"id":"first","cmd":"start"}')
    assert answer.dup == (later < 512)


class Desk(RuleBasedStateMachine):
    """Commands and changes of status in any order: no answer too many, and in the end none too few."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Room()
        self.sent: list[list[Answer]] = []
        self.ids: dict[tuple[str | None, str], str] = {}

    @rule(
        verb=st.sampled_from(["start", "stop", "split", "ping", "dance", "ON"]),
        source=st.sampled_from(["mic", "radio", "attic"]),
        identifier=st.none() | st.sampled_from(["a", "b", "c"]),
    )
    def command(self, verb: str, source: str, identifier: str | None) -> None:
        payload = verb if identifier is None else json.dumps({"id": identifier, "cmd": verb})
        splits = self.room.sources["mic"].splits + self.room.sources["radio"].splits
        wanted = sum(len(fake.wanted) for fake in self.room.sources.values())
        self.sent.append(self.room.send(payload, source))
        if identifier is not None and self.sent[-1] and self.sent[-1][0].code in ("duplicate",):
            assert splits == self.room.sources["mic"].splits + self.room.sources["radio"].splits
            assert wanted == sum(len(fake.wanted) for fake in self.room.sources.values())

    @rule(verb=st.sampled_from(["start-all", "stop-all", "ping", "split"]))
    def command_all(self, verb: str) -> None:
        self.sent.append(self.room.send(verb, None))

    @rule(
        source=st.sampled_from(["mic", "radio"]),
        state=st.sampled_from(SourceState),
        file=st.none() | st.sampled_from(["x", "y"]),
        desired=st.sampled_from(Desired),
    )
    def status(self, source: str, state: SourceState, file: str | None, desired: Desired) -> None:
        self.room.set(source, state, file=file, desired=desired)

    @rule(seconds=st.floats(0, 20))
    def time(self, seconds: float) -> None:
        self.room.now_s += seconds
        self.room.desk.look()

    @rule(full=st.booleans())
    def disk(self, full: bool) -> None:
        self.room.sources["mic"].full = full

    @invariant()
    def one_final_answer_at_most_and_nothing_behind_it(self) -> None:
        for answers in self.sent:
            finals = [answer.final for answer in answers]
            assert finals in ([True], [False], [False, True])
            codes(answers)

    def teardown(self) -> None:
        self.room.now_s += 16
        self.room.desk.look()
        for answers in self.sent:
            assert sum(answer.final for answer in answers) == 1


Desk.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestDesk = Desk.TestCase


def test_a_start_right_behind_a_stop_waits_for_the_source_to_come_back() -> None:
    room = Room()
    room.set("mic", SourceState.RECORDING, desired=Desired.STOP)
    started = room.send("start")
    room.desk.look()
    assert codes(started) == ["accepted"]
    back = replace(room.statuses["mic"], desired=Desired.RECORD, since=utc(5))
    room.statuses["mic"] = back
    room.desk.look()
    assert codes(started) == ["accepted", "done"]


# --- start for a while -----------------------------------------------------------------------------------------------


def test_a_start_for_a_while_stops_by_itself() -> None:
    room = Room()
    assert codes(room.send('{"cmd":"start","args":{"for_s":600}}')) == ["already"]
    assert room.timers.set_to == {"mic": 600.0}
    room.desk.look()
    assert room.sources["mic"].wanted == [Desired.RECORD]
    room.timers.over = ["mic"]
    room.desk.look()
    room.desk.look()
    assert room.sources["mic"].wanted == [Desired.RECORD, Desired.STOP]
    assert room.timers.set_to == {"mic": None}


def test_another_start_or_a_stop_ends_the_waiting_for_it() -> None:
    for verb in ("start", "stop"):
        room = Room()
        room.send('{"cmd":"start","args":{"for_s":600}}')
        room.send(verb)
        assert room.timers.set_to == {"mic": None}


def test_a_source_that_is_gone_is_not_stopped() -> None:
    room = Room()
    room.timers.over = ["attic"]
    room.desk.look()
    assert room.timers.set_to == {"attic": None}


def test_a_start_that_cannot_be_made_to_end_does_not_begin() -> None:
    room = Room()
    room.timers.full = True
    assert codes(room.send('{"cmd":"start","args":{"for_s":600}}')) == ["disk_full"]
    assert room.sources["mic"].wanted == []


def test_a_stop_that_is_due_is_tried_again_while_it_cannot_be_remembered() -> None:
    room = Room()
    room.timers.over = ["mic"]
    room.sources["mic"].full = True
    room.desk.look()
    room.sources["mic"].full = False
    room.desk.look()
    assert room.sources["mic"].wanted == []
    room.now_s += 6
    room.desk.look()
    assert room.sources["mic"].wanted == [Desired.STOP]


def test_refresh_asks_for_everything_again() -> None:
    room = Room()
    asked: list[bool] = []
    room.desk.refresh = lambda: asked.append(True)
    assert codes(room.send("refresh", None)) == ["done"]
    assert asked == [True]


IDS = '{"id":"p1","cmd":"protect","args":{"segments":["a","b","a"]}}'
TIME = '{"cmd":"unprotect","args":{"source":"mic","from":"2026-11-22T13:00:00Z","to":"2026-11-22T15:00:00+01:00"}}'


def test_protect_is_answered_when_it_is_done() -> None:
    room = Room()
    answers = room.send(IDS, None)
    assert room.choices == [(Choice(ids=("a", "b")), True)]
    room.desk.look()
    assert codes(answers) == ["accepted"]
    room.now_s += 0.5
    room.outcome = Outcome(2, 1)
    room.desk.look()
    room.desk.look()
    assert codes(answers) == ["accepted", "done"]
    assert answers[-1].text == "1 of 2 segments are now protected"
    assert answers[-1].took_ms == 500
    assert codes(room.send(IDS, None)) == ["done"]
    assert len(room.choices) == 1


def test_unprotect_takes_a_span_of_time() -> None:
    room = Room()
    room.outcome = Outcome(3, 0)
    answers = room.send(TIME, None)
    ((choice, on),) = room.choices
    assert (choice.source, on) == ("mic", False)
    assert (choice.start, choice.end) == (
        datetime(2026, 11, 22, 13, tzinfo=UTC),
        datetime(2026, 11, 22, 14, tzinfo=UTC),
    )
    room.desk.look()
    assert codes(answers) == ["accepted", "already"]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome(0, 0), "bad_args"),
        (Outcome(1, 1, "there is no finished segment b", "bad_args"), "bad_args"),
        (Outcome(1, 0, "No space left on device"), "disk_full"),
        (Outcome(0, 0, "busy with 100 such commands", "busy"), "busy"),
    ],
)
def test_a_protection_that_cannot_be_is_told(outcome: Outcome, code: str) -> None:
    room = Room()
    answers = room.send(IDS, None)
    room.outcome = outcome
    room.desk.look()
    assert codes(answers) == ["accepted", code]
    assert answers[-1].phase == "failed"


def test_a_protection_that_takes_too_long_times_out() -> None:
    room = Room()
    answers = room.send(IDS, None)
    room.now_s += 15
    room.desk.look()
    assert codes(answers) == ["accepted", "timeout"]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("protect", "bad_args"),
        ('{"cmd":"protect"}', "bad_args"),
        ('{"cmd":"protect","args":[]}', "bad_args"),
        ('{"cmd":"protect","args":{"segments":[]}}', "bad_args"),
        ('{"cmd":"protect","args":{"segments":[1]}}', "bad_args"),
        ('{"cmd":"protect","args":{"segments":["a"],"source":"mic"}}', "bad_args"),
        ('{"cmd":"protect","args":{"source":"mic","from":"2026-11-22T13:00:00Z"}}', "bad_args"),
        (
            '{"cmd":"protect","args":{"source":"mic","from":"2026-11-22T13:00:00","to":"2026-11-22T14:00:00"}}',
            "bad_args",
        ),
        (
            '{"cmd":"protect","args":{"source":"mic","from":"2026-11-22T14:00:00Z","to":"2026-11-22T13:00:00Z"}}',
            "bad_args",
        ),
        (TIME.replace("mic", "nobody"), "unknown_source"),
    ],
)
def test_a_protection_has_to_say_of_what(payload: str, code: str) -> None:
    room = Room()
    assert codes(room.send(payload, None)) == [code]
    assert room.choices == []


def test_a_source_does_not_protect() -> None:
    assert codes(Room().send("protect", "mic")) == ["unknown_cmd"]


def test_a_start_while_the_disk_is_full_says_so() -> None:
    room = Room()
    room.set("mic", SourceState.STOPPED, desired=Desired.STOP)
    answers = room.send("start")
    room.set("mic", SourceState.DISK_FULL)
    room.desk.look()
    assert codes(answers) == ["accepted", "disk_full"]
