"""Remembers what the clock of this boot and of the last few was, so that a later start can finish what is to be
corrected by it."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.archive_format.sidecar import encode
from agent.boot_clock import BootClock, Stretch
from agent.model import Instant
from agent.storage.files import sync_folder, write_whole
from agent.storage.ledger import Ledger, ledger_bytes

_log = logging.getLogger(__name__)
_KEPT = 8


@dataclass(slots=True)
class Boot:
    """One boot. `ledgers` is how long the gap ledger of each source was when it began. `told` and `done` are sources:
    whose corrections have all been told, and of which nothing is left to be corrected."""

    clock: BootClock
    ledgers: dict[str, int]
    told: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)


class Boots:
    """`clock.json` in the state folder, used by one thread. Where it cannot be written it is kept in memory, and tried
    again."""

    def __init__(self, state_directory: Path, boot: str, recordings: Path, sources: Iterable[str]) -> None:
        self._path = state_directory / "clock.json"
        self._is_saved = True
        self._is_told = False
        known = self._read()
        now = next((one for one in known if one.clock.boot == boot), Boot(BootClock(boot), {}))
        earlier = [one for one in known if one.clock.boot != boot and one.clock.synchronized is not None]
        self.now = now
        self.all = [*earlier, now][-_KEPT:]
        self._recordings, self._sources = recordings, tuple(sources)
        for source in self._sources:
            now.ledgers.setdefault(source, ledger_bytes(self._recordings, source))
        self.save()

    def seen(self, at: Instant, *, synchronized: bool) -> bool:
        """One more look at the clock; whether it has just been synchronised for the first time in this boot."""
        before, self.now.clock = self.now.clock, self.now.clock.seen(at, synchronized=synchronized)
        if self.now.clock is not before or not self._is_saved:
            self.save()
        return before.synchronized is None and self.now.clock.synchronized is not None

    def of(self, boot: str) -> Boot | None:
        """What is known of a boot; None where nothing is."""
        return next((one for one in self.all if one.clock.boot == boot), None)

    def ledger_part(self, boot: Boot, source: str) -> tuple[int, int | None]:
        """From where to where the ledger of a source has the lines of a boot; None where it is the last. A ledger that
        is shorter than it was has been replaced: all of it is looked through."""
        size = ledger_bytes(self._recordings, source)
        later = self.all[self.all.index(boot) + 1 :]
        ends = [one.ledgers[source] for one in later if source in one.ledgers]
        begin, end = boot.ledgers.get(source, 0), ends[0] if ends else None
        return begin if begin <= size else 0, end if end is not None and end <= size else None

    def forget_gaps(self, source: str, before: datetime) -> bool:
        """Forget the gaps of a source that ended before that; whether there were any. Not while lines of its ledger may
        still have to be corrected. OSError or StorageError where the disk fails."""
        known = [boot for boot in self.all if boot.clock.synchronized is not None]
        if source in self._sources and any(source not in boot.done for boot in known):
            return False
        gone = Ledger(self._recordings, source).forget(before)
        for boot in self.all if gone else ():
            if source in boot.ledgers:
                begin = boot.ledgers[source]
                boot.ledgers[source] = begin - sum(size for at, size in gone if at < begin)
        if gone:
            self.save()
        return bool(gone)

    def save(self) -> None:
        """Write it down."""
        body = {"v": 1, "boots": [_json(one) for one in self.all]}
        try:
            write_whole(self._path, encode(body))
            sync_folder(self._path.parent)
            self._is_saved, self._is_told = True, False
        except OSError as error:
            if not self._is_told:
                _log.error("%s cannot be written: %s", self._path, error)
            self._is_saved, self._is_told = False, True

    def _read(self) -> list[Boot]:
        try:
            return [_boot(one) for one in json.loads(self._path.read_bytes())["boots"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.error("%s cannot be read, and begins anew: %s", self._path, error)
            return []


def _json(boot: Boot) -> dict[str, Any]:
    at = boot.clock.synchronized
    return {
        "boot": boot.clock.boot,
        "stretches": [[one.since_ms, one.offset_ms] for one in boot.clock.stretches],
        "synchronized": None if at is None else [at.since_ms, at.offset_ms],
        "ledgers": boot.ledgers,
        "told": sorted(boot.told),
        "done": sorted(boot.done),
    }


def _boot(data: dict[str, Any]) -> Boot:
    stretches = tuple(Stretch(int(since), int(offset)) for since, offset in data["stretches"])
    at = data["synchronized"]
    clock = BootClock(str(data["boot"]), stretches, None if at is None else Stretch(int(at[0]), int(at[1])))
    ledgers = {str(source): int(size) for source, size in data["ledgers"].items()}
    return Boot(clock, ledgers, set(data["told"]), set(data["done"]))
