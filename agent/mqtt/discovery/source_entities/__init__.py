"""The entities of a source: one file each, and one line here."""

from collections.abc import Callable

from agent.mqtt.discovery.entity import Entity, RecordedSource
from agent.mqtt.discovery.source_entities.completeness import completeness
from agent.mqtt.discovery.source_entities.last_segment import last_segment
from agent.mqtt.discovery.source_entities.level import level
from agent.mqtt.discovery.source_entities.lost_audio import lost_audio
from agent.mqtt.discovery.source_entities.loudness_event import loudness_event
from agent.mqtt.discovery.source_entities.now_playing import now_playing
from agent.mqtt.discovery.source_entities.peak import peak
from agent.mqtt.discovery.source_entities.recording import recording
from agent.mqtt.discovery.source_entities.recording_switch import recording_switch
from agent.mqtt.discovery.source_entities.segment_event import segment_event
from agent.mqtt.discovery.source_entities.signal import signal
from agent.mqtt.discovery.source_entities.sound import sound
from agent.mqtt.discovery.source_entities.split import split
from agent.mqtt.discovery.source_entities.state import state

SOURCE_ENTITIES: tuple[Callable[[RecordedSource], Entity], ...] = (
    recording_switch,
    recording,
    signal,
    sound,
    state,
    level,
    peak,
    last_segment,
    lost_audio,
    completeness,
    loudness_event,
    segment_event,
    split,
)
"""What every source has."""

STREAM_ENTITIES: tuple[Callable[[RecordedSource], Entity], ...] = (now_playing,)
"""What only a stream has."""
