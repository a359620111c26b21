"""Level: how loud the last ten seconds were."""

from agent.mqtt.discovery.entity import Entity, Present, RecordedSource
from agent.mqtt.discovery.templates import value

EXPIRE_AFTER_S = 35
"""Three values, which come every 10 s, may be lost."""


def level(source: RecordedSource) -> Entity:
    """RMS in dBFS; unavailable when nothing comes any more."""
    return Entity(
        "sensor",
        "level",
        "Level",
        {
            # No device class: sound_pressure is for dB SPL, which a level in dBFS is not.
            "unit_of_measurement": "dBFS",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "icon": "mdi:waveform",
            "state_topic": source.topic("level/slow"),
            "value_template": value("rms_dbfs"),
            "expire_after": EXPIRE_AFTER_S,
        },
        Present.WITH_SOURCE,
    )
