"""Loudness: the event entity for automations, one event for each end of something heard."""

from agent.model import EventEdge, EventType
from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.templates import expression


def loudness_event(source: RecordedSource) -> Entity:
    """Only live events: what is delivered late goes to another topic and triggers nothing."""
    types = [f"{kind}_{edge}" for kind in (EventType.LOUD, EventType.SILENCE) for edge in EventEdge]
    listed = ", ".join(f"'{event_type}'" for event_type in types)
    return Entity(
        "event",
        "loudness",
        "Loudness",
        {
            "event_types": types,
            "icon": "mdi:volume-high",
            "state_topic": source.topic("event"),
            # Home Assistant warns of types that it was not told of; other events of the source are not for this one.
            "value_template": f"{{{{ value if {expression('event_type')} in [{listed}] else '' }}}}",
        },
    )
