from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import SourceState
from tests.agent.mqtt.rig import HEALTH, SRC, Rig, body, received
from tests.agent.schemas import validate


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
