from dataclasses import replace
from typing import Any

from agent.model import Desired, Notice, NoticeCode, Severity, SourceState
from agent.mqtt.client import Lost, Ready
from tests.agent.mqtt.rig import HEALTH, NOTICE, SRC, Rig, body, closed, notices, received
from tests.agent.schemas import validate


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
