import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.archive_format.times import rfc3339, to_ms
from agent.model import (
    Choice,
    Clock,
    CloseReason,
    Desired,
    DiskStatus,
    EventEdge,
    EventType,
    FinishedSegment,
    Level,
    Notice,
    NoticeCode,
    OpenSegment,
    Outcome,
    Place,
    Segment,
    Severity,
    SoundEvent,
    SourceState,
    SourceStatus,
    Today,
)
from agent.mqtt.client import Acknowledged, Lost, Ready, Received
from agent.mqtt.delivery import Delivery
from agent.mqtt.desk import CommandDesk
from agent.mqtt.extra import Extra, Said, SayAgain
from agent.mqtt.message import Message
from agent.mqtt.payloads import BoxFacts
from agent.mqtt.post import Bounds, Post
from agent.mqtt.topics import Topics
from agent.supervisor import StopSignal
from tests.agent.build import S16_MONO, utc
from tests.agent.schemas import validate

SRC = "isr/shed/src/mic"
HEALTH = "isr/shed/health"
NOTICE = "isr/shed/notice"


class FakeSource:
    def __init__(self) -> None:
        self.wanted: list[Desired] = []

    def want(self, desired: Desired) -> None:
        self.wanted.append(desired)

    def split(self) -> None:
        return


RIGS: list["Rig"] = []


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    """Every rig has a folder and an open file."""
    yield
    clean_up()


def clean_up() -> None:
    while RIGS:
        rig = RIGS.pop()
        rig.kill()
        shutil.rmtree(rig.folder)


def protect_nothing(choice: Choice, *, on: bool) -> Callable[[], Outcome | None]:
    """Nothing is there that could be protected."""
    del choice, on
    return lambda: Outcome(0, 0)


class NoTimers:
    def set(self, source: str, for_s: float | None) -> None:
        return

    def due(self) -> list[str]:
        return []


class Rig:
    """A delivery whose broker is a list. `accepting` is whether it takes what is published, `answer` what it then
    acknowledges: None is success, a text a refusal, and Ellipsis is silence."""

    def __init__(self, *, extras: tuple[Extra, ...] = (), bounds: Bounds | None = None) -> None:
        self.now_s = 1000.0
        self.published: list[Message] = []
        self.accepting = True
        self.answer: Callable[[Message], Any] = lambda message: None
        self.mid = 0
        self.dropped_connections = 0
        self.box = BoxFacts(DiskStatus(10**9), 48.3, 10**8, True)
        self.source = FakeSource()
        self.status = SourceStatus("mic", "Microphone", "alsa", SourceState.RECORDING, Desired.RECORD, utc(0))
        self.folder = Path(tempfile.mkdtemp())
        RIGS.append(self)
        self.recordings = self.folder / "recordings"
        self.extras = extras
        self.bounds = bounds
        self.boot = "b"
        self.begin()

    def begin(self) -> None:
        """A new process, in the same folder."""
        desk = CommandDesk(
            {"mic": self.source},
            lambda _: self.status,
            NoTimers(),
            protect=protect_nothing,
            utc_now=self.utc_now,
            now_s=lambda: self.now_s,
        )
        self.post = Post(
            self.folder / "outbox.sqlite",
            self.recordings,
            ("mic",),
            boot=self.boot,
            utc_now=self.utc_now,
            now_s=lambda: self.now_s,
            bounds=self.bounds,
        )
        self.delivery = Delivery(
            Topics("isr", "shed"),
            desk,
            self.post,
            info=lambda: {"v": 1},
            box=lambda: self.box,
            started=rfc3339(utc(0)),
            utc_now=self.utc_now,
            now_s=lambda: self.now_s,
            extras=self.extras,
            says_level=lambda source: source != "quiet",
        )
        self.delivery.use(self.publish, self.reconnect)

    def utc_now(self) -> datetime:
        return to_ms(utc(self.now_s))

    def reconnect(self) -> None:
        self.dropped_connections += 1

    def publish(self, message: Message) -> int | None:
        if not self.accepting:
            return None
        self.mid += 1
        self.published.append(message)
        if message.qos and (refused := self.answer(message)) is not ...:
            self.delivery.put(Acknowledged(self.mid, refused))
        return self.mid

    def say(self, *items: Any) -> list[Message]:  # noqa: ANN401 - whatever the delivery takes
        """Hand these over, deal with all of them, and return what was published for it, health aside."""
        before = len(self.published)
        self.delivery.step(0.0)
        for item in items:
            self.delivery.put(item)
        for _ in range(4):
            # What is written is written at most five times a second.
            self.delivery.step(0.0)
            self.now_s += 0.25
        return [message for message in self.published[before:] if message.topic != HEALTH]

    def kill(self) -> None:
        """kill -9: what was not written is gone."""
        if self.post._outbox is not None:
            self.post._outbox.close()
            self.post._outbox = None
        while not self.delivery._inbox.empty():
            self.delivery._inbox.get()

    def connected(self) -> "Rig":
        self.say(self.status, Ready())
        self.say(received(b"online", "isr/shed/availability"))
        self.published.clear()
        return self


