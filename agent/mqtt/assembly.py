"""Puts the parts of MQTT together; the agent starts and stops them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from random import SystemRandom
from typing import NamedTuple, TypedDict

from agent import clock
from agent.config import MqttSettings, Settings
from agent.health import box_facts
from agent.model import DiskStatus, SourceStatus
from agent.mqtt import payloads
from agent.mqtt.client import MqttClient
from agent.mqtt.delivery import Delivery
from agent.mqtt.desk import CommandDesk, Controllable, Protect
from agent.mqtt.discovery import discovery_for
from agent.mqtt.outbox import FILE
from agent.mqtt.post import Post
from agent.mqtt.timers import StopTimers
from agent.mqtt.topics import Topics


class MqttParts(NamedTuple):
    """What is to run: `delivery.run` and `client.run`, each under a worker."""

    delivery: Delivery
    client: MqttClient


class _Times(TypedDict):
    utc_now: Callable[[], datetime]
    now_s: Callable[[], float]


def assemble(
    settings: Settings,
    mqtt: MqttSettings,
    *,
    uid: str,
    boot: str,
    started: str,
    controls: Mapping[str, Controllable],
    status_of: Callable[[str], SourceStatus],
    info: Callable[[], payloads.Json],
    says_level: Callable[[str], bool],
    disk: Callable[[], DiskStatus],
    protect: Protect,
) -> MqttParts:
    """The parts, connected with one another; nothing runs yet. `started` is the agent's start, as it is written;
    `says_level` tells whether the fast levels of a source are wanted, `disk` how the disk is."""
    agent, state, recordings = settings.agent.id, settings.agent.state_directory, settings.recordings
    times = _Times(utc_now=clock.utc_now, now_s=clock.monotonic_s)
    topics = Topics(mqtt.base_topic, agent)
    delivery = Delivery(
        topics,
        CommandDesk(controls, status_of, StopTimers(state, **times), protect=protect, **times),
        Post(state / FILE, recordings, tuple(controls), boot=boot, **times),
        info=info,
        box=lambda: box_facts(disk(), clock.synchronized),
        started=started,
        extras=discovery_for(settings, topics, uid=uid, jitter=SystemRandom().random),
        says_level=says_level,
        **times,
    )
    client = MqttClient(
        mqtt,
        client_id=f"{mqtt.base_topic}-{agent}-{uid[:8]}".replace("/", "-"),
        will_topic=topics.availability,
        filters=(*topics.commands, topics.availability),
        extra_filters=delivery.extra_filters,
        tell=delivery.put,
    )
    delivery.use(client.publish, client.drop)
    return MqttParts(delivery, client)
