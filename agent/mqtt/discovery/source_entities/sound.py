"""Sound: whether a loud event lasts."""

from agent.mqtt.discovery.entity import Entity, Present, RecordedSource
from agent.mqtt.discovery.templates import on_off


def sound(source: RecordedSource) -> Entity:
    """On from the start of a loud event to its end."""
    return Entity(
        "binary_sensor",
        "sound",
        "Sound",
        {
            "device_class": "sound",
            "state_topic": source.topic("state"),
            "value_template": on_off("sound"),
        },
        Present.WITH_SOURCE,
    )
