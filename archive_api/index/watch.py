"""Tells which folders have changed, through the kernel's inotify(7). Names in them are for the scanner to find out."""

import ctypes
import errno
import os
import select
import struct
from typing import Self

from agent.archive_format.names import LEDGER, PART, SIDECAR, STATUS
from agent.clock import monotonic_s
from archive_api.recordings.paths import extension_of

_ADDED, _WRITTEN, _DATED, _TAKEN_OUT, _PUT_IN, _DELETED = 0x100, 0x8, 0x4, 0x40, 0x80, 0x200
_IS_FOLDER, _ONLY_FOLDERS, _OVERFLOW, _UNMOUNTED, _IGNORED = 0x40000000, 0x01000000, 0x4000, 0x2000, 0x8000
_MASK = _ADDED | _WRITTEN | _DATED | _TAKEN_OUT | _PUT_IN | _DELETED | _ONLY_FOLDERS
_HEAD = struct.Struct("iIII")
_READ_BYTES = 1 << 16
_SETTLE_S = 0.1
"""How long to collect after the first word: closing a segment is five of them."""


class Changes:
    """Folders that changed, by path. With `all` some word was lost, or the folder itself went."""

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.all = False

    def __bool__(self) -> bool:
        return self.all or bool(self.folders)


class Watcher:
    """Watches folders that it is given. Raises OSError where the kernel offers no notifications."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._paths: dict[int, str] = {}
        self._inotify = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._inotify < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._inotify)

    def add(self, folder: str, descriptor: int) -> None:
        """Watch an open folder. Raises OSError where the kernel's limit of watches is reached.

        A folder that is watched already, perhaps by an older name, goes by this one from now on.
        """
        target = os.fsencode(f"/proc/self/fd/{descriptor}")  # this very folder, whatever its name leads to by now
        number = self._libc.inotify_add_watch(self._inotify, target, _MASK)
        if number < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._paths[number] = folder

    def wait(self, timeout_s: float, wake: int) -> Changes:
        """The next changes; none after `timeout_s`, or when something can be read from the descriptor `wake`."""
        changes = Changes()
        poll = select.poll()
        poll.register(self._inotify, select.POLLIN)
        poll.register(wake, select.POLLIN)
        until_s = monotonic_s() + timeout_s
        is_settling = False
        while ready := poll.poll(max(0.0, (until_s - monotonic_s()) * 1000)):
            if any(descriptor == wake for descriptor, _ in ready):
                break
            self._read(changes)
            if changes and not is_settling:
                is_settling = True
                until_s = min(until_s, monotonic_s() + _SETTLE_S)
        return changes

    def _read(self, changes: Changes) -> None:
        try:
            data = os.read(self._inotify, _READ_BYTES)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            return
        at = 0
        while at < len(data):
            number, mask, _cookie, length = _HEAD.unpack_from(data, at)
            name = os.fsdecode(data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0"))
            at += _HEAD.size + length
            self._take(number, mask, name, changes)

    def _take(self, number: int, mask: int, name: str, changes: Changes) -> None:
        if mask & (_OVERFLOW | _UNMOUNTED):
            changes.all = True
        elif mask & _IGNORED:
            self._paths.pop(number, None)
        elif number in self._paths and (mask & _IS_FOLDER or matters(name)):
            changes.folders.add(self._paths[number])


def matters(name: str) -> bool:
    """Whether a change of a file of this name can change the index: not what grows while it is recorded."""
    if name == LEDGER:
        return True
    return extension_of(name) is not None or (name.endswith(SIDECAR) and name != STATUS and not name.endswith(PART))
