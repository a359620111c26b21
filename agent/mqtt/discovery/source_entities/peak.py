"""Peak: the loudest sample of the last ten seconds."""

from agent.mqtt.discovery.entity import Entity, Present, RecordedSource
from agent.mqtt.discovery.source_entities.level import EXPIRE_AFTER_S
from agent.mqtt.discovery.templates import value


def peak(source: RecordedSource) -> Entity:
    """In dBFS; near 0 means that something was too loud for the input."""
    return Entity(
        "sensor",
        "peak",
        "Peak",
        {
            "unit_of_measurement": "dBFS",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "entity_category": "diagnostic",
            "icon": "mdi:waveform",
            "state_topic": source.topic("level/slow"),
            "value_template": value("peak_dbfs"),
            "expire_after": EXPIRE_AFTER_S,
        },
        Present.WITH_SOURCE,
    )
