"""Recording sources: how many sources record right now."""

from agent.mqtt.discovery.entity import Box, Entity
from agent.mqtt.discovery.templates import value


def recording_sources(box: Box) -> Entity:
    """A number; less than expected is worth an automation."""
    return Entity(
        "sensor",
        "recording_sources",
        "Recording sources",
        {
            "state_class": "measurement",
            "icon": "mdi:microphone-message",
            "state_topic": box.topics.health,
            "value_template": value("recording_sources"),
        },
    )
