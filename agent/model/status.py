"""What is known of a source and of the agent right now."""

from dataclasses import dataclass, field
from datetime import datetime

from agent.model.audio import AudioFormat
from agent.model.segment import Gap
from agent.model.words import Desired, SourceState


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """The file being written: how much of it would survive a power cut."""

    file: str
    start: datetime
    samples_safe: int
    bytes_safe: int


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What is known of one source right now."""

    id: str
    name: str
    type: str
    state: SourceState
    desired: Desired
    since: datetime
    format: AudioFormat | None = None
    open_segment: OpenSegment | None = None
    title: str | None = None
    gap: Gap | None = None
    last_error: str | None = None


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
    free_bytes: int | None
    sources: tuple[SourceStatus, ...] = field(default=())
