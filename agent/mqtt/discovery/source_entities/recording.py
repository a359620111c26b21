"""Recording: whether audio is really being recorded."""

from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.templates import expression


def recording(source: RecordedSource) -> Entity:
    """On while the source is in the state `recording`."""
    state = expression("state")
    return Entity(
        "binary_sensor",
        "recording",
        "Recording",
        {
            "device_class": "running",
            "state_topic": source.topic("state"),
            "value_template": (
                f"{{% set state = {state} %}}"
                "{{ none if state is none else 'ON' if state == 'recording' else 'OFF' }}"
            ),
        },
    )
