"""Queued messages: what the broker has not taken yet."""

from agent.mqtt.discovery.entity import Box, Entity
from agent.mqtt.discovery.templates import value


def queued_messages(box: Box) -> Entity:
    """The number of messages that wait on the box."""
    return Entity(
        "sensor",
        "queued_messages",
        "Queued messages",
        {
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "icon": "mdi:tray-full",
            "state_topic": box.topics.health,
            "value_template": value("outbox", "depth"),
        },
    )
