"""The closed lists of words: causes, reasons, states."""

from enum import StrEnum


class GapCause(StrEnum):
    """Why there is no audio."""

    OVERRUN = "overrun"
    STALL = "stall"
    DISCONNECTED = "disconnected"
    DEVICE_LOST = "device_lost"
    REFUSED = "refused"
    STARTING = "starting"
    DISK_FULL = "disk_full"
    CLOCK_STEP = "clock_step"
    SUSPENDED = "suspended"
    CORRUPT = "corrupt"
    QUEUE_OVERFLOW = "queue_overflow"
    AGENT_STOPPED = "agent_stopped"
    AGENT_CRASHED = "agent_crashed"
    STOPPED = "stopped"
    SCHEDULED = "scheduled"

    @property
    def missing(self) -> bool:
        """Whether the audio was asked for: a source that was told to stop misses nothing."""
        return self is not GapCause.STOPPED and self is not GapCause.SCHEDULED


class CloseReason(StrEnum):
    """Why a segment ended."""

    BOUNDARY = "boundary"
    COMMAND = "command"
    STOP = "stop"
    SCHEDULE = "schedule"
    GAP = "gap"
    CLOCK_STEP = "clock_step"
    FORMAT_CHANGE = "format_change"
    SHUTDOWN = "shutdown"
    RECOVERED = "recovered"


class SourceState(StrEnum):
    """What a source is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    RECORDING = "recording"
    RECONNECTING = "reconnecting"
    STALLED = "stalled"
    STOPPING = "stopping"
    ERROR = "error"
    DISK_FULL = "disk_full"


class Desired(StrEnum):
    """What a source has been asked to do."""

    RECORD = "record"
    STOP = "stop"


class EventType(StrEnum):
    """What can be heard."""

    LOUD = "loud"
    SILENCE = "silence"
