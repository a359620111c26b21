"""Keeps today's account of every source in its status: how much was recorded, how much is missing.

All of it is done by the housekeeping, a little at a time; others only enqueue. The account is read from disk at the
start and carried on in memory. The status changes when a file is complete, when a gap begins or ends, when a minute is
over, and at midnight.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

from agent.archive_format.coverage import day_of
from agent.day_account import DayAccount
from agent.model import FinishedSegment, GapLine
from agent.status import StatusBoard
from agent.storage.account_files import ledger_lines, segments_since

_log = logging.getLogger(__name__)
_EVERY_S = 60.0
_AGAIN_S = 60.0

Fact: TypeAlias = FinishedSegment | GapLine


class Completeness:
    """`put` may be called from any thread, `step` from one. `now_ms` tells milliseconds since 1970, `now_s` seconds on
    a clock that never steps."""

    def __init__(
        self,
        recordings: Path,
        zone: ZoneInfo,
        board: StatusBoard,
        *,
        now_ms: Callable[[], int],
        now_s: Callable[[], float],
    ) -> None:
        self._recordings, self._zone, self._board = recordings, zone, board
        self._now_ms, self._now_s = now_ms, now_s
        self._sources: dict[str, _Source] = {}
        self._facts: deque[Fact] = deque()

    def add(self, source: str) -> None:
        """Keep the account of this source too."""
        self._sources[source] = self._fresh(source)

    def put(self, fact: Fact) -> None:
        """A file is complete on disk, or a line is in the ledger."""
        self._facts.append(fact)

    def step(self) -> bool:
        """A little of what there is to do; whether there is more."""
        loading = next((one for one in self._sources.values() if one.is_due(self._now_s())), None)
        if loading is not None:
            self._load(loading)
        for _ in range(len(self._facts)):
            self._take(self._facts.popleft())
        for source in self._sources.values():
            if source.loading is None and (source.is_news or self._is_late(source)):
                self._show(source)
        return any(source.is_due(self._now_s()) for source in self._sources.values())

    def _fresh(self, source: str) -> "_Source":
        account = DayAccount(self._zone)
        return _Source(source, account, self._pieces(source, account))

    def _pieces(self, source: str, account: DayAccount) -> Iterator[None]:
        """Reads what is known of a source into an account, piece by piece."""
        for lines in ledger_lines(self._recordings, source):
            for line in lines:
                account.line(line)
            yield
        since_s = day_of(self._now_ms(), self._zone).start_ms / 1000
        for segments in segments_since(self._recordings, source, since_s):
            for segment in segments:
                account.finished(segment)
            yield

    def _load(self, source: "_Source") -> None:
        assert source.loading is not None
        try:
            next(source.loading)
        except StopIteration:
            source.loading, source.is_news = None, True
            for fact in source.waiting:
                self._take(fact)
            source.waiting.clear()
        except OSError as error:
            _log.error("%s: today's account cannot be made: %s", source.id, error.strerror or error)
            waiting = source.waiting
            source = self._sources[source.id] = self._fresh(source.id)
            source.waiting, source.not_before_s = waiting, self._now_s() + _AGAIN_S

    def _take(self, fact: Fact) -> None:
        source = self._sources.get(fact.segment.source if isinstance(fact, FinishedSegment) else fact.gap.source)
        if source is None:
            return
        if source.loading is not None:
            source.waiting.append(fact)
            return
        source.is_news = True
        if isinstance(fact, GapLine):
            source.account.line(fact)
        else:
            source.account.finished(fact.segment)

    def _is_late(self, source: "_Source") -> bool:
        return self._now_s() - source.shown_s >= _EVERY_S or not source.account.is_of(self._now_ms())

    def _show(self, source: "_Source") -> None:
        known = self._board.of(source.id)
        if known.open_segment is not None:
            source.account.open(known.open_segment)
        now_ms = self._now_ms()
        source.is_news, source.shown_s = False, self._now_s()
        # A gap that lasts may turn out shorter once the audio after it is there, and times may be corrected; who adds
        # up what is lost would take less for a new beginning.
        lost_s = max(source.account.lost_s(now_ms), known.missing_total_s or 0.0)
        self._board.change(source.id, today=source.account.today(now_ms), missing_total_s=lost_s)


class _Source:
    """One source, and how far it is read. What comes meanwhile waits, because it is newer than what is read."""

    def __init__(self, source: str, account: DayAccount, loading: Iterator[None]) -> None:
        self.id, self.account = source, account
        self.loading: Iterator[None] | None = loading
        self.waiting: list[Fact] = []
        self.not_before_s = float("-inf")
        self.is_news = False
        self.shown_s = float("-inf")

    def is_due(self, now_s: float) -> bool:
        """Whether there is something to be read now."""
        return self.loading is not None and now_s >= self.not_before_s
