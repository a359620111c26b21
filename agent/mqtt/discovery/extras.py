"""Makes the plug-in that a configuration asks for."""

from collections.abc import Callable

from agent import __version__
from agent.config import Settings
from agent.mqtt.discovery.entity import Box, RecordedSource
from agent.mqtt.discovery.memory import Memory
from agent.mqtt.discovery.plugin import Discovery
from agent.mqtt.topics import Topics


def discovery_for(
    settings: Settings, topics: Topics, *, uid: str, jitter: Callable[[], float]
) -> tuple[Discovery, ...]:
    """Home Assistant discovery; nothing where it is switched off and there is nothing left to be taken back."""
    assert settings.mqtt is not None
    wanted = settings.mqtt.discovery
    memory = Memory(settings.agent.state_directory)
    if not wanted.enabled and not memory.devices:
        return ()
    box = Box(uid, settings.agent.name, __version__, topics)
    sources = [RecordedSource(box, source.id, source.name, source.type) for source in settings.sources]
    return (Discovery(box, sources, prefix=wanted.prefix, enabled=wanted.enabled, memory=memory, jitter=jitter),)
