"""Sees to it that segments and events arrive: joins the outbox on disk with the choice of what goes next.

Used by the delivery thread alone. Whatever the disk does, nobody else notices: what cannot be written waits in memory,
and a file that cannot be read is put aside.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from agent.model import Notice, Segment, SoundEvent
from agent.mqtt import losses, payloads
from agent.mqtt.drafts import event_draft, is_newer, segment_draft
from agent.mqtt.lanes import WINDOW, Lane, Lanes
from agent.mqtt.losses import Losses
from agent.mqtt.outbox import Outbox, OutboxBrokenError, OutboxUnwritableError, put_aside
from agent.mqtt.rows import Draft, Kind, Newest, Row, dropped
from agent.mqtt.unsent import newest_on_disk, unsent

_log = logging.getLogger(__name__)
_TOGETHER_S, _FORGET_WITHIN_S = 0.2, 1.0
_AGAIN_S = 5.0
_EXPIRY_EVERY_S = 3600.0
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the outbox may hold; `unwritten` is how many messages wait in memory for a disk that takes nothing."""

    rows: int = 50_000
    bytes: int = 64 << 20
    age: timedelta = timedelta(days=30)
    unwritten: int = 2_000


@dataclass(frozen=True, slots=True)
class Letter:
    """A row that is to be sent now. `is_last`: it tells of the newest segment of its source."""

    row: Row
    lane: Lane
    epoch: str
    payload: bytes
    is_last: bool


