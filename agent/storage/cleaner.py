"""Keeps the recordings folder within its rules, a little at a time: deletes what is due, forgets what is long gone, and
protects what a command names. Everything that takes part of the disk's time is a step of its own.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from agent.archive_format.names import name_of, source_of, start_of
from agent.errors import StorageError
from agent.model import Choice, FinishedSegment, Kept, Outcome, Segment
from agent.retention import Doomed, Rules, Why, fitting, selection
from agent.storage.beneath import NotOursError
from agent.storage.forgetting import forget_old
from agent.storage.gain import Gain
from agent.storage.protection import Protection
from agent.storage.removal import ProtectedError, delete_audio
from agent.storage.reserve import Disks
from agent.storage.sidecars import Sidecars
from agent.storage.stock import Stock, told_by

_log = logging.getLogger(__name__)
_LOOK_EVERY_S, _AGAIN_S = 60.0, 10.0
_WALK_EVERY_S, _FORGET_EVERY_S = 3600.0, 3600.0
_FORGET_FIRST_S = 10.0
_MOST_ASIDE = 5
_MOST_JOBS = 100
_LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
"""Earlier than any clock that is wrong."""


class Cleaner:
    """`step`, `look` and what they read are for one thread, `put`, `finished` and `protect` for any."""

    def __init__(
        self,
        recordings: Path,
        rules: Rules,
        sidecars: Sidecars,
        disks: Disks,
        *,
        utc_now: Callable[[], datetime],
        now_s: Callable[[], float],
        synchronized: Callable[[], bool | None],
        forget_gaps: Callable[[str, datetime], bool],
    ) -> None:
        self._forget_gaps = forget_gaps
        self._recordings, self._sidecars, self._disks = recordings, sidecars, disks
        sizes = {source: disks.of(source).total_bytes for source in rules.sources}
        self._rules = fitting(rules, sizes, disks.main.total_bytes)
        self._gain = Gain(recordings, now_s)
        self._utc_now, self._now_s, self._synchronized = utc_now, now_s, synchronized
        self._stock = Stock(recordings)
        self._arrived: deque[tuple[Segment, bool]] = deque()
        self._jobs: deque[Protection] = deque()
        self._deleting: Iterator[None] | None = None
        self._work: Iterator[None] | None = None
        self._walk_at_s = self._select_at_s = float("-inf")
        self._forget_at_s = now_s() + _FORGET_FIRST_S
        self._is_walked = False
        self._not_ours: set[str] = set()
        self._is_faulty = False
        self._aside: set[str] = set()
        self._fault: str | None = None

    @property
    def kept_bytes(self) -> dict[str, int]:
        """How much finished audio each source has."""
        return self._stock.bytes

    def finished(self, segment: FinishedSegment) -> None:
        """A segment is complete."""
        self._arrived.append((segment.segment, True))

    def changed(self, segment: Segment) -> None:
        """A sidecar says something else now."""
        self._arrived.append((segment, False))

    def protect(self, choice: Choice, *, on: bool) -> Callable[[], Outcome | None]:
        """Protect these segments, or give them free; what tells the outcome, None until it is done."""
        if len(self._jobs) >= _MOST_JOBS:
            busy = Outcome(0, 0, f"busy with {_MOST_JOBS} such commands; try again later", "busy")
            return lambda: busy
        job = Protection(choice, on=on)
        self._jobs.append(job)
        return lambda: job.outcome

    def hurry(self) -> None:
        """A disk is short: look at once what can go, though no more often than helps."""
        self._select_at_s = min(self._select_at_s, self._now_s())

    def step(self) -> bool:
        """Do a little; whether there is more to do. Never raises for the disk."""
        self._absorb()
        if self._deleting is None and self._is_walked and self._now_s() >= self._select_at_s:
            self._select_at_s = self._now_s() + _LOOK_EVERY_S
            self._deleting = self._delete_due()
        if self._work is None and self._deleting is None:
            self._work = self._next()
        # Deletion goes first: a disk that is short must not wait for a walk or a command.
        work = self._deleting or self._work
        if work is None:
            return False
        try:
            next(work)
        except StopIteration:
            self._ended(work)
        except (OSError, StorageError) as error:
            self._ended(work)
            self._select_at_s = self._walk_at_s = self._now_s() + _AGAIN_S
            if not self._is_faulty:
                _log.error("retention: %s", error)
            self._is_faulty = True
        except Exception as error:  # noqa: BLE001 - whatever it is: told once, and the next work is begun
            self._ended(work)
            if self._fault != repr(error):
                _log.error("retention: %s", error, exc_info=error)
            self._fault = repr(error)
        return True

    def _ended(self, work: Iterator[None]) -> None:
        if work is self._deleting:
            self._deleting = None
        else:
            self._work = None

    def _absorb(self) -> None:
        while self._arrived:
            segment, is_new = self._arrived.popleft()
            name = name_of(PurePosixPath(segment.file))
            if name is None or segment.deleted is not None or segment.file in self._not_ours:
                continue
            if is_new or self._stock.get(segment.file) is not None:
                disk = self._disks.of(segment.source).device
                kept = Kept(start_of(name), segment.file, source_of(name), segment.bytes, disk=disk)
                self._stock.put(told_by(kept, segment))
            if is_new:
                self.hurry()

    def _next(self) -> Iterator[None] | None:
        now_s = self._now_s()
        if now_s >= self._walk_at_s:
            self._walk_at_s = now_s + _WALK_EVERY_S
            return self._walk()
        if not self._is_walked:
            return None
        if self._jobs:
            return self._jobs.popleft().work(self._stock, self._sidecars)
        if now_s >= self._forget_at_s and self._synchronized() is not False:
            self._forget_at_s = now_s + _FORGET_EVERY_S
            return forget_old(self._recordings, self._rules, self._age_now(), self._forget_gaps)
        return None

    def _walk(self) -> Iterator[None]:
        self._gain.forget_linked()
        yield from self._stock.walk()
        self._is_walked = True
        for kept in self._stock.half_deleted():
            self._delete(Doomed(kept, Why.MAX_AGE), protected_too=False)
            yield

    def _delete_due(self) -> Iterator[None]:
        if self._rules.delete_nothing:
            return
        is_done = False
        while not is_done:
            is_done = True
            segments = [one for one in self._stock.segments if one.file not in self._aside]
            for doomed in selection(segments, self._rules, self._age_now(), self._room(), self._gain.linked):
                if doomed.why is Why.MIN_FREE and not self._is_short(doomed.segment):
                    continue
                if doomed.why is Why.MIN_FREE and self._gain.is_linked(doomed.segment):
                    yield from self._gain.search(segments)
                    is_done = False
                    break
                # What is protected by its sidecar alone is put in its turn first.
                protected_too = doomed.segment.protected and self._rules.of(doomed.segment.source).protected_too
                if doomed.why is Why.MAX_AGE and not self._is_old(doomed.segment):
                    is_done = False
                    yield
                    continue
                is_as_listed = self._delete(doomed, protected_too=protected_too)
                yield
                if not is_as_listed:
                    is_done = False
                    break
        self._is_faulty = bool(self._aside)
        self._aside.clear()

    def _delete(self, doomed: Doomed, *, protected_too: bool) -> bool:
        """Delete one; whether it was what the list said."""
        kept = doomed.segment
        disk = self._disks.at(kept.disk) if doomed.why is Why.MIN_FREE else None
        if disk is not None:
            disk.look()
        before_bytes = 0 if disk is None else disk.left_bytes
        try:
            delete_audio(
                self._recordings,
                self._sidecars,
                kept.file,
                self._utc_now(),
                doomed.why.value,
                protected_too=protected_too,
            )
        except ProtectedError:
            self._stock.put(replace(kept, protected=True))
            return False
        except NotOursError as error:
            if kept.file not in self._not_ours:
                _log.warning("retention leaves %s alone: %s", kept.file, error)
            self._not_ours.add(kept.file)
            self._stock.drop(kept.file)
            return False
        except (OSError, StorageError) as error:
            self._put_aside(kept, error)
            return False
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one: told once, and the others have their turn
            if kept.file not in self._not_ours:
                _log.error("retention leaves %s alone: %s", kept.file, error, exc_info=error)
            self._not_ours.add(kept.file)
            self._stock.drop(kept.file)
            return False
        self._stock.drop(kept.file)
        _log.info("%s: deleted %s, %d bytes (%s)", kept.source, kept.file, kept.bytes, doomed.why)
        self._disks.look()
        if disk is not None:
            self._gain.deleted(kept, before_bytes, disk.left_bytes)
        return True

    def _put_aside(self, kept: Kept, error: Exception) -> None:
        """The disk did not let it go: others have their turn, but not many where it lets none. Tried again later."""
        self._aside.add(kept.file)
        if len(self._aside) >= _MOST_ASIDE:
            self._aside.clear()
            raise error
        if not self._is_faulty:
            _log.error("retention: %s cannot be deleted: %s", kept.file, error)

    def _is_short(self, kept: Kept) -> bool:
        least = self._rules.of(kept.source).min_free_bytes
        return least is not None and self._room().get(kept.disk, least) < least

    def _is_old(self, kept: Kept) -> bool:
        """Whether it is as old as its name says: a clock that was wrong is corrected in the sidecar alone, and one that
        was never set says nothing at all."""
        age_s = self._rules.of(kept.source).max_age_s
        try:
            segment = self._sidecars.read(kept.file)
        except Exception:  # noqa: BLE001 - whatever is wrong with it is told when it is to be deleted
            return True
        known = told_by(kept, segment)
        if age_s is not None and known.dated and segment.end <= self._age_now() - timedelta(seconds=age_s):
            return True
        self._stock.put(known)
        return False

    def _age_now(self) -> datetime:
        """What age is measured by: a clock that may be years ahead, or in 1970, makes nothing old."""
        return _LONG_AGO if self._synchronized() is False else self._utc_now()

    def _room(self) -> dict[int, int]:
        return {
            disk.device: disk.room_bytes - disk.wanted_bytes
            for disk in self._disks.all
            if disk.room_bytes is not None and not self._gain.waits(disk.device, disk.left_bytes)
        }
