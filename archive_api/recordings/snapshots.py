"""Snapshots of audio that is being recorded: its first N bytes as a right file, the same for ever.

The audio after the header never changes once written, and the container tells which bytes of the header have to be
others for N bytes. So a snapshot needs no copy, and can still be made when the file has long been finished.
"""

import os
import struct
import threading
from collections import OrderedDict
from typing import NamedTuple

from agent.codecs import CONTAINERS
from agent.codecs.base import Whole
from agent.errors import CodecError
from archive_api.recordings.view import FileView

_KEPT = 64
_MISFITS = (CodecError, ValueError, LookupError, ArithmeticError, struct.error)
"""What a container raises for a file of another kind, or with fields that mean nothing."""


class NoSnapshotError(Exception):
    """The file is not audio of this program, whatever it is called."""


class _Key(NamedTuple):
    """A file by what it is and is called: an inode's number is used again after the file has gone."""

    device: int
    inode: int
    name: str
    length: int


class Snapshots:
    """Remembers the last few snapshots, so that the many requests of one player walk through the file once only."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, Whole] = OrderedDict()
        self._lock = threading.Lock()

    def newest(self, descriptor: int, name: str, extension: str) -> Whole | None:
        """Everything whole that is in the file now; None where not one unit is. Raises NoSnapshotError.

        `name` is that of the finished audio: it tells two files apart that had one inode after one another.
        """
        whole = _measure(descriptor, extension, os.fstat(descriptor).st_size)
        if whole is not None:
            self._keep(_key(descriptor, name, whole.length), whole)
        return whole

    def at(self, descriptor: int, name: str, extension: str, length: int) -> Whole | None:
        """The snapshot of the first `length` bytes; None where a unit does not end there. Raises NoSnapshotError.

        The file must have as many bytes.
        """
        key = _key(descriptor, name, length)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        whole = _measure(descriptor, extension, length)
        if whole is None or whole.length != length:
            return None
        self._keep(key, whole)
        return whole

    def _keep(self, key: _Key, whole: Whole) -> None:
        with self._lock:
            self._known[key] = whole
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)


def _key(descriptor: int, name: str, length: int) -> _Key:
    status = os.fstat(descriptor)
    return _Key(status.st_dev, status.st_ino, name, length)


def _measure(descriptor: int, extension: str, length: int) -> Whole | None:
    if length == 0:
        return None
    try:
        return CONTAINERS[extension].snapshot(FileView(descriptor, length))
    except _MISFITS as error:
        raise NoSnapshotError(str(error)) from error
