"""Segment: the event entity that fires whenever a file was closed. Disabled until somebody wants it."""

from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.templates import attributes


def segment_event(source: RecordedSource) -> Entity:
    """Also for files that were closed while the broker was away: those have `late`."""
    picked = attributes(
        "id", "file", "start", "end", "duration_s", "bytes", "reason", "missing_s", "late", event_type="closed"
    )
    return Entity(
        "event",
        "segment",
        "Segment",
        {
            "event_types": ["closed"],
            "icon": "mdi:content-cut",
            "enabled_by_default": False,
            "state_topic": source.topic("segment"),
            "value_template": picked,
        },
    )
