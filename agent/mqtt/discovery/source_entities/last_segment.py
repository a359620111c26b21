"""Last segment: when the newest file was closed, and which it is."""

from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.templates import attributes, value


def last_segment(source: RecordedSource) -> Entity:
    """The end of its audio."""
    return Entity(
        "sensor",
        "last_segment",
        "Last segment",
        {
            "device_class": "timestamp",
            "icon": "mdi:file-music",
            "state_topic": source.topic("segment/last"),
            "value_template": value("end"),
            "json_attributes_topic": source.topic("segment/last"),
            "json_attributes_template": attributes("id", "file", "start", "duration_s", "bytes", "reason", "missing_s"),
        },
    )
