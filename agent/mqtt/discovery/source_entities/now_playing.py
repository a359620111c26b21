"""Now playing: the title that a stream announces."""

from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.templates import expression


def now_playing(source: RecordedSource) -> Entity:
    """Unknown while there is none."""
    title = expression("title")
    return Entity(
        "sensor",
        "now_playing",
        "Now playing",
        {
            "icon": "mdi:music",
            "state_topic": source.topic("state"),
            # Home Assistant refuses a state of more than 255 characters.
            "value_template": f"{{% set title = {title} %}}{{{{ (title | string)[:255] if title else none }}}}",
        },
    )