def body(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.payload)
    return found


def closed(number: int, source: str = "mic", *, end_s: float | None = None) -> FinishedSegment:
    start = utc(number * 10 if end_s is None else end_s - 10)
    segment = Segment(
        id=f"01920000-0000-7000-8000-{number:012d}",
        agent="shed",
        source=source,
        boot="b",
        run="r",
        file=f"{source}/2026/11/22/{number}.flac",
        container="flac",
        format=S16_MONO,
        start=start,
        end=start + timedelta(seconds=10),
        tz="UTC",
        samples=480_000,
        packets=None,
        bytes=1000,
        payload_offset=86,
        aligned_start=True,
        clock=Clock(True, 0.0, None, 0.0, ((0, start), (480_000, start + timedelta(seconds=10)))),
        reason=CloseReason.BOUNDARY,
    )
    return FinishedSegment(segment, Path("/x"))


def heard(number: int, source: str = "mic") -> SoundEvent:
    return SoundEvent(
        id=f"01920000-0000-7000-8000-{number:012d}",
        pair="01920000-0000-7000-8000-000000000000",
        source=source,
        type=EventType.LOUD,
        edge=EventEdge.START,
        at=utc(number),
        level_dbfs=-18.2,
        max_dbfs=-12.1,
        threshold_dbfs=-20.0,
        place=Place("01920000-0000-7000-8000-000000000001", f"{source}/x.flac", 12.34),
    )


def notices(messages: list[Message]) -> list[dict[str, Any]]:
    return [body(message) for message in messages if message.topic == NOTICE]


def segments(messages: list[Message], topic: str = "segment") -> list[int]:
    """The sequence numbers of the segment messages among these."""
    return [body(message)["seq"] for message in messages if message.topic.endswith(f"/{topic}")]


def received(payload: bytes, topic: str = f"{SRC}/cmd", **properties: Any) -> Received:  # noqa: ANN401 - of Message
    return Received(Message(topic, payload, **properties))


def test_a_connection_begins_with_availability_info_and_every_state() -> None:
    rig = Rig()
    assert rig.say(rig.status) == []
    said = rig.say(Ready())
    assert [(message.topic, message.retain) for message in said] == [
        ("isr/shed/availability", True),
        ("isr/shed/info", True),
        (f"{SRC}/availability", True),
        (f"{SRC}/state", True),
    ]
    assert said[0].payload == said[2].payload == b"online"
    validate("state", body(said[3]))


def test_a_status_is_said_when_it_changes_and_not_for_every_counter() -> None:
    rig = Rig().connected()
    assert rig.say(rig.status) == []
    opened = replace(rig.status, open_segment=OpenSegment("a", utc(0), 100, 200))
    assert len(rig.say(opened)) == 2
    assert rig.say(replace(opened, open_segment=OpenSegment("a", utc(0), 999, 999))) == []
    rig.now_s += 61
    assert len(rig.say(replace(opened, open_segment=OpenSegment("a", utc(0), 1000, 1000)))) == 2
    stopped = rig.say(replace(opened, state=SourceState.STOPPED, open_segment=None))
    assert stopped[0].payload == b"offline"


def test_counters_wait_for_their_minute_and_are_not_forgotten() -> None:
    rig = Rig().connected()
    status = replace(rig.status, title="song")
    assert len(rig.say(status)) == 2
    rig.now_s += 55
    today = Today(utc(0).date(), recorded_s=90.0, missing_s=10.0, completeness_pct=90.0)
    assert rig.say(replace(status, today=today, missing_total_s=17.5)) == []
    rig.now_s += 6
    _, said = rig.say()
    assert said.topic == f"{SRC}/state"
    validate("state", body(said))
    told = ("recorded_today_s", "missing_today_s", "completeness_pct", "missing_total_s")
    assert [body(said)[key] for key in told] == [90.0, 10.0, 90.0, 17.5]
    rig.now_s += 61
    assert rig.say() == []


