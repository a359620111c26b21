"""Connection: whether the agent is there; the one entity that says so while it is not."""

from agent.mqtt.discovery.entity import Box, Entity, Present


def connection(box: Box) -> Entity:
    """The availability topic, which the broker turns to `offline` when the agent vanishes."""
    return Entity(
        "binary_sensor",
        "connection",
        "Connection",
        {
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": box.topics.availability,
            "payload_on": "online",
            "payload_off": "offline",
        },
        Present.ALWAYS,
    )
