"""Disk free: the room for recordings."""

from agent.mqtt.discovery.entity import Box, Entity
from agent.mqtt.discovery.templates import expression


def disk_free(box: Box) -> Entity:
    """In GB, of a thousand millions of bytes each."""
    free = expression("disk", "free_bytes")
    return Entity(
        "sensor",
        "disk_free",
        "Disk free",
        {
            "device_class": "data_size",
            "unit_of_measurement": "GB",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "entity_category": "diagnostic",
            "state_topic": box.topics.health,
            # Whole hundredths, because every other value would be a row in the database of Home Assistant.
            "value_template": (
                f"{{% set free = {free} %}}{{{{ (free / 1000000000) | round(2) if free is number else none }}}}"
            ),
        },
    )