def test_a_closed_segment_is_said_and_is_the_last_one() -> None:
    rig = Rig().connected()
    last, first = rig.say(closed(1))
    assert (first.topic, first.retain, first.qos) == (f"{SRC}/segment", False, 1)
    assert (last.topic, last.retain, last.payload) == (f"{SRC}/segment/last", True, first.payload)
    validate("segment-message", body(first))


class Box(RuleBasedStateMachine):
    """Segments, events, a broker that comes, goes, refuses and is silent, and kills, in any order: nothing is lost,
    no number stands for two messages, and each topic keeps its order."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.rig.answer = self.answer
        self.mode = "ok"
        self.count = 0
        self.put: list[str] = []
        self.taken: dict[str, list[int]] = {}
        self.ids: dict[int, str] = {}

    def answer(self, message: Message) -> Any:  # noqa: ANN401 - as Rig has it
        if not message.topic.endswith(("/segment", "/event", "/event/late")):
            return None
        found = body(message)
        assert self.ids.setdefault(found["seq"], found["id"]) == found["id"], "a number for two messages"
        assert found["late"] or found["age_s"] <= 60
        if message.topic.endswith("/event") or message.topic.endswith("/late"):
            assert message.topic.endswith("/late") == found["late"]
        if self.mode == "ok":
            self.taken.setdefault(message.topic, []).append(found["seq"])
            return None
        return "Not authorized" if self.mode == "refuse" else ...

    @rule(source=st.sampled_from(["mic", "radio"]), old=st.booleans())
    def close(self, source: str, old: bool) -> None:
        self.count += 1
        end_s = self.rig.now_s - (100 if old else 1)
        item = closed(self.count, source, end_s=end_s)
        self.put.append(item.segment.id)
        self.rig.say(item)

    @rule(source=st.sampled_from(["mic", "radio"]), count=st.integers(1, 12))
    def hear(self, source: str, count: int) -> None:
        events = [heard(self.count + number, source) for number in range(1, count + 1)]
        self.count += count
        self.put += [event.id for event in events]
        self.rig.say(*events)

    @rule(mode=st.sampled_from(["ok", "ok", "refuse", "silent"]))
    def broker(self, mode: str) -> None:
        self.mode = mode

    @rule()
    def ready(self) -> None:
        self.rig.say(Lost(), Ready())

    @rule()
    def lost(self) -> None:
        self.rig.say(Lost())

    @rule(seconds=st.sampled_from([1, 20, 50, 70, 400]))
    def time(self, seconds: int) -> None:
        self.rig.now_s += seconds
        self.rig.say()

    @rule(reboot=st.booleans())
    def kill(self, reboot: bool) -> None:
        self.rig.kill()
        if reboot:
            self.rig.boot += "b"
        self.rig.begin()
        self.rig.say()

    @invariant()
    def not_too_many_are_under_way(self) -> None:
        assert self.rig.post._lanes.in_flight <= 10

    def teardown(self) -> None:
        self.mode = "ok"
        self.rig.say(Lost(), Ready())
        for _ in range(200):
            self.rig.say()
            if self.rig.post.facts().depth == 0:
                break
        assert self.rig.post.facts().depth == 0
        self.rig.now_s += 2
        self.rig.say()
        seqs = {seq for taken in self.taken.values() for seq in taken}
        assert seqs == set(range(1, len(self.put) + 1))
        assert [self.ids[seq] for seq in sorted(seqs)] == self.put
        for topic, taken in self.taken.items():
            # What was taken live, and is said once more after a kill, is late by then, and behind later ones perhaps.
            live = self.taken.get(topic.removesuffix("/late"), []) if topic.endswith("/late") else []
            first = [seq for seq in dict.fromkeys(taken) if seq not in live]
            assert first == sorted(first), topic
        clean_up()


Box.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestBox = Box.TestCase


def test_the_last_one_is_said_once_the_backlog_is_through() -> None:
    rig = Rig()
    rig.say(*(closed(number) for number in range(1, 6)), closed(6, "radio"))
    said = rig.say(Ready()) + rig.say()
    assert sorted(segments(said)) == [1, 2, 3, 4, 5, 6]
    assert sorted(segments(said, "segment/last")) == [5, 6]


def test_a_correction_of_an_older_segment_is_not_the_last_one() -> None:
    rig = Rig().connected()
    first = closed(1)
    rig.say(first, closed(2))
    said = rig.say(replace(first, segment=replace(first.segment, rev=2)))
    assert [message.topic for message in said] == [f"{SRC}/segment"]


def test_an_old_segment_is_late() -> None:
    rig = Rig().connected()
    old, fresh = (body(rig.say(closed(number, end_s=rig.now_s - age_s))[-1]) for number, age_s in ((1, 80.0), (2, 0.0)))
    assert old["late"]
    assert 80.0 <= old["age_s"] < 81
    assert not fresh["late"]
    assert fresh["age_s"] < 1


def test_what_the_broker_does_not_acknowledge_is_said_again_after_a_new_connection() -> None:
    rig = Rig().connected()
    rig.answer = lambda message: ... if message.topic.endswith("/segment") else None
    rig.say(closed(1, end_s=rig.now_s))
    assert rig.dropped_connections == 0
    rig.now_s += 31
    rig.say()
    assert rig.dropped_connections == 1
    rig.answer = lambda message: None
    assert segments(rig.say(Lost("gone"), Ready())) == [1]
    assert rig.post.facts().depth == 0


# --- events, levels, notices, health ---------------------------------------------------------------------------------


def test_an_event_is_said_at_once_and_is_never_retained() -> None:
    rig = Rig().connected()
    (said,) = rig.say(heard(1))
    assert (said.topic, said.retain, said.qos) == (f"{SRC}/event", False, 1)
    validate("event", body(said))
    assert (body(said)["event_type"], body(said)["seq"], body(said)["late"]) == ("loud_start", 1, False)


def test_an_event_from_an_outage_is_no_live_event() -> None:
    rig = Rig()
    rig.say(heard(1), closed(2, end_s=rig.now_s))
    rig.now_s += 61
    rig.say(heard(3))
    said = rig.say(rig.status, Ready())
    topics = {message.topic: body(message)["id"] for message in said if "/event" in message.topic}
    assert topics == {f"{SRC}/event/late": heard(1).id, f"{SRC}/event": heard(3).id}
    order = [body(message)["seq"] for message in said if message.topic.endswith(("/event", "/late", "/segment"))]
    assert order == [3, 1, 2], "what just happened goes first"


def test_an_event_of_an_earlier_boot_is_late_whatever_the_clock_says() -> None:
    rig = Rig()
    rig.say(heard(1))
    rig.kill()
    rig.boot = "another"
    rig.begin()
    assert [message.topic for message in rig.say(Ready()) if "/event" in message.topic] == [f"{SRC}/event/late"]


def level(number: float, *, slow: bool = False, source: str = "mic") -> Level:
    return Level(source, utc(number), 10.0 if slow else 1.0, -41.2, -22.9, 0, silent=False, slow=slow)


def test_levels_are_said_while_somebody_may_hear_them() -> None:
    rig = Rig()
    rig.say(level(1), level(2, slow=True))
    assert not [message for message in rig.say(Ready()) if "level" in message.topic]
    fast, slow = rig.say(level(3), level(4), level(5, slow=True))
    assert (fast.topic, fast.qos, fast.retain) == (f"{SRC}/level", 0, False)
    assert (slow.topic, slow.qos, slow.retain) == (f"{SRC}/level/slow", 0, False)
    assert body(fast)["ts"] == rfc3339(utc(4)), "the newest wins"
    for message in (fast, slow):
        validate("level", body(message))
    quiet = rig.say(level(6, source="quiet"), level(7, source="quiet", slow=True))
    assert [message.topic for message in quiet] == ["isr/shed/src/quiet/level/slow"]


def test_notices_wait_for_a_connection_and_are_not_repeated() -> None:
    rig = Rig()
    notice = Notice(NoticeCode.TIMEZONE_GUESSED, Severity.WARNING, "guessed", "set it")
    rig.say(notice, notice)
    said = next(message for message in rig.say(Ready()) if message.topic == NOTICE)
    rig.say(received(b"online", "isr/shed/availability"))
    assert (said.qos, said.retain, body(said)["code"]) == (1, False, "timezone_guessed")
    validate("notice", body(said))
    assert rig.say(notice) == []
    rig.now_s += 601
    assert len(rig.say(notice)) == 1


def test_a_notice_that_was_lost_with_the_connection_is_said_again() -> None:
    rig = Rig().connected()
    rig.answer = lambda message: ...
    notice = Notice(NoticeCode.TIMEZONE_GUESSED, Severity.WARNING, "guessed")
    assert len(rig.say(notice)) == 1
    assert [message.topic for message in rig.say(Lost(), Ready())].count(NOTICE) == 1


def test_a_source_that_is_lost_and_comes_back_is_noticed() -> None:
    rig = Rig().connected()
    away = replace(rig.status, state=SourceState.RECONNECTING, last_error="No such device")
    (lost,) = notices(rig.say(away))
    assert (lost["code"], lost["source"], lost["severity"]) == ("source_lost", "mic", "warning")
    assert "No such device" in lost["text"]
    (back,) = notices(rig.say(rig.status))
    assert (back["code"], back["severity"]) == ("source_restored", "info")
    assert notices(rig.say(replace(rig.status, state=SourceState.STOPPED, desired=Desired.STOP))) == []


def test_what_is_said_and_does_not_come_back_is_noticed() -> None:
    rig = Rig()
    rig.say(rig.status, Ready())
    rig.now_s += 5
    (notice,) = notices(rig.say())
    assert notice["code"] == "acl_read_denied"
    assert "isr/shed/availability" in notice["text"]


def test_a_topic_that_the_broker_refuses_is_noticed() -> None:
    rig = Rig().connected()
    rig.answer = lambda message: "Not authorized" if message.topic == f"{SRC}/state" else None
    (notice,) = notices(rig.say(replace(rig.status, title="x")))
    assert notice["code"] == "acl_write_denied"
    assert f"{SRC}/state" in notice["text"]


def test_a_refused_notice_does_not_breed_notices() -> None:
    rig = Rig().connected()
    rig.answer = lambda message: "Not authorized" if message.topic == NOTICE else None
    rig.say(Notice(NoticeCode.TIMEZONE_GUESSED, Severity.WARNING, "guessed"))
    assert rig.say() == []


def health(rig: Rig) -> list[dict[str, Any]]:
    return [body(message) for message in rig.published if message.topic == HEALTH]


def test_health_is_said_every_minute_and_when_a_problem_comes_or_goes() -> None:
    rig = Rig()
    rig.say(rig.status, Ready())
    assert len(health(rig)) == 1
    rig.say()
    assert len(health(rig)) == 1
    rig.now_s += 60
    rig.say()
    assert len(health(rig)) == 2
    rig.say(replace(rig.status, state=SourceState.ERROR))
    rig.say()
    assert health(rig)[-1]["problems"] == ["source_error"]
    assert health(rig)[-1]["recording_sources"] == 0
    rig.say(rig.status)
    rig.now_s += 2
    rig.say()
    assert (health(rig)[-1]["problem"], len(health(rig))) == (False, 4)
    for said in health(rig):
        validate("health", said)


def test_health_is_said_when_one_source_less_records() -> None:
    rig = Rig()
    rig.say(replace(rig.status, state=SourceState.RECORDING), Ready())
    rig.say(replace(rig.status, state=SourceState.STOPPED))
    rig.now_s += 1
    rig.say()
    assert [said["recording_sources"] for said in health(rig)] == [1, 0]


def test_a_clock_that_is_not_synchronised_is_a_problem_and_noticed_once() -> None:
    rig = Rig()
    rig.box = replace(rig.box, clock_synchronized=False)
    first = notices(rig.say(rig.status, Ready(), received(b"online", "isr/shed/availability")))
    assert [notice["code"] for notice in first] == ["clock_unsynchronized"]
    assert health(rig)[-1]["problems"] == ["clock_unsynchronized"]
    rig.now_s += 700
    assert notices(rig.say()) == []


def test_health_says_how_the_connection_and_the_outbox_are() -> None:
    rig = Rig()
    rig.answer = lambda message: "Not authorized" if message.topic.endswith("/segment") else None
    rig.say(Ready(), closed(1, end_s=rig.now_s), Lost("the broker was stopped"), Ready())
    rig.now_s += 60
    rig.say()
    said = health(rig)[-1]
    assert said["mqtt"] == {"reconnects": 1, "last_error": "the broker was stopped", "commands_dropped": 0}
    assert said["outbox"]["depth"] == 1
    assert said["outbox"]["oldest_s"] > 59
    assert said["outbox"]["blocked_reason"] == "src/mic/segment: Not authorized"
    assert said["problems"] == ["outbox_blocked"]


# --- extras ----------------------------------------------------------------------------------------------------------


class Discovery:
    filters = ("homeassistant/status", "homeassistant/device/shed/+/config")

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.later: list[Message] = []

    def announce(self, now_s: float) -> list[Said]:
        return [Message("homeassistant/device/shed/agent/config", b"{}", retain=True)]

    def on_message(self, message: Message, now_s: float) -> list[Said]:
        self.heard.append(message)
        return [SayAgain()]

    def due(self, now_s: float) -> list[Said]:
        later, self.later = self.later, []
        return list(later)


def test_extras_speak_first_hear_what_is_theirs_and_say_things_later() -> None:
    discovery = Discovery()
    rig = Rig(extras=(discovery,))
    said = rig.say(rig.status, Ready())
    assert [message.topic for message in said][:2] == [
        "homeassistant/device/shed/agent/config",
        "isr/shed/availability",
    ]
    again = rig.say(received(b"online", "homeassistant/status"))
    assert [message.topic for message in again] == [message.topic for message in said[1:]]
    assert [message.payload for message in discovery.heard] == [b"online"]
    rig.say(received(b"?", "homeassistant/other"), received(b"ping", "isr/shed/cmd"))
    assert len(discovery.heard) == 1
    discovery.later.append(Message("x", b"y"))
    assert [message.topic for message in rig.say()] == ["x"]
    assert rig.delivery.extra_filters == discovery.filters


def test_refresh_says_everything_again() -> None:
    rig = Rig(extras=(Discovery(),)).connected()
    said = rig.say(received(b"refresh", "isr/shed/cmd"))
    assert [message.topic for message in said] == [
        "isr/shed/resp",
        "homeassistant/device/shed/agent/config",
        "isr/shed/availability",
        "isr/shed/info",
        f"{SRC}/availability",
        f"{SRC}/state",
    ]
    assert HEALTH in [message.topic for message in rig.published]


def test_an_extra_that_may_not_read_is_noticed() -> None:
    rig = Rig()
    (notice,) = notices(rig.say(Ready(refused=("homeassistant/status",)), received(b"online", "isr/shed/availability")))
    assert (notice["code"], notice["severity"]) == ("acl_read_denied", "warning")


# --- commands --------------------------------------------------------------------------------------------------------


def test_a_command_is_answered_where_answers_go() -> None:
    (answer,) = Rig().connected().say(received(b"start"))
    assert (answer.topic, answer.retain, answer.expiry_s) == ("isr/shed/resp", False, 60)
    validate("resp", body(answer))
    assert body(answer)["code"] == "already"


def test_a_request_is_answered_where_it_asked_for_it_with_its_own_mark() -> None:
    request = received(b"stop", response_topic="reply/ha/shed", correlation=b"\0\xff")
    rig = Rig().connected()
    rig.say(request)
    rig.status = replace(rig.status, state=SourceState.STOPPED)
    rig.say()
    assert [(message.topic, message.correlation) for message in rig.published] == [("reply/ha/shed", b"\0\xff")] * 2
    assert [body(message)["phase"] for message in rig.published] == ["accepted", "done"]


@pytest.mark.parametrize("topic", [f"{SRC}/cmd", "other/topic", "isr/shed/resp/+", "isr/shed/resp/x/cmd"])
def test_a_request_that_wants_its_answer_elsewhere_is_refused(topic: str) -> None:
    rig = Rig().connected()
    (answer,) = rig.say(received(b"stop", response_topic=topic))
    assert (answer.topic, body(answer)["code"]) == ("isr/shed/resp", "bad_reply_topic")
    assert not rig.source.wanted


@given(st.sampled_from([b"start", b"stop", b"split", b"x", b"{"]), st.sampled_from([f"{SRC}/cmd", "isr/shed/cmd"]))
def test_a_retained_command_is_never_carried_out_and_its_topic_is_cleared(payload: bytes, topic: str) -> None:
    rig = Rig().connected()
    clearing, answer, notice = rig.say(received(payload, topic, retain=True))
    assert body(notice)["code"] == "retained_command"
    assert topic in body(notice)["text"]
    assert (clearing.topic, clearing.payload, clearing.retain) == (topic, b"", True)
    assert body(answer)["code"] == "retained"
    assert not rig.source.wanted


def test_an_empty_payload_is_ignored() -> None:
    rig = Rig().connected()
    assert rig.say(received(b""), received(b"", retain=True)) == []


@given(st.binary(max_size=60), st.sampled_from([f"{SRC}/cmd", "isr/shed/cmd", "isr/shed/src/attic/cmd"]))
def test_whatever_comes_has_one_final_answer(payload: bytes, topic: str) -> None:
    rig = Rig().connected()
    rig.say(received(payload, topic))
    rig.now_s += 20
    rig.say()
    answers = [body(message) for message in rig.published if message.topic == "isr/shed/resp"]
    assert sum(answer["phase"] != "accepted" for answer in answers) == (1 if payload else 0)


def test_what_is_too_much_is_dropped_and_one_answer_says_so() -> None:
    rig = Rig().connected()
    codes = [body(message)["code"] for message in rig.say(*[received(b"ping", "isr/shed/cmd")] * 170)]
    rig.now_s += 1
    codes += [body(message)["code"] for message in rig.say(received(b"ping", "isr/shed/cmd"))]
    assert codes == ["done"] * 50 + ["busy", "done"]
    busy = next(body(message) for message in rig.published if b'"busy"' in message.payload)
    validate("resp", busy)
    assert "120 commands" in busy["text"]
    rig.now_s += 60
    rig.say()
    assert (
        body([message for message in rig.published if message.topic == HEALTH][-1])["mqtt"]["commands_dropped"] == 120
    )


# --- availability ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"offline", b"", b"?"])
def test_an_offline_that_is_not_true_is_put_right(payload: bytes) -> None:
    """The will of a connection that the broker gave up late arrives after we are back."""
    (said,) = Rig().connected().say(received(payload, "isr/shed/availability", retain=True))
    assert (said.topic, said.payload, said.retain) == ("isr/shed/availability", b"online", True)


def test_our_own_online_is_not_answered() -> None:
    assert Rig().connected().say(received(b"online", "isr/shed/availability")) == []


def test_the_farewell_is_offline_and_its_echo_is_not_contradicted() -> None:
    rig = Rig().connected()
    rig.delivery.put(replace(rig.status, state=SourceState.STOPPED))
    rig.delivery.put(closed(1, end_s=rig.now_s))

    def broker(message: Message) -> None:
        if message.topic == "isr/shed/availability":
            rig.delivery.put(received(message.payload, message.topic))

    rig.answer = broker
    stop = StopSignal()
    stop.set()
    rig.delivery.run(stop)
    for _ in range(10):
        rig.delivery.step(0.0)
    assert [message.topic.removeprefix("isr/shed/") for message in rig.published] == [
        "src/mic/availability",
        "src/mic/state",
        "src/mic/segment/last",
        "src/mic/segment",
        "health",
        "availability",
    ]
    assert (rig.published[-1].payload, rig.published[-1].retain) == (b"offline", True)


def test_the_farewell_does_not_wait_for_a_broker_that_is_silent() -> None:
    rig = Rig().connected()

    def tick(message: Message) -> Any:  # noqa: ANN401 - as Rig has it
        rig.now_s += 3
        return ...

    rig.delivery.put(closed(1, end_s=rig.now_s))
    rig.answer = tick
    stop = StopSignal()
    stop.set()
    rig.delivery.run(stop)
    assert rig.published[-1].payload == b"offline"


def test_the_farewell_does_not_wait_for_a_backlog() -> None:
    rig = Rig()
    rig.say(*(closed(number, end_s=0) for number in range(1, 100)))
    rig.say(Ready(), received(b"online", "isr/shed/availability"))
    stop = StopSignal()
    stop.set()
    before_s, said = rig.now_s, len(rig.published)
    rig.delivery.run(stop)
    assert rig.now_s == before_s
    assert [message.payload for message in rig.published[said:]] == [b"offline"]


def test_without_a_connection_there_is_no_farewell() -> None:
    rig = Rig()
    stop = StopSignal()
    stop.set()
    rig.delivery.run(stop)
    assert rig.published == []
