"""State: what the source is doing, in one word."""

from agent.model import SourceState
from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.templates import value


def state(source: RecordedSource) -> Entity:
    """One of the closed list of states."""
    return Entity(
        "sensor",
        "state",
        "State",
        {
            "device_class": "enum",
            "options": [str(state) for state in SourceState],
            "entity_category": "diagnostic",
            "state_topic": source.topic("state"),
            "value_template": value("state"),
        },
    )
