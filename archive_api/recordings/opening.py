"""Opens what lies below the recordings folder, and nothing else: component by component, following no link."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from archive_api.recordings.paths import Parts

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
NOT_THERE = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.EPERM,
    errno.ENXIO,
    errno.EINVAL,
)
"""Errors that mean: no such recording for us. (ENXIO is a socket; O_NONBLOCK keeps a FIFO from holding us up.)"""


@contextlib.contextmanager
def open_folder(root: Path, parts: Parts = ()) -> Iterator[int]:
    """The descriptor of a folder below `root` (which itself may be a link); OSError where there is none."""
    descriptor = os.open(root, _FOLDER)
    try:
        for part in parts:
            inner = open_inner_folder(descriptor, part)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def open_inner_folder(folder: int, name: str) -> int:
    """The descriptor of a folder in an open folder; OSError where it is none, or a link."""
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)


def open_inner_file(folder: int, name: str) -> int | None:
    """The descriptor of a regular file in an open folder; None where there is none that may be read.

    Nothing else is opened: that alone sets some devices going.
    """
    if stat_file(folder, name) is None:
        return None
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def stat_file(folder: int, name: str) -> os.stat_result | None:
    """The status of a regular file in an open folder; None where there is none."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise
    return status if stat.S_ISREG(status.st_mode) else None


def open_file(root: Path, parts: Parts) -> int | None:
    """The descriptor of a regular file below `root`; None where there is none that may be read.

    Raises OSError for trouble that is not the path's (no descriptors left, a broken disk).
    """
    try:
        with open_folder(root, parts[:-1]) as folder:
            return open_inner_file(folder, parts[-1])
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise


def read_file(folder: int, name: str, most_bytes: int) -> tuple[bytes, os.stat_result] | None:
    """A regular file in an open folder, whole, with its status; None where there is none or it is larger."""
    descriptor = open_inner_file(folder, name)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_size > most_bytes:
            return None
        return file.read(most_bytes), status
