"""What is to be done about the disk: the look at it each second, and the slow work in small steps in between."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from agent import clock
from agent.config import Settings
from agent.disk_watch import DiskWatch, min_free_bytes
from agent.forecast import WriteRate, hours_left
from agent.model import DiskStatus, FinishedSegment, Notice, SourceStatus
from agent.retention import Rules, fitting
from agent.storage.checksums import Checksums
from agent.storage.cleaner import Cleaner
from agent.storage.reserve import Disk, Disks
from agent.storage.sidecars import Sidecars

_SHORT_FOR_S = 3.0
"""Retention has so long to make room until its failing is an alarm."""


class Housekeeping:
    """The disk of one agent. `look` and `step` are for one thread; `notify` gets what somebody should know, and
    `room_again` is called when recording can go on. `forget_gaps` is that of Boots."""

    def __init__(
        self,
        settings: Settings,
        run: str,
        disks: Disks,
        sidecars: Sidecars,
        *,
        notify: Callable[[Notice], None],
        room_again: Callable[[], None],
        forget_gaps: Callable[[str, datetime], bool],
    ) -> None:
        self._run, self._disks = run, disks
        self._notify, self._room_again = notify, room_again
        self._sources = [source.id for source in settings.sources]
        self._wanted = Rules(settings.retention, {source.id: source.retention for source in settings.sources})
        sizes = {source: disks.of(source).total_bytes for source in self._sources}
        self._rules = fitting(self._wanted, sizes, disks.main.total_bytes)
        self._checksums = Checksums(settings.recordings, sidecars)
        self.cleaner = Cleaner(
            settings.recordings,
            self._wanted,
            sidecars,
            disks,
            utc_now=clock.utc_now,
            now_s=clock.monotonic_s,
            synchronized=clock.synchronized,
            forget_gaps=forget_gaps,
        )
        self._written = dict.fromkeys(self._sources, 0)
        self._rates = {source: WriteRate() for source in self._sources}
        self._watches = {disk.device: DiskWatch() for disk in disks.all}
        self._short_since_s: dict[int, float] = {}
        self._was_full = False
        self.status = DiskStatus()
        """How the disk of the recordings was at the last look."""

    def finished(self, segment: FinishedSegment) -> None:
        """A segment is complete; from any thread."""
        self._checksums.put(segment)
        self.cleaner.finished(segment)
        if segment.segment.run == self._run:
            self._written[segment.segment.source] += segment.segment.bytes

    def begin(self) -> None:
        """What an earlier run left undone."""
        for source in self._sources:
            self._checksums.put_left_over(source)

    def look(self, statuses: Iterable[SourceStatus]) -> DiskStatus:
        """Look at the disks: quick, once a second."""
        self._disks.look()
        now_s = clock.monotonic_s()
        for status in statuses:
            opened = 0 if status.open_segment is None else status.open_segment.bytes_safe
            self._rates[status.id].put(now_s, self._written[status.id] + opened)
        rates = {source: rate.bytes_per_s for source, rate in self._rates.items()}
        found = [self._look_at(disk, rates, now_s) for disk in self._disks.all]
        is_full = any(disk.is_full for disk in self._disks.all)
        if self._was_full and not is_full:
            self._room_again()
        self._was_full = is_full
        hours = [one.hours_left for one in found if one.hours_left is not None]
        self.status = replace(found[0], hours_left=min(hours, default=None), is_low=any(one.is_low for one in found))
        return self.status

    def step(self) -> bool:
        """Do a little of what takes its time; whether there is more to do."""
        has_cleaned = self.cleaner.step()
        return self._checksums.step() or has_cleaned

    def _look_at(self, disk: Disk, rates: Mapping[str, float | None], now_s: float) -> DiskStatus:
        room = disk.room_bytes
        if room is None:
            return DiskStatus()
        sources = [source for source in self._sources if self._disks.of(source) is disk]
        wanted = [self._wanted.of(one).min_free_bytes for one in sources] or [self._wanted.others.min_free_bytes]
        acted_on = [self._rules.of(one).min_free_bytes for one in sources] or [self._rules.others.min_free_bytes]
        deletes = all(one is not None for one in acted_on)
        least = max(min_free_bytes(one, disk.total_bytes) for one in wanted)
        if room < least or disk.is_full:
            self._short_since_s.setdefault(disk.device, now_s)
            self.cleaner.hurry()
        else:
            self._short_since_s.pop(disk.device, None)
        short_s = now_s - self._short_since_s.get(disk.device, now_s)
        is_low = room < least and (not deletes or short_s >= _SHORT_FOR_S)
        hours = hours_left(room, {source: rates[source] for source in sources}, self.cleaner.kept_bytes, self._rules)
        status = DiskStatus(room, hours, is_low)
        watch, is_idle = self._watches[disk.device], wanted != acted_on
        for notice in watch.look(status, least, is_full=disk.is_full, deletes=deletes, is_idle=is_idle):
            self._notify(notice)
        return status
