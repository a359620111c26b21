"""What is known of a source and of the agent right now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from agent.model.audio import AudioFormat
from agent.model.heard import Level
from agent.model.segment import Gap
from agent.model.words import Desired, SourceState


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """The file being written: how much of it would survive a power cut."""

    file: str
    start: datetime
    samples_safe: int
    bytes_safe: int
    end: datetime | None = None
    """When the audio that is safe ends."""


@dataclass(frozen=True, slots=True)
class Today:
    """How much of a local day was recorded so far and how much is missing. `completeness_pct` is None where nothing was
    asked for."""

    date: date
    recorded_s: float
    missing_s: float
    completeness_pct: float | None


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What is known of one source right now. `sound`: whether a loud event lasts; None while nothing is heard.
    `today` and `missing_total_s`, the seconds that are missing altogether, are None until they are added up."""

    id: str
    name: str
    type: str
    state: SourceState
    desired: Desired
    since: datetime
    format: AudioFormat | None = None
    open_segment: OpenSegment | None = None
    title: str | None = None
    sound: bool | None = None
    gap: Gap | None = None
    last_error: str | None = None
    today: Today | None = None
    missing_total_s: float | None = None


@dataclass(frozen=True, slots=True)
class DiskStatus:
    """The disk of the recordings. `free_bytes` is None where it does not tell, `hours_left` where there is no end in
    sight or nothing is known yet. `is_low`: less is free than is to be kept free."""

    free_bytes: int | None = None
    hours_left: float | None = None
    is_low: bool = False


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """One look at the whole agent, for status.json."""

    at: datetime
    agent: str
    boot: str
    run: str
    pid: int
    version: str
    tz: str
    disk: DiskStatus
    sources: tuple[SourceStatus, ...] = field(default=())
    levels: Mapping[str, Level] = field(default_factory=dict)
