from dataclasses import replace
from typing import Any

import pytest

from agent.archive_format.times import rfc3339
from agent.model import OpenSegment, SourceState, Today
from agent.mqtt.client import Lost, Ready
from agent.mqtt.extra import Said, SayAgain
from agent.mqtt.message import Message
from agent.supervisor import StopSignal
from tests.agent.build import utc
from tests.agent.mqtt.rig import HEALTH, SRC, Rig, body, closed, heard, level, notices, received, segments
from tests.agent.schemas import validate


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
