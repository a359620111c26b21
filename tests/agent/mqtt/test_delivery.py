import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.archive_format.times import to_ms
from agent.model import (
    Clock,
    CloseReason,
    Desired,
    FinishedSegment,
    OpenSegment,
    Segment,
    SourceState,
    SourceStatus,
)
from agent.mqtt.client import Acknowledged, Lost, Ready, Received
from agent.mqtt.delivery import Delivery
from agent.mqtt.desk import CommandDesk
from agent.mqtt.message import Message
from agent.mqtt.topics import Topics
from agent.supervisor import StopSignal
from tests.agent.build import S16_MONO, utc
from tests.agent.schemas import validate

SRC = "isr/shed/src/mic"


class FakeSource:
    def __init__(self) -> None:
        self.wanted: list[Desired] = []

    def want(self, desired: Desired) -> None:
        self.wanted.append(desired)

    def split(self) -> None:
        return


class Rig:
    """A delivery whose broker is a list. `accepting` is whether it takes what is published."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.published: list[Message] = []
        self.accepting = True
        self.on_publish: Callable[[Message, int], None] = lambda message, mid: None
        self.mid = 0
        self.source = FakeSource()
        self.status = SourceStatus("mic", "Microphone", "alsa", SourceState.RECORDING, Desired.RECORD, utc(0))
        desk = CommandDesk({"mic": self.source}, lambda _: self.status, utc_now=self.utc_now, now_s=lambda: self.now_s)
        self.delivery = Delivery(
            Topics("isr", "shed"),
            desk,
            info=lambda: {"v": 1},
            epoch="a1b2",
            utc_now=self.utc_now,
            now_s=lambda: self.now_s,
        )
        self.delivery.use(self.publish)

    def utc_now(self) -> datetime:
        return to_ms(utc(self.now_s))

    def publish(self, message: Message) -> int | None:
        if not self.accepting:
            return None
        self.mid += 1
        self.published.append(message)
        self.on_publish(message, self.mid)
        return self.mid

    def say(self, *items: Any) -> list[Message]:  # noqa: ANN401 - whatever the delivery takes
        """Hand these over, deal with all of them, and return what was published for it."""
        before = len(self.published)
        for item in items:
            self.delivery.put(item)
        for _ in range(len(items) + 1):
            self.delivery.step(0.0)
        return self.published[before:]

    def connected(self) -> "Rig":
        self.say(self.status, Ready())
        self.published.clear()
        return self


def body(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.payload)
    return found


def closed(number: int, source: str = "mic") -> FinishedSegment:
    start = utc(number * 10)
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


def test_a_closed_segment_is_said_and_is_the_last_one() -> None:
    rig = Rig().connected()
    first, last = rig.say(closed(1))
    assert (first.topic, first.retain, first.qos) == (f"{SRC}/segment", False, 1)
    assert (last.topic, last.retain, last.payload) == (f"{SRC}/segment/last", True, first.payload)
    validate("segment-message", body(first))
    assert body(first)["epoch"] == "a1b2"


@given(
    st.lists(
        st.sampled_from(["close", "close", "close", "ready", "lost", "ack", "refuse", "stuck", "unstuck"]), max_size=60
    )
)
def test_every_closed_segment_is_said_in_order_until_it_is_acknowledged(events: list[str]) -> None:
    rig = Rig()
    waiting: dict[int, int] = {}
    connected = False

    def remember(message: Message, mid: int) -> None:
        if message.topic.endswith("/segment"):
            waiting[mid] = body(message)["seq"]

    rig.on_publish = remember
    count, acknowledged = 0, set()
    for event in [*events, "unstuck", "lost", "ready"]:
        if event == "close":
            count += 1
            rig.say(closed(count))
        elif event in ("ready", "lost"):
            rig.say(Ready() if event == "ready" else Lost())
            connected = event == "ready"
            if event == "lost":
                waiting.clear()
        elif event in ("ack", "refuse") and waiting:
            mid = next(iter(waiting))
            acknowledged.add(waiting.pop(mid))
            rig.say(Acknowledged(mid, None if event == "ack" else "not authorized"))
        else:
            rig.accepting = event != "stuck"
        assert len(waiting) <= 10
    assert connected
    while waiting:
        mid = next(iter(waiting))
        acknowledged.add(waiting.pop(mid))
        rig.say(Acknowledged(mid, None))
    assert acknowledged == set(range(1, count + 1))
    # The first time each was said, and after each loss of the connection, they were in order.
    first_said = list(dict.fromkeys(segments(rig.published)))
    assert first_said == sorted(first_said)
    if count:
        lasts = [message for message in rig.published if message.topic.endswith("/segment/last")]
        assert body(lasts[-1])["seq"] == count


def test_the_last_one_is_said_once_the_backlog_is_through() -> None:
    rig = Rig()
    rig.say(*(closed(number) for number in range(1, 6)), closed(6, "radio"))
    said = rig.say(Ready())
    assert segments(said) == [1, 2, 3, 4, 5, 6]
    assert segments(said, "segment/last") == [5, 6]


def test_an_old_segment_is_late() -> None:
    rig = Rig().connected()
    rig.now_s = 100.0
    old, fresh = (body(rig.say(closed(number))[0]) for number in (1, 9))
    assert (old["late"], old["age_s"]) == (True, 80.0)
    assert (fresh["late"], fresh["age_s"]) == (False, 0.0)


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
    clearing, answer = rig.say(received(payload, topic, retain=True))
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
    finals = [message for message in rig.published if body(message)["phase"] != "accepted"]
    assert len(finals) == (1 if payload else 0)


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
    rig.delivery.put(closed(1))

    def broker(message: Message, mid: int) -> None:
        if message.topic == "isr/shed/availability":
            rig.delivery.put(received(message.payload, message.topic))
        rig.delivery.put(Acknowledged(mid, None))

    rig.on_publish = broker
    stop = StopSignal()
    stop.set()
    rig.delivery.run(stop)
    for _ in range(10):
        rig.delivery.step(0.0)
    assert [message.topic.removeprefix("isr/shed/") for message in rig.published] == [
        "src/mic/availability",
        "src/mic/state",
        "src/mic/segment",
        "src/mic/segment/last",
        "availability",
    ]
    assert (rig.published[-1].payload, rig.published[-1].retain) == (b"offline", True)


def test_the_farewell_does_not_wait_for_a_broker_that_is_silent() -> None:
    rig = Rig().connected()

    def tick(message: Message, mid: int) -> None:
        rig.now_s += 3

    rig.delivery.put(closed(1))
    rig.on_publish = tick
    stop = StopSignal()
    stop.set()
    rig.delivery.run(stop)
    assert rig.published[-1].payload == b"offline"


def test_without_a_connection_there_is_no_farewell() -> None:
    rig = Rig()
    stop = StopSignal()
    stop.set()
    rig.delivery.run(stop)
    assert rig.published == []
