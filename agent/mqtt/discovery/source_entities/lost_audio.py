"""Lost audio: how much is missing altogether."""

from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.templates import value


def lost_audio(source: RecordedSource) -> Entity:
    """Seconds since the gap ledger was begun. It only grows, through restarts too; Home Assistant shows it per day."""
    return Entity(
        "sensor",
        "lost_audio",
        "Lost audio",
        {
            "device_class": "duration",
            "unit_of_measurement": "s",
            "state_class": "total_increasing",
            "suggested_display_precision": 0,
            "entity_category": "diagnostic",
            "icon": "mdi:timer-alert-outline",
            "state_topic": source.topic("state"),
            "value_template": value("missing_total_s"),
        },
    )
