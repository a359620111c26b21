"""Keeps the events of one continuous stretch of audio: tells their two ends, and lists them for each segment. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.archive_format.levels import exact_dbfs
from agent.archive_format.times import from_ns
from agent.ids import uuid7
from agent.loudness.detector import Detector, Moment, Run
from agent.model import (
    CloseReason,
    Entry,
    EventAt,
    EventEdge,
    EventRule,
    EventType,
    Heard,
    SegmentEvents,
    SoundEvent,
)

BLOCKS_PER_S = 100
"""The blocks of which events are made."""
SEGMENTS_KNOWN = 64
"""So many segments back an event is placed; one that takes longer to be decided has no place."""


@dataclass(slots=True)
class _Ear:
    """One detector, and the id of the event that lasts."""

    kind: EventType
    rule: EventRule
    detector: Detector
    pair: str = ""


class Listener:
    """`rules` are those of the source; blocks come in order, without holes."""

    def __init__(self, source: str, rules: Mapping[EventType, EventRule], sample_rate_hz: int) -> None:
        self._source, self._rate = source, sample_rate_hz
        self._ears = [_Ear(kind, rule, Detector(kind, rule, sample_rate_hz)) for kind, rule in rules.items()]
        self._opened_at: deque[int] = deque(maxlen=SEGMENTS_KNOWN)
        self._ended: list[tuple[_Ear, Run, str]] = []

    def opened(self, position: int) -> Iterator[Entry]:
        """A segment begins at this sample; events that last are in it from its first."""
        self._opened_at.append(position)
        self._ended.clear()
        if any(ear.detector.event for ear in self._ears):
            yield SegmentEvents(self._events())

    def push(self, energies: Sequence[float], edges: Sequence[int], moment: Callable[[int], Moment]) -> Iterator[Entry]:
        """Blocks of 10 ms: the sum of squares of the loudest channel of each, NaN where nothing was heard: those are
        passed over.

        `edges` are their borders in samples since the stretch began, one more than there are blocks; `moment` dates a
        sample.
        """
        start = edges[0]
        for number, energy in enumerate(energies, 1):
            end = edges[number]
            if math.isnan(energy):
                start = end
                continue
            level_dbfs = exact_dbfs(energy / (end - start))
            for ear in self._ears:
                run = ear.detector.push(level_dbfs, start, end, moment)
                if run is not None:
                    yield from self._changed(ear, run)
            start = end

    def finish(self, ended_by: CloseReason) -> Iterator[Entry]:
        """The audio ends, and with it what lasts."""
        for ear in self._ears:
            run = ear.detector.finish()
            if run is not None:
                yield from self._changed(ear, run, ended_by)

    def events_at_close(self, end: Moment) -> tuple[EventAt, ...]:
        """The events of the segment that ends here: what has fallen silent has an end, what is still heard has none."""
        return self._events(end)

    def _changed(self, ear: _Ear, run: Run, ended_by: CloseReason | None = None) -> Iterator[Entry]:
        begins = ear.detector.event is run
        moment = run.start if begins else run.end
        identifier = uuid7(moment.utc_ns // 1_000_000)
        if begins:
            ear.pair = identifier
        else:
            self._ended.append((ear, run, ear.pair))
        yield SegmentEvents(self._events())
        segments_back = self._segments_back(run.start)
        event = SoundEvent(
            id=identifier,
            pair=ear.pair,
            source=self._source,
            type=ear.kind,
            edge=EventEdge.START if begins else EventEdge.END,
            at=from_ns(moment.utc_ns),
            level_dbfs=round(run.level_dbfs, 1),
            max_dbfs=round(run.max_dbfs, 1),
            threshold_dbfs=ear.rule.threshold_dbfs,
            duration_s=None if begins else round((run.end.utc_ns - run.start.utc_ns) / 1e9, 3),
            ended_by=ended_by,
        )
        yield Heard(event, segments_back, self._offset_s(run.start, segments_back))

    def _segments_back(self, start: Moment) -> int:
        """How many segments before the open one the event began; one more than are known where it was earlier."""
        return next((back for back, at in enumerate(reversed(self._opened_at)) if at <= start.position), SEGMENTS_KNOWN)

    def _offset_s(self, start: Moment, segments_back: int) -> float:
        opened_at = self._opened_at[max(-len(self._opened_at), -1 - segments_back)]
        return round(max(0, start.position - opened_at) / self._rate, 3)

    def _events(self, closed_at: Moment | None = None) -> tuple[EventAt, ...]:
        opened_at = self._opened_at[-1]
        found = []
        for ear, run, pair in self._ended:
            if run.end.position > opened_at:  # else it was over before, and only its hold reached into this segment
                found.append(self._listed(ear.kind, run, pair, is_over=True))
        for ear in self._ears:
            run_now = ear.detector.event
            if run_now is not None and (closed_at is None or run_now.end.position > opened_at):
                is_over = closed_at is not None and self._fell_silent(run_now, closed_at)
                found.append(self._listed(ear.kind, run_now, ear.pair, is_over=is_over))
        return tuple(sorted(found, key=lambda event: event.start))

    def _fell_silent(self, run: Run, closed_at: Moment) -> bool:
        """Whether a whole block and more lies between the last that belonged to the event and the segment's end."""
        return (closed_at.position - run.end.position) * BLOCKS_PER_S >= self._rate

    def _listed(self, kind: EventType, run: Run, pair: str, *, is_over: bool) -> EventAt:
        offset_s = max(0, run.start.position - self._opened_at[-1]) / self._rate
        end = from_ns(run.end.utc_ns) if is_over else None
        return EventAt(pair, kind, from_ns(run.start.utc_ns), end, round(offset_s, 3), round(run.max_dbfs, 1))
