"""CPU temperature: how hot the box is."""

from agent.mqtt.discovery.entity import Box, Entity
from agent.mqtt.discovery.templates import value


def cpu_temperature(box: Box) -> Entity:
    """In °C; unknown on a box that does not measure it."""
    return Entity(
        "sensor",
        "cpu_temperature",
        "CPU temperature",
        {
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "entity_category": "diagnostic",
            "state_topic": box.topics.health,
            "value_template": value("cpu_temp_c"),
        },
    )
