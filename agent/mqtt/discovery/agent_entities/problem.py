"""Problem: whether something is wrong with the box, and what."""

from agent.mqtt.discovery.entity import Box, Entity
from agent.mqtt.discovery.templates import attributes, on_off


def problem(box: Box) -> Entity:
    """On while there is a problem; its attribute names all of them."""
    return Entity(
        "binary_sensor",
        "problem",
        "Problem",
        {
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": box.topics.health,
            "value_template": on_off("problem"),
            "json_attributes_topic": box.topics.health,
            "json_attributes_template": attributes("problems"),
        },
    )
