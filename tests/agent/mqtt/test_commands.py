import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.mqtt.commands import (
    AGENT_VERBS,
    SOURCE_VERBS,
    Answer,
    Command,
    Refusal,
    answer_json,
    read_command,
    refused,
    reply_topic,
)
from agent.mqtt.payloads import COMMAND_BYTES_MAX, encode
from tests.agent.schemas import validate

NOW = datetime(2026, 11, 22, 13, tzinfo=UTC)
ROOT = "isr/shed"
keys = st.sampled_from(["v", "id", "cmd", "args", "expires", "x"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(["start", "ping"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
bodies = st.dictionaries(keys, json_values, max_size=5).map(lambda body: json.dumps(body).encode())


@given(st.binary(max_size=200) | st.binary(max_size=100).map(b"{".__add__) | bodies, st.sampled_from([None, "mic"]))
@example(b'{"cmd":"start","expires":"0001-01-01T00:00:00+14:00"}', "mic")
@example(b'{"cmd":"start","expires":"0001-01-01T00:00:00Z"}', "mic")
@example(b'{"cmd":"start","id":"\\ud800"}', "mic")
@example(b'{"cmd":"\\ud800","id":"x"}', "mic")
@example(b'{"\\udfff":1}', "mic")
@example(b'{"a":' * 800, "mic")
@example(b'{"cmd":"start","v":NaN}', "mic")
def test_any_bytes_are_a_command_or_a_refusal_that_can_be_answered(payload: bytes, source: str | None) -> None:
    try:
        command = read_command(payload, source, NOW)
    except Refusal as refusal:
        body = answer_json(refused(refusal, source), NOW)
        validate("resp", json.loads(encode(body)))
        assert not body["ok"]
        assert body["hint"]
        return
    assert command.verb in (AGENT_VERBS if source is None else SOURCE_VERBS)
    assert command.source == source
    json.loads(encode(answer_json(Answer("done", "done", "", command.verb, source, command.id), NOW)))


@pytest.mark.parametrize("verb", SOURCE_VERBS)
@pytest.mark.parametrize(
    "shape", ["{}", " {} \n", '{{"cmd":"{}"}}', '{{"v":1,"cmd":" {} ","args":{{}}}}', ' {{"cmd":"{}","args":null}}']
)
def test_verbs_as_a_word_and_as_json(verb: str, shape: str) -> None:
    for word in (verb, verb.upper(), verb.title()):
        assert read_command(shape.format(word).encode(), "mic", NOW) == Command(verb, "mic")


def test_on_and_off_are_for_sources_alone() -> None:
    assert read_command(b"ON", "mic", NOW).verb == "start"
    assert read_command(b"off", "mic", NOW).verb == "stop"
    with pytest.raises(Refusal) as caught:
        read_command(b"ON", None, NOW)
    assert caught.value.code == "unknown_cmd"


@pytest.mark.parametrize(
    ("payload", "source", "code"),
    [
        (b"x" * (COMMAND_BYTES_MAX + 1), "mic", "too_big"),
        (b"dance", "mic", "unknown_cmd"),
        (b"start-all", "mic", "unknown_cmd"),
        (b"split", None, "unknown_cmd"),
        (b"\xff\xfe", "mic", "unknown_cmd"),
        (b"{", "mic", "bad_json"),
        (b"{}", "mic", "bad_json"),
        (b'{"cmd":5}', "mic", "bad_json"),
        (b'{"cmd":"start","v":2}', "mic", "bad_json"),
        (b'{"cmd":"start","id":""}', "mic", "bad_json"),
        (b'{"cmd":"start","id":7}', "mic", "bad_json"),
        (b'{"cmd":"start","comand":1}', "mic", "bad_json"),
        (b'{"cmd":"start","expires":"soon"}', "mic", "bad_json"),
        (b'{"cmd":"start-all","args":{"for_s":600}}', None, "bad_args"),
        (b'{"cmd":"stop","args":{"for_s":600}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":{"for_s":0}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":{"for_s":-1}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":{"for_s":1e999}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":{"for_s":NaN}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":{"for_s":true}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":{"for_s":"600"}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":{"for_s":2678401}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":{"for_s":600,"x":1}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":{"for":600}}', "mic", "bad_args"),
        (b'{"cmd":"start","args":[]}', "mic", "bad_args"),
        (b'{"cmd":"start","expires":"2026-11-22T12:59:59Z"}', "mic", "expired"),
    ],
)
def test_refusals(payload: bytes, source: str | None, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_command(payload, source, NOW)
    assert caught.value.code == code


def test_start_for_a_while() -> None:
    assert read_command(b'{"cmd":"ON","args":{"for_s":0.5}}', "mic", NOW) == Command("start", "mic", for_s=0.5)


def test_the_id_is_in_the_refusal_once_it_is_known() -> None:
    with pytest.raises(Refusal) as caught:
        read_command(b'{"id":"7f3a","cmd":"dance"}', "mic", NOW)
    assert caught.value.id == "7f3a"


@given(st.integers(-100, 100))
def test_a_command_is_meant_until_it_expires(seconds: int) -> None:
    expires = (NOW + timedelta(seconds=seconds)).isoformat()
    payload = json.dumps({"cmd": "start", "expires": expires}).encode()
    if seconds >= 0:
        assert read_command(payload, "mic", NOW).verb == "start"
    else:
        with pytest.raises(Refusal):
            read_command(payload, "mic", NOW)


@pytest.mark.parametrize("topic", ["isr/shed/resp/me", "isr/shed/resp/a/b/c", "reply/ha/shed", "reply/command/shed"])
def test_where_an_answer_may_go(topic: str) -> None:
    assert reply_topic(topic, root=ROOT, agent="shed") == topic


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "isr/shed/resp",
        "isr/shed/resp/",
        "isr/shed/resp//x",
        "isr/shed/resp/+",
        "isr/shed/resp/#",
        "isr/shed/resp/x/cmd",
        "isr/shed/src/mic/cmd",
        "isr/shed/cmd",
        "isr/other/resp/x",
        "reply/x/other",
        "reply//shed",
        "reply/x/y/shed",
        "reply/cmd",
        "$SYS/x",
        "isr/shed/resp/\0",
        "isr/shed/resp/" + "x" * 200,
        "/isr/shed/resp/x",
    ],
)
def test_where_it_may_not(topic: str) -> None:
    assert reply_topic(topic, root=ROOT, agent="shed") is None


def test_an_agent_called_cmd_is_not_commanded_by_an_answer() -> None:
    assert reply_topic("reply/x/cmd", root="isr/cmd", agent="cmd") is None


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["isr", "shed", "resp", "reply", "+", "#", "", "cmd", "x"])).map("/".join)
)
def test_no_topic_that_is_allowed_can_command_anybody(topic: str) -> None:
    allowed = reply_topic(topic, root=ROOT, agent="shed")
    if allowed is not None:
        assert not allowed.endswith("/cmd")
        assert not set(allowed) & set("+#$")
        assert allowed.startswith("isr/shed/resp/") or (allowed.startswith("reply/") and allowed.endswith("/shed"))
