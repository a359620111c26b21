"""The switch that starts and stops recording: the main entity of a source."""

from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.templates import value


def recording_switch(source: RecordedSource) -> Entity:
    """Shows what is asked for, and can be switched while the source is away: else nobody could stop the retrying."""
    return Entity(
        "switch",
        "record",
        None,
        {
            "icon": "mdi:record-rec",
            "state_topic": source.topic("state"),
            "value_template": value("desired"),
            "state_on": "record",
            "state_off": "stop",
            "command_topic": source.topic("cmd"),
            "payload_on": "start",
            "payload_off": "stop",
        },
    )
