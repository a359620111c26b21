"""An entity of Home Assistant as we announce it, and whose it is. Pure."""

from dataclasses import dataclass, field
from enum import Enum, auto

from agent.mqtt.payloads import Json
from agent.mqtt.topics import Topics


@dataclass(frozen=True, slots=True)
class Box:
    """The agent as it announces itself. `uid` is permanent and in every id; `name` is for people and in none."""

    uid: str
    name: str
    version: str
    topics: Topics


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """A source as it is announced. `type` is that of the configuration: alsa, icecast, test."""

    box: Box
    id: str
    name: str
    type: str

    def topic(self, leaf: str) -> str:
        """A topic of this source."""
        return self.box.topics.source(self.id, leaf)


class Present(Enum):
    """When Home Assistant shows an entity as available."""

    WITH_AGENT = auto()
    WITH_SOURCE = auto()
    """Only while the source delivers audio too."""
    ALWAYS = auto()
    """Also when the agent is away: for the entity that says so."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity. `key` is permanent; `name` None takes the name of the device; `options` are Home Assistant's own."""

    platform: str
    key: str
    name: str | None
    options: Json = field(default_factory=dict)
    present: Present = Present.WITH_AGENT
