"""Split: the button that begins a new file."""

from agent.mqtt.discovery.entity import Entity, Present, RecordedSource


def split(source: RecordedSource) -> Entity:
    """Sends `split`; there is nothing to split while the source is away."""
    return Entity(
        "button",
        "split",
        "Split",
        {
            "icon": "mdi:content-cut",
            "command_topic": source.topic("cmd"),
            "payload_press": "split",
        },
        Present.WITH_SOURCE,
    )
