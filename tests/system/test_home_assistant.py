"""The agent, a broker with the access rules that we ship, and what Home Assistant would find there."""

import json
from pathlib import Path

from tests.parts.mosquitto import Broker, Message
from tests.parts.waiting import wait_until
from tests.system.running import REPOSITORY, RunningAgent

CONFIG = """
agent: {{id: shed, name: Garden shed}}
recording: {{period: 5s}}
mqtt: {{host: 127.0.0.1, port: {port}, username: shed, password: secret}}
sources:
  - {{id: test, name: Test signal, type: test}}
"""
SECOND = "  - {id: other, type: test, signal: tone}\n"
ACL = REPOSITORY / "mosquitto" / "acl"
SEES_ALL = "\nuser watcher\ntopic readwrite isr/#\ntopic readwrite homeassistant/#\n"
AGENT, TEST, OTHER = (f"homeassistant/device/shed/{node}/config" for node in ("agent", "test", "other"))


def kept(broker: Broker) -> dict[str, Message]:
    """What somebody who comes now is given."""
    broker.publish("isr/end", "x", user="watcher", retain=True)
    with broker.listen("homeassistant/device/#", "isr/shed/#", "isr/end", user="watcher") as late:
        late.wait_for(lambda message: message.topic == "isr/end", 10)
        return {message.topic: message for message in late.messages if message.retain}


def missing(found: dict[str, Message]) -> set[str]:
    """The topics that the devices name and nobody would be given, but for those that are never kept."""
    devices = [json.loads(found[topic].payload) for topic in (AGENT, TEST, OTHER)]
    components = [component for device in devices for component in device["components"].values()]
    read = {component.get(key, AGENT) for component in components for key in ("state_topic", "json_attributes_topic")}
    return {topic for topic in read - found.keys() if topic.rpartition("/")[2] not in ("event", "segment", "slow")}


def test_what_home_assistant_finds_while_a_source_comes_and_goes(tmp_path: Path) -> None:
    rules = ACL.read_text(encoding="utf-8") + SEES_ALL
    with (
        Broker(tmp_path / "broker", users={"shed": "secret", "watcher": "w"}, acl_text=rules) as broker,
        broker.listen("isr/#", "homeassistant/#", user="watcher") as said,
    ):
        one = CONFIG.format(port=broker.port)
        with RunningAgent(tmp_path / "agent", one + SECOND) as agent:
            agent.wait_for_state("other", "recording")
            said.wait_for(lambda message: message.topic == OTHER, 15, "the devices")
            order = [message.topic for message in said.messages]
            assert order.index("isr/shed/src/test/state") < order.index(AGENT) < order.index(TEST) < order.index(OTHER)
            # What Home Assistant reads is there, or comes by itself without being kept.
            wait_until(lambda: not missing(kept(broker)), 20, "everything that Home Assistant reads")

            before = len(said.of(AGENT))
            broker.publish("homeassistant/status", "online", user="watcher")
            wait_until(lambda: len(said.of(AGENT)) > before, 15, "the devices again")
            broker.publish("isr/shed/cmd", "refresh", user="watcher")
            wait_until(lambda: len(said.of(AGENT)) > before + 1, 15, "the devices a third time")
            assert agent.stop() == 0

        with RunningAgent(tmp_path / "agent", one):
            wait_until(lambda: said.of(OTHER)[-1].payload == b"", 15, "the removed source to be cleared")
            wait_until(
                lambda: not [topic for topic in kept(broker) if "other" in topic], 10, "nothing of it to be left"
            )
            assert {AGENT, TEST} <= kept(broker).keys()