class Post:
    """What waits, and what is under way. `sources` are those whose recordings are looked through at the start;
    `stopping` tells that there is no time for that any more, `notify` takes what somebody should know."""

    def __init__(
        self,
        path: Path,
        recordings: Path,
        sources: tuple[str, ...],
        *,
        boot: str,
        utc_now: Callable[[], datetime],
        now_s: Callable[[], float],
        bounds: Bounds | None = None,
    ) -> None:
        self._path, self._recordings, self._sources, self._boot = path, recordings, sources, boot
        self._utc_now, self._now_s = utc_now, now_s
        self._bounds = bounds or Bounds()
        self.notify: Callable[[Notice], None] = lambda _: None
        self.stopping: Callable[[], bool] = lambda: False
        self._outbox: Outbox | None = None
        self._epoch = ""
        self._lanes = Lanes()
        self._window = WINDOW
        self._is_connected = False
        self._newest: dict[str, Newest] = {}
        self._drafts: deque[Draft] = deque()
        self._done: list[int] = []
        self._losses = Losses()
        self._unwritable: str | None = None
        self._again_s = self._wrote_s = self._expiry_s = float("-inf")
        self._is_caught_up = True
        self._found: set[tuple[str, int]] = set()

    def put_segment(self, segment: Segment, known_s: float, known_at: datetime) -> None:
        """A segment was closed or corrected. `known_s` and `known_at`: since when that is known."""
        if self._is_caught_up and (segment.id, segment.rev) not in self._found:
            self._put(segment_draft(segment, known_s, known_at))

    def put_event(self, event: SoundEvent, known_s: float, known_at: datetime) -> None:
        """Something was heard."""
        self._put(event_draft(event, known_s, known_at))

    def step(self) -> None:
        """Open the file where that is to be done, and write what is to be written by now. Never raises for the disk."""
        now_s = self._now_s()
        if now_s < self._again_s:
            return
        try:
            if self._outbox is None:
                self._open()
            elif self._is_due(now_s):
                self._write(self._drafts)
                self._drafts.clear()
            self._drop(self._lanes.surplus(self._bounds.rows, self._bounds.bytes))
            if now_s - self._expiry_s >= _EXPIRY_EVERY_S:
                self._expiry_s, utc_now = now_s, self._utc_now()
                self._drop(self._lanes.older_than(lambda row: row.is_expired(utc_now, self._bounds.age)))
        except OutboxBrokenError as error:
            self._put_aside(error)
        except (OutboxUnwritableError, OSError) as error:
            self._cannot_write(str(error))
        if self._is_connected and (notice := self._losses.notice(now_s)) is not None:
            self.notify(notice)

    def close(self) -> None:
        """Write everything, if the disk lets us; then close the file."""
        if self._outbox is None:
            return
        try:
            self._write(self._drafts)
        except (OutboxBrokenError, OutboxUnwritableError) as error:
            _log.error("the outbox takes nothing: %s; %d messages have no row", error, len(self._drafts))
        self._close(self._outbox)

    @property
    def patience_s(self) -> float:
        """For how long there is nothing to do unless something happens."""
        return _TOGETHER_S if self._drafts else float("inf")

    def connected(self, receive_maximum: int) -> None:
        """A connection whose other side takes so many messages before it has acknowledged one."""
        self._is_connected = True
        self._lanes.window = self._window = max(1, min(WINDOW, receive_maximum))

    def lost(self) -> None:
        """The connection is gone: what was under way is to be sent again."""
        self._is_connected = False
        self._lanes.lost()

    def hurry(self) -> None:
        """Nothing but what just happened is sent from now on: the agent is about to leave."""
        self._lanes.fresh_only = True

    def next(self) -> Letter | None:
        """What to send now, if anything. To be followed by `sent`."""
        now_s, utc_now = self._now_s(), self._utc_now()
        chosen = self._lanes.next(now_s)
        if chosen is None or self._outbox is None:
            return None
        row, lane = chosen
        try:
            body = self._outbox.body(row.seq)
            age_s, late = row.age_s(now_s, utc_now), row.is_late(now_s)
            payload = payloads.numbered(body, utc_now, seq=row.seq, epoch=self._epoch, late=late, age_s=age_s)
        except (OutboxBrokenError, ValueError) as error:
            self._put_aside(error)
            return None
        except OutboxUnwritableError as error:
            self._cannot_write(str(error))
            return None
        newest = self._newest.get(row.source)
        is_last = row.kind is Kind.SEGMENT and newest is not None and newest.id == row.id
        return Letter(row, lane, self._epoch, payload, is_last)

    def sent(self, letter: Letter) -> None:
        """It is under way."""
        self._lanes.sent(letter.row, letter.lane, self._now_s())

    def acknowledged(self, letter: Letter) -> None:
        """The broker has it."""
        if letter.epoch == self._epoch:
            self._lanes.acknowledged(letter.row.seq)
            self._done.append(letter.row.seq)

    def refused(self, letter: Letter, reason: str) -> None:
        """The broker does not want it: kept, and tried again later."""
        if letter.epoch != self._epoch:
            return
        lane = self._lanes.refused(letter.row.seq, reason, self._now_s())
        self.notify(losses.blocked(lane, reason))

    def has_fresh(self) -> bool:
        """Whether it is worth to wait a little before leaving."""
        can_write = self._outbox is not None and self._unwritable is None
        return can_write and (bool(self._drafts) or self._lanes.has_fresh(self._now_s()))

    def facts(self) -> payloads.OutboxFacts:
        """How the outbox is."""
        now_s = self._now_s()
        oldest, refusal = self._lanes.oldest(), self._lanes.refusal
        return payloads.OutboxFacts(
            depth=self._lanes.depth + len(self._drafts),
            oldest_s=None if oldest is None else oldest.age_s(now_s, self._utc_now()),
            dropped=self._losses.count,
            dropped_lately=self._losses.lately(now_s),
            blocked_reason=None if refusal is None else f"src/{refusal[0].source}/{refusal[0].leaf}: {refusal[1]}",
            unwritable=self._unwritable,
        )

    def _put(self, draft: Draft) -> None:
        self._drafts.append(draft)
        if len(self._drafts) > self._bounds.unwritten:
            self._drafts.remove(next((one for one in self._drafts if one.kind is Kind.EVENT), self._drafts[0]))
            self._losses.add(None, self._now_s())

    def _open(self) -> None:
        """Open the file, and give what was closed behind its back a row."""
        outbox, contents = Outbox.open(self._path, self._boot, lambda: newest_on_disk(self._recordings))
        try:
            self._outbox, self._epoch, self._newest = outbox, contents.epoch, contents.newest
            self._losses.untold = contents.dropped
            self._lanes = Lanes()
            self._lanes.window = self._window
            self._lanes.add(contents.rows)
            self._catch_up()
            self._write(self._drafts)
            self._drafts.clear()
        except BaseException:
            self._close(outbox)
            raise
        self._works()
        if contents.is_new and contents.newest:
            self.notify(losses.begins(contents.epoch))

    def _catch_up(self) -> None:
        """Rows for the segments on disk that are later than the newest that has one; what waits follows them."""
        self._is_caught_up = False
        for source in self._sources:
            found: list[Draft] = []
            for draft in unsent(self._recordings, source, self._newest.get(source), self._now_s(), self._utc_now()):
                if self.stopping():
                    # Whatever gets no row now is later than what has one: the next start finds it.
                    self._write(found)
                    self._drafts = deque(draft for draft in self._drafts if draft.kind is Kind.EVENT)
                    return
                self._found.add((draft.id, draft.rev))
                found.append(draft)
                if len(found) >= _AT_ONCE:
                    self._write(found)
                    found.clear()
            self._write(found)
        self._is_caught_up = True
        self._drafts = deque(draft for draft in self._drafts if (draft.id, draft.rev) not in self._found)
        if self._found:
            _log.info("outbox: %d segments had not been told", len(self._found))

    def _is_due(self, now_s: float) -> bool:
        waits_s = _TOGETHER_S if self._drafts else _FORGET_WITHIN_S
        return bool(self._drafts or self._done) and now_s - self._wrote_s >= waits_s

    def _write(self, drafts: Sequence[Draft]) -> None:
        """These and whatever else is to be written, in one go; then these have rows."""
        assert self._outbox is not None
        if not drafts and not self._done:
            return
        newest = dict(self._newest)
        for draft in drafts:
            if draft.kind is Kind.SEGMENT and is_newer(draft, newest.get(draft.source)):
                newest[draft.source] = Newest(draft.source, draft.id, draft.rev, draft.start)
        changed = [one for source, one in newest.items() if one != self._newest.get(source)]
        rows = self._outbox.write(drafts, done=self._done, newest=changed, dropped=self._losses.untold)
        self._newest = newest
        self._done.clear()
        self._lanes.add(rows)
        self._wrote_s = self._now_s()
        self._works()

    def _drop(self, rows: list[Row]) -> None:
        """These go, and leave a word behind."""
        gone = dropped(rows)
        if gone is None or self._outbox is None:
            return
        self._outbox.write((), done=[row.seq for row in rows], dropped=gone.and_then(self._losses.untold))
        self._lanes.drop(rows)
        self._losses.add(gone, self._now_s())

    def _put_aside(self, error: Exception) -> None:
        """Begin anew beside a file that cannot be read."""
        if self._outbox is not None:
            self._close(self._outbox)
        waiting = self._lanes.depth
        try:
            aside = put_aside(self._path, self._utc_now())
        except OSError as failure:
            self._cannot_write(f"it is broken ({error}) and cannot be renamed: {failure.strerror}")
            return
        self._lanes, self._newest, self._done, self._losses.untold, self._epoch = Lanes(), {}, [], None, ""
        _log.error("the outbox is broken: %s; kept as %s", error, aside.name)
        self.notify(losses.broken(str(error), aside.name, waiting))

    def _cannot_write(self, text: str) -> None:
        self._again_s = self._now_s() + _AGAIN_S
        if self._unwritable is None:
            _log.error("the outbox cannot be written: %s; its messages wait in memory", text)
            self.notify(losses.unwritable(text))
        self._unwritable = text

    def _works(self) -> None:
        if self._unwritable is not None:
            _log.info("the outbox can be written again")
        self._unwritable = None

    def _close(self, outbox: Outbox) -> None:
        outbox.close()
        self._outbox = None
