"""When what a wrong clock has dated is corrected: once the clock of its boot is known, in the housekeeping thread.

A source is done with when nothing can come any more that would have to be corrected; until then each start of the agent
looks again, and tells again what may not have been told.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.archive_format.coverage import Span
from agent.archive_format.times import to_ms
from agent.clock_correction import is_wrong, overlaps_moved
from agent.errors import StorageError
from agent.model import FinishedSegment, GapLine, Instant, Notice, NoticeCode, Segment, Severity
from agent.storage.beneath import NotOursError
from agent.storage.boots import Boot, Boots
from agent.storage.correct_source import CorrectSource, Job, Outcome
from agent.storage.ledger import ledger_bytes
from agent.storage.sidecars import Sidecars

_log = logging.getLogger(__name__)
_LOOK_EVERY_S, _AGAIN_S = 10.0, 60.0
_TOLD_AFTER_S = 10.0
"""By then the outbox has a row for it, or says that it cannot be written."""

Key = tuple[str, str]
"""Boot and source."""


class Corrections:
    """`put` from any thread, everything else from one. Nothing raises: what cannot be done now is tried again."""

    def __init__(
        self,
        recordings: Path,
        boots: Boots,
        sidecars: Sidecars,
        sources: Iterable[str],
        zone: ZoneInfo,
        *,
        told: Callable[[GapLine], None],
        notify: Callable[[Notice], None],
        utc_now: Callable[[], datetime],
        now_s: Callable[[], float],
    ) -> None:
        self._recordings, self._boots, self._stored, self._zone = recordings, boots, sidecars, zone
        self._sources = tuple(sources)
        self._told, self._notify, self._utc_now, self._now_s = told, notify, utc_now, now_s
        self._closed: deque[FinishedSegment] = deque()
        self._due: deque[Key] = deque()
        self._work: Iterator[None] | None = None
        self._waiting: dict[Key, int] = {}
        self._again: dict[Key, float] = {}
        self._marks: dict[Key, tuple[float, bool]] = {}
        self._passed: set[Key] = set()
        self._moved: dict[Key, list[Span]] = {}
        self._looked_s = float("-inf")
        self._sum = Outcome()
        for boot in boots.all:
            if boot.clock.synchronized is not None:
                self._put_all(boot)

    def put(self, finished: FinishedSegment) -> None:
        """A segment was closed."""
        self._closed.append(finished)

    def look(self, now: Instant, synchronized: bool | None) -> None:  # noqa: FBT001 - what the kernel said
        """Once a second: what the clocks say now."""
        if self._boots.seen(now, synchronized=synchronized is True):
            _log.info("the clock is synchronised; what was recorded before is looked at")
            self._put_all(self._boots.now)
        now_s = self._now_s()
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            self._looked_s = now_s
            for key, size in self._waiting.items():
                if ledger_bytes(self._recordings, key[1]) != size:
                    self._put(key)
        for key in [key for key, due_s in self._again.items() if now_s >= due_s]:
            del self._again[key]
            self._put(key)
        self._mark(now_s)

    def step(self) -> bool:
        """Do a little; whether there is more to do."""
        while self._closed:
            self._consider(self._closed.popleft())
        if self._work is None:
            if not self._due:
                self._tell()
                return False
            self._work = self._correct(self._due.popleft())
        if next(self._work, self) is self:
            self._work = None
        return True

    def _correct(self, key: Key) -> Iterator[None]:
        boot, source = self._boots.of(key[0]), key[1]
        assert boot is not None
        begin, end = self._boots.ledger_part(boot, source)
        tell_again = key not in self._passed and source not in boot.told
        job = Job(boot.clock, source, begin, end, to_ms(self._utc_now()), tell_again)
        one = CorrectSource(self._recordings, self._zone, self._stored, self._told, job)
        try:
            # What the ledger gets meanwhile, be it from us, is looked at again.
            size = ledger_bytes(self._recordings, source)
            yield from one.work()
        except (OSError, StorageError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s: times could not be corrected, which is tried again: %s", source, error)
            self._again[key] = self._now_s() + _AGAIN_S
            return
        self._passed.add(key)
        self._moved[key] = one.outcome.moved
        self._sum.count += one.outcome.count
        self._sum.most_ms = max(self._sum.most_ms, one.outcome.most_ms)
        self._waiting.pop(key, None)
        if one.outcome.is_waiting:
            self._waiting[key] = size
        self._marks[key] = self._now_s() + _TOLD_AFTER_S, not one.outcome.is_waiting

    def _consider(self, finished: FinishedSegment) -> None:
        segment, boot = finished.segment, self._boots.of(finished.segment.boot)
        if boot is None or boot.clock.synchronized is None:
            return
        key = segment.boot, segment.source
        is_touched = segment.source not in boot.done and (
            segment.gap_before is not None or boot.clock.is_before(segment.clock.start_boottime_s)
        )
        if is_touched or is_wrong(segment, boot.clock):
            self._put(key)
        elif overlaps_moved(segment, moved := self._moved.get(key, [])):
            self._overlaps_no_more(segment, moved)

    def _overlaps_no_more(self, segment: Segment, moved: list[Span]) -> None:
        """Its line remembers what it recorded by the wrong clock, as long as the agent runs."""

        def corrected(known: Segment) -> Segment:
            return replace(known, clock=replace(known.clock, overlap_s=0.0)) if overlaps_moved(known, moved) else known

        try:
            self._stored.change(segment.file, corrected)
        except (OSError, NotOursError) as error:
            _log.warning("%s: its overlap could not be corrected, which is tried again: %s", segment.file, error)
            self._again[segment.boot, segment.source] = self._now_s() + _AGAIN_S

    def _mark(self, now_s: float) -> None:
        """Remember what is told and what is done, now that it is safe to."""
        due = [key for key, (due_s, _) in self._marks.items() if now_s >= due_s]
        for key in due:
            boot, (_, is_done) = self._boots.of(key[0]), self._marks.pop(key)
            if boot is not None:
                boot.told.add(key[1])
                if is_done:
                    boot.done.add(key[1])
        if due:
            self._boots.save()

    def _tell(self) -> None:
        if not self._sum.count:
            return
        text = f"the clock is synchronised: the times of {self._sum.count} recordings were corrected"
        text += f", by up to {self._sum.most_ms / 1000:.3f} s"
        _log.info("%s", text)
        hint = "their files keep their names; the sidecars say what is true and what was recorded"
        self._notify(Notice(NoticeCode.CLOCK_CORRECTED, Severity.INFO, text, hint))
        self._sum = Outcome()

    def _put_all(self, boot: Boot) -> None:
        for source in self._sources:
            if source not in boot.done:
                self._put((boot.clock.boot, source))

    def _put(self, key: Key) -> None:
        if key not in self._due:
            self._marks.pop(key, None)
            self._due.append(key)
