"""Refresh: the button that has everything said again."""

from agent.mqtt.discovery.entity import Box, Entity


def refresh(box: Box) -> Entity:
    """Sends `refresh` to the agent, which announces and says every state again."""
    return Entity(
        "button",
        "refresh",
        "Refresh",
        {
            "entity_category": "config",
            "icon": "mdi:refresh",
            "command_topic": f"{box.topics.root}/cmd",
            "payload_press": "refresh",
        },
    )
