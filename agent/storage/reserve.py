"""A disk that recordings fill: how much room there is, whether it is full, and the reserve that is given up then.

The reserve is a file whose blocks are really taken. When nothing else is left it goes, so that status.json, sidecars
and the outbox can still be written; recording waits until there is room for it again, and it is taken back first.
"""

import errno
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent import clock
from agent.errors import StorageError
from agent.storage.hold import Hold

_log = logging.getLogger(__name__)
RESERVE_BYTES = 8 << 20
RESERVE = "reserve"
_SHARE = 5
_MARGIN_BYTES, _MARGIN_SHARE = 1 << 20, 40
_LEAST_FILES = 16
"""With fewer inodes left no recording can be begun: it takes several, and so do status.json and the outbox."""
_PROBE_BYTES = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Disk:
    """The disk of a folder. `look` from one thread, the rest from any. `now_s` is monotonic."""

    def __init__(self, folder: Path, reserve: Path, now_s: Callable[[], float] = clock.monotonic_s) -> None:
        self._folder, self._path = folder, reserve
        self._hold = Hold(now_s)
        self._lock = threading.Lock()
        self._full = threading.Event()
        self._held = False
        status = os.statvfs(folder)
        self.device = folder.stat().st_dev
        self.total_bytes = status.f_blocks * status.f_frsize
        # On a disk of some megabytes the reserve must not be most of it.
        self.reserve_bytes = min(RESERVE_BYTES, self.total_bytes // _SHARE)
        self._margin_bytes = min(_MARGIN_BYTES, self.total_bytes // _MARGIN_SHARE)
        self.room_bytes: int | None = None
        """What recordings can still take, the reserve apart; None where the disk does not tell."""
        self.left_bytes = 0
        """What is free, and the reserve where it is held."""
        with suppress(OSError):
            found = os.lstat(reserve)
            self._held = found.st_size == self.reserve_bytes <= found.st_blocks * 512

    @property
    def is_full(self) -> bool:
        """Whether nothing is to be recorded there now."""
        return self._full.is_set()

    @property
    def wanted_bytes(self) -> int:
        """How much room there has to be until recording goes on; 0 while it does."""
        return 2 * self._margin_bytes if self.is_full else 0

    def check(self) -> None:
        """Raises StorageError while the disk is full."""
        if self._full.is_set():
            raise StorageError("the disk is full", hint="recording goes on as soon as there is room")

    def write_failed(self, error: BaseException | None) -> bool:
        """Somebody could not write, and why; whether the disk is full by that."""
        if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
            return False
        with suppress(OSError):
            status = os.statvfs(self._folder)
            if not self.is_full and (status.f_blocks == 0 or self._room(status) > 2 * self._margin_bytes):
                self._hold.begin()
        self._fill(f"nothing more can be written ({error.strerror})")
        return True

    def look(self, *, may_take: bool = True) -> None:
        """See how much room there is: take the reserve, give it up, or take it back. Quick; never raises."""
        try:
            status = os.statvfs(self._folder)
        except OSError as error:
            _log.debug("the disk of %s does not tell how full it is: %s", self._folder, error)
            self.room_bytes = None
            return
        room = self._room(status)
        does_tell = status.f_blocks > 0
        self.room_bytes = room if does_tell else None
        files = status.f_favail if status.f_files > 0 else None
        if not self.is_full:
            if does_tell and room <= self._margin_bytes:
                self._fill("no more than the reserve is left")
            elif files is not None and files < _LEAST_FILES:
                self._fill(f"there is room for no more than {files} files")
            elif may_take:
                self._take()
        elif may_take and (room > 2 * self._margin_bytes or not does_tell) and (files is None or files > _LEAST_FILES):
            self._go_on()

    def _room(self, status: os.statvfs_result) -> int:
        with self._lock:
            left = status.f_bavail * status.f_frsize + (self.reserve_bytes if self._held else 0)
        self.left_bytes = left
        return max(0, left - self.reserve_bytes)

    def _go_on(self) -> None:
        """There is room: the reserve is taken back; where something else kept us from writing, that is tried first."""
        if not self._hold.is_over or not self._take():
            return
        if self._hold.is_set and not self._can_write():
            with self._lock:
                self._give_up()
            self._hold.begin()
            return
        self._hold.end()
        _log.info("there is room on the disk of %s again: recording goes on", self._folder)
        self._full.clear()

    def _can_write(self) -> bool:
        """Whether something can be written beside the reserve: a quota is not seen by a look."""
        probe = self._path.with_name(f"{self._path.name}.probe")
        try:
            self._make(probe, max(2 * self._margin_bytes, _PROBE_BYTES))
        except OSError as error:
            _log.debug("the disk of %s takes nothing yet: %s", self._folder, error)
            return False
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
        return True

    def _fill(self, why: str) -> None:
        with self._lock:
            if not self.is_full:
                _log.error("the disk of %s is full: %s; the reserve is given up", self._folder, why)
            self._full.set()
            self._give_up()

    def _give_up(self) -> None:
        self._held = False
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.error("the reserve %s cannot be given up: %s", self._path, error)

    def _take(self) -> bool:
        """Whether the reserve is there."""
        with self._lock:
            if self._held or not self.reserve_bytes:
                return True
            try:
                self._make(self._path, self.reserve_bytes)
            except OSError as error:
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)
                if error.errno not in _NO_ROOM:
                    _log.warning("no reserve can be kept at %s: %s; the disk has to do without", self._path, error)
                    self.reserve_bytes, self._held = 0, True
                return self._held
            self._held = True
            return True

    @staticmethod
    def _make(path: Path, size_bytes: int) -> None:
        """Never through a link, and never over something else's bytes: the file is made anew."""
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
        finally:
            os.close(descriptor)


class Disks:
    """The disk of the recordings folder, and those of sources whose folders are mounts of their own."""

    def __init__(self, recordings: Path, state: Path, sources: list[str]) -> None:
        self.main = Disk(recordings, state / RESERVE)
        self._all = {self.main.device: self.main}
        self._of: dict[str, Disk] = {}
        for source in sources:
            folder = recordings / source
            try:
                device = folder.stat().st_dev
                if device not in self._all:
                    self._all[device] = Disk(folder, folder / f".{RESERVE}")
            except OSError:
                continue  # it is made when the first file is
            self._of[source] = self._all[device]

    def of(self, source: str) -> Disk:
        """The disk on which a source's recordings lie."""
        return self._of.get(source, self.main)

    @property
    def all(self) -> list[Disk]:
        """Each once, that of the recordings folder first."""
        return list(self._all.values())

    def at(self, device: int) -> Disk | None:
        """The disk of this device."""
        return self._all.get(device)

    def look(self, *, may_take: bool = True) -> None:
        """As Disk.look, at each."""
        for disk in self._all.values():
            disk.look(may_take=may_take)
