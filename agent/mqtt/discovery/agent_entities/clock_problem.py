"""Clock problem: whether the times of the recordings can be trusted."""

from agent.mqtt.discovery.entity import Box, Entity
from agent.mqtt.discovery.templates import on_off


def clock_problem(box: Box) -> Entity:
    """On while the clock of the box is not synchronized."""
    return Entity(
        "binary_sensor",
        "clock_problem",
        "Clock problem",
        {
            "device_class": "problem",
            "entity_category": "diagnostic",
            "icon": "mdi:clock-alert",
            "state_topic": box.topics.health,
            "value_template": on_off("clock", "synchronized", on=False),
        },
    )
