"""Started: since when the agent has been running."""

from agent.mqtt.discovery.entity import Box, Entity
from agent.mqtt.discovery.templates import value


def started(box: Box) -> Entity:
    """A moment and not a duration, which would be a new state every minute."""
    return Entity(
        "sensor",
        "started",
        "Started",
        {
            "device_class": "timestamp",
            "entity_category": "diagnostic",
            "state_topic": box.topics.health,
            "value_template": value("started"),
        },
    )
