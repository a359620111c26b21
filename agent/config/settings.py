"""What a configuration says, frozen; units in the names, paths absolute, secrets that do not show themselves."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

from agent.model import Hearing, Retention, SampleFormat


class Secret:
    """A text that shows itself only when asked by name, never in a log, a repr or an error."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Who this box is. `timezone_guessed`: nobody named a zone and the box did not know one."""

    id: str
    name: str
    timezone: ZoneInfo
    timezone_guessed: bool
    state_directory: Path


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """How a source is cut and stored. `format` is the container of sound cards: flac or wav. Their gaps up to
    `fill_gaps_up_to_s` are filled; 0: none."""

    period_s: int
    format: str
    sync_interval_s: float
    fill_gaps_up_to_s: float


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Whether Home Assistant is told of our entities, and where it listens."""

    enabled: bool
    prefix: str


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """The broker. `protocol` is auto (5, else 3.1.1), 5 or 3.1.1."""

    host: str
    port: int
    protocol: str
    username: str | None
    password: Secret | None
    base_topic: str
    discovery: DiscoverySettings


@dataclass(frozen=True, slots=True)
class AlsaSettings:
    """A sound card."""

    id: str
    name: str
    recording: RecordingSettings
    hearing: Hearing
    retention: Retention
    device: str
    sample_rate_hz: int
    channels: int
    sample_format: SampleFormat
    latency_s: float
    type: str = field(default="alsa", init=False)


@dataclass(frozen=True, slots=True)
class IcecastSettings:
    """A stream. `shown_url` is the address without anything secret. `headers` are for its server alone."""

    id: str
    name: str
    recording: RecordingSettings
    hearing: Hearing
    retention: Retention
    url: Secret
    shown_url: str
    latency_s: float
    fallback_urls: tuple[Secret, ...] = ()
    headers: tuple[tuple[str, Secret], ...] = ()
    type: str = field(default="icecast", init=False)


@dataclass(frozen=True, slots=True)
class TestSettings:
    """A signal made by ourselves."""

    __test__ = False  # the name is the product's, not pytest's

    id: str
    name: str
    recording: RecordingSettings
    hearing: Hearing
    retention: Retention
    signal: str
    sample_rate_hz: int
    channels: int
    sample_format: SampleFormat
    latency_s: float
    type: str = field(default="test", init=False)


SourceSettings: TypeAlias = AlsaSettings | IcecastSettings | TestSettings


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """Where the page is served, to whom, and where the archive keeps its own files.

    `auth` is none or basic; with basic there are a user and a password.
    """

    host: str
    port: int
    auth: str
    username: str | None
    password: Secret | None
    allow_unauthenticated: bool
    allowed_hosts: tuple[str, ...]
    state_directory: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole file. `mqtt` is None where there is no broker."""

    file: Path
    agent: AgentSettings
    recordings: Path
    retention: Retention
    mqtt: MqttSettings | None
    sources: tuple[SourceSettings, ...]
    archive: ArchiveSettings
