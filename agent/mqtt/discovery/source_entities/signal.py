"""Signal: whether the source delivers audio."""

from agent.mqtt.discovery.entity import Entity, RecordedSource


def signal(source: RecordedSource) -> Entity:
    """Off while a card is unplugged or a stream is away, and while the source is stopped."""
    return Entity(
        "binary_sensor",
        "signal",
        "Signal",
        {
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": source.topic("availability"),
            "payload_on": "online",
            "payload_off": "offline",
        },
    )
