"""When a level becomes an event, and when it ends. Pure.

Loud: an event begins with the first block at or above the threshold of a run that lasts `min_duration_s`; drops below
threshold minus hysteresis that are shorter than `hold_s` do not end the run. It ends with the last block at or above
threshold minus hysteresis; the hold is not part of it. Silence is the same turned round.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from agent.model import EventRule, EventType


class Moment(NamedTuple):
    """A border between two blocks: samples since the run began, and UTC in ns."""

    position: int
    utc_ns: int


@dataclass(slots=True)
class Run:
    """A stretch that is or may become an event. `end` is that of its last block so far; levels are in dBFS."""

    start: Moment
    end: Moment
    level_dbfs: float
    max_dbfs: float
    is_event: bool = False


class Detector:
    """Listens for one kind of event in one continuous stretch of audio."""

    def __init__(self, kind: EventType, rule: EventRule, sample_rate_hz: int) -> None:
        self._sign = -1.0 if kind is EventType.SILENCE else 1.0
        self._begins_at = self._sign * rule.threshold_dbfs
        self._goes_on_at = self._begins_at - rule.hysteresis_db
        self._min_samples = round(rule.min_duration_s * sample_rate_hz)
        self._hold_samples = max(1, round(rule.hold_s * sample_rate_hz))
        self._run: Run | None = None

    @property
    def event(self) -> Run | None:
        """The event that lasts."""
        return self._run if self._run is not None and self._run.is_event else None

    def push(self, level_dbfs: float, start: int, end: int, moment: Callable[[int], Moment]) -> Run | None:
        """One more block, between two samples; `moment` dates them.

        The event that now begins (`event` is the same then) or that is over; mostly None.
        """
        run, strength = self._run, self._sign * level_dbfs
        if run is None:
            if not strength >= self._begins_at:
                return None
            run = self._run = Run(moment(start), moment(end), level_dbfs, level_dbfs)
        elif strength >= self._goes_on_at:
            run.end = moment(end)
            if level_dbfs > run.max_dbfs:
                run.max_dbfs = level_dbfs
        elif end - run.end.position >= self._hold_samples:
            self._run = None
            return run if run.is_event else None
        if not run.is_event and run.end.position - run.start.position >= self._min_samples:
            run.is_event = True
            return run
        return None

    def finish(self) -> Run | None:
        """The audio ends: the event that it ends, if one lasts."""
        run, self._run = self.event, None
        return run
