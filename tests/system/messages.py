"""What the agent says, as anybody who listens would judge it."""

import json
from collections.abc import Iterable

from agent.mqtt.topics import matches
from tests.agent.schemas import validate
from tests.parts.mosquitto import Message
from tests.system.running import Json

_SCHEMAS = {
    "info": "info",
    "health": "health",
    "notice": "notice",
    "resp": "resp",
    "src/+/state": "state",
    "src/+/level": "level",
    "src/+/level/slow": "level",
    "src/+/event": "event",
    "src/+/event/late": "event",
    "src/+/segment": "segment-message",
    "src/+/segment/last": "segment-message",
}
_WORDS = ("availability", "src/+/availability")
_COMMANDS = ("cmd", "src/+/cmd")
_RETAINED = ("info", "health", "src/+/state", "src/+/segment/last", *_WORDS)
_QOS_0 = ("health", "src/+/level", "src/+/level/slow")


def body(message: Message) -> Json:
    """The JSON of a message."""
    return dict(json.loads(message.payload))


def judge(messages: Iterable[Message], root: str = "isr/shed") -> None:
    """Every message is on a topic that there is, fits the schema of it, and is sent as promised."""
    for message in messages:
        leaf = message.topic.removeprefix(root + "/")
        if any(matches(name, leaf) for name in _COMMANDS):
            continue
        schema = next((schema for name, schema in _SCHEMAS.items() if matches(name, leaf)), None)
        if schema is None:
            assert any(matches(name, leaf) for name in _WORDS), f"{message.topic} is no topic of ours"
            assert message.payload in (b"online", b"offline"), message
        else:
            validate(schema, body(message))
        assert not message.retain or any(matches(name, leaf) for name in _RETAINED), f"{message.topic} is retained"
        assert message.qos == (0 if any(matches(name, leaf) for name in _QOS_0) else 1), message.topic


def numbers(messages: Iterable[Message]) -> list[int]:
    """The numbers of the durable stream: segments and events, each time that one came."""
    ends = ("/segment", "/event", "/event/late")
    return [int(body(message)["seq"]) for message in messages if message.topic.endswith(ends)]


def in_order(messages: Iterable[Message]) -> None:
    """Within every topic a number is followed by larger ones only; one that came before may come again."""
    topics: dict[str, list[int]] = {}
    for message in messages:
        for number in numbers([message]):
            topics.setdefault(message.topic, []).append(number)
    for topic, found in topics.items():
        first = list(dict.fromkeys(found))
        assert first == sorted(first), topic
