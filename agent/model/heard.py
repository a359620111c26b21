"""What is heard in the audio: levels over windows of time, and events.

Levels are in dBFS: 0 is full scale for a peak, and a sine of full scale has an RMS of -3.01 (the offset of AES17 is not
added). Of several channels the loudest counts. Digital silence is -120.0 with `silent`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.model.words import EventType

SILENCE_DBFS = -120.0


@dataclass(frozen=True, slots=True)
class EventRule:
    """When something heard is an event. `hold_s`: shorter drops below threshold and hysteresis do not end it."""

    threshold_dbfs: float
    hysteresis_db: float
    min_duration_s: float
    hold_s: float


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is listened for. `level_interval_s` is None where levels are not told over MQTT; they are measured all the
    same, every second. What has no rule is not listened for.
    """

    level_interval_s: float | None
    loud: EventRule | None
    silence: EventRule | None

    @property
    def rules(self) -> dict[EventType, EventRule]:
        """The rules that there are."""
        rules = {EventType.LOUD: self.loud, EventType.SILENCE: self.silence}
        return {kind: rule for kind, rule in rules.items() if rule is not None}


class EventEdge(StrEnum):
    """Which end of an event is told."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class Level:
    """How loud a source was over `window_s` seconds of its samples, which ended at `at`.

    `clipped` counts samples of full scale that stand in a row of at least three. `slow` marks the ten-second window.
    """

    source: str
    at: datetime
    window_s: float
    rms_dbfs: float
    peak_dbfs: float
    clipped: int
    silent: bool
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file something can be heard."""

    segment: str
    file: str
    offset_s: float


@dataclass(frozen=True, slots=True)
class SoundEvent:
    """One end of something heard, by the time of its samples. `pair` is the same for both ends, `id` is this end's own.

    `level_dbfs` is that of the block at `at`, `max_dbfs` the loudest so far (silence: too). `duration_s` is None at the
    start. `ended_by` is None where the level ended it, else a cause such as `device_lost`.
    """

    id: str
    pair: str
    source: str
    type: EventType
    edge: EventEdge
    at: datetime
    level_dbfs: float
    max_dbfs: float
    threshold_dbfs: float
    duration_s: float | None = None
    place: Place | None = None
    ended_by: str | None = None

    @property
    def event_type(self) -> str:
        """As it is told: `loud_start`, `loud_end`, `silence_start`, `silence_end`."""
        return f"{self.type}_{self.edge}"


@dataclass(frozen=True, slots=True)
class EventAt:
    """An event as the sidecar lists it: in every segment in which it is heard.

    `start` and `end` are the event's own; `end` is None where it went on when the segment closed. `offset_s` is where
    it begins in this file, 0.0 where it began before.
    """

    id: str
    type: EventType
    start: datetime
    end: datetime | None
    offset_s: float
    max_dbfs: float


@dataclass(frozen=True, slots=True)
class Loudness:
    """The level of a whole segment."""

    rms_dbfs: float
    peak_dbfs: float
