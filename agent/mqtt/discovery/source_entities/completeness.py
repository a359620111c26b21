"""Completeness today: how much of what was asked for was recorded since midnight."""

from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.templates import attributes, value


def completeness(source: RecordedSource) -> Entity:
    """In percent; unknown where nothing was asked for."""
    return Entity(
        "sensor",
        "completeness_today",
        "Completeness today",
        {
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "suggested_display_precision": 2,
            "entity_category": "diagnostic",
            "icon": "mdi:progress-check",
            "state_topic": source.topic("state"),
            "value_template": value("completeness_pct"),
            "json_attributes_topic": source.topic("state"),
            "json_attributes_template": attributes("recorded_today_s", "missing_today_s", "gap"),
        },
    )
