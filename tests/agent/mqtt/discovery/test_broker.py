"""The plug-in on a real broker with the access rules that we ship."""

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent import clock
from agent.config import DiscoverySettings, MqttSettings, Secret
from agent.mqtt.client import Event, MqttClient, Ready, Received
from agent.mqtt.discovery import Discovery, Memory, RecordedSource
from agent.mqtt.discovery.entity import Box
from agent.mqtt.extra import Said
from agent.mqtt.message import Message
from agent.supervisor import Backoff, Worker
from tests.agent.mqtt.discovery.devices import AGENT_TOPIC, BOX, MIC, MIC_TOPIC, RADIO, RADIO_TOPIC
from tests.parts.mosquitto import Broker
from tests.parts.waiting import wait_until

ACL = Path(__file__).resolve().parents[4] / "mosquitto" / "acl"
RADIO_RETAINED = {f"isr/shed/src/radio/{leaf}" for leaf in ("state", "availability", "segment/last")}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    # The rules for the user homeassistant come with the shipped file one day; this one may see everything of both.
    rules = ACL.read_text(encoding="utf-8") + "\nuser watcher\ntopic readwrite isr/#\ntopic readwrite homeassistant/#\n"
    with Broker(tmp_path / "broker", users={"shed": "a", "watcher": "b"}, acl_text=rules) as running:
        yield running


class Driver:
    """Does for the plug-in what the delivery does, without anything else to say."""

    def __init__(self, client: MqttClient, plugin: Discovery, events: "queue.SimpleQueue[Event]") -> None:
        self._client, self._plugin, self._events = client, plugin, events
        self._connected = False
        self.refused: list[str | None] = []

    def step(self) -> None:
        try:
            event = self._events.get(timeout=0.02)
        except queue.Empty:
            event = None
        now_s = clock.monotonic_s()
        if isinstance(event, Ready):
            self._connected = True
            self._say(self._plugin.announce(now_s))
        elif isinstance(event, Received):
            self._say(self._plugin.on_message(event.message, now_s))
        if self._connected:
            self._say(self._plugin.due(now_s))

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
        def stepped() -> bool:
            self.step()
            return condition()

        wait_until(stepped, timeout_s, what)

    def _say(self, said: Iterable[Said]) -> None:
        for one in said:
            if isinstance(one, Message):
                assert self._client.publish(one) is not None


@contextmanager
def driving(broker: Broker, folder: Path, sources: Sequence[RecordedSource], box: Box = BOX) -> Iterator[Driver]:
    folder.mkdir(exist_ok=True)
    plugin = Discovery(
        box,
        [replace(source, box=box) for source in sources],
        prefix="homeassistant",
        enabled=True,
        memory=Memory(folder),
        jitter=lambda: 0.1,
    )
    settings = MqttSettings(
        broker.host,
        broker.port,
        "5",
        "shed",
        Secret("a"),
        "isr",
        DiscoverySettings(enabled=True, prefix="homeassistant"),
    )
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    client = MqttClient(
        settings,
        client_id=f"isr-shed-{box.uid[:8]}",
        will_topic=box.topics.availability,
        filters=plugin.filters,
        tell=events.put,
    )
    worker = Worker("mqtt-network", client.run, backoff=Backoff(0.2, 1.0), on_fault=lambda *_: None)
    worker.start()
    try:
        yield Driver(client, plugin, events)
    finally:
        worker.stop()
        worker.join(5)


def kept(broker: Broker) -> set[str]:
    """The topics that somebody who comes now is given."""
    broker.publish("isr/end", "x", user="watcher", retain=True)
    with broker.listen("homeassistant/device/#", "isr/shed/src/#", "isr/end", user="watcher") as late:
        late.wait_for(lambda message: message.topic == "isr/end", 10)
        return {message.topic for message in late.messages if message.retain} - {"isr/end"}


def test_a_removed_source_leaves_no_retained_topic_even_without_a_state_folder(broker: Broker, tmp_path: Path) -> None:
    with broker.listen("homeassistant/#", user="watcher") as seen:
        with driving(broker, tmp_path / "a", [MIC, RADIO]) as first:
            first.until(lambda: bool(seen.of(RADIO_TOPIC)), "the first announcement")
        for topic in RADIO_RETAINED:
            broker.publish(topic, "x", user="watcher", retain=True)
        assert kept(broker) == {AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC, *RADIO_RETAINED}

        lost = replace(BOX, uid="ff" * 16)
        with driving(broker, tmp_path / "b", [MIC], box=lost) as second:
            second.until(lambda: lost.uid.encode() in b"".join(m.payload for m in seen.of(MIC_TOPIC)), "the new uid")
            second.until(lambda: kept(broker) == {AGENT_TOPIC, MIC_TOPIC}, "nothing left of the radio")
    assert [message.payload for message in seen.of(RADIO_TOPIC)][1:] == [b""]
    last = {message.topic: message.payload for message in seen.messages}
    assert lost.uid.encode() in last[AGENT_TOPIC]


def test_a_birth_brings_everything_again(broker: Broker, tmp_path: Path) -> None:
    with (
        broker.listen("homeassistant/device/#", user="watcher") as seen,
        driving(broker, tmp_path / "a", [MIC]) as agent,
    ):
        agent.until(lambda: len(seen.of(MIC_TOPIC)) == 1, "the first announcement")
        broker.publish("homeassistant/status", "online", user="watcher", retain=True)
        agent.until(lambda: len(seen.of(MIC_TOPIC)) == 2, "the second")
    first, second = seen.of(MIC_TOPIC)
    assert second.payload == first.payload
    assert second.wall_s - first.wall_s >= 1.9
