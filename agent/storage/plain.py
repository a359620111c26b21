"""Opens files that anybody may have put there: regular ones only, through no link, and never waiting for a writer."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

SIDECAR_BYTES = 16 << 20
LEDGER_BYTES = 1 << 30
"""The largest sidecar, and the largest ledger, that is read whole."""

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TO_WRITE = os.O_RDWR | os.O_CREAT
_MODE = 0o666
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR)


class NotPlainError(ValueError):
    """What has the name of a file is a link, a pipe, a folder, or too large; the text says so."""


def is_plain(path: Path) -> bool:
    """Whether it is a regular file, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def open_plain(path: Path, *, folder: int | None = None) -> BinaryIO:
    """A regular file, open for reading; a name in the open `folder`, where one is given.

    Raises NotPlainError, and OSError where it is not there or cannot be read.
    """
    return os.fdopen(_opened(path, os.O_RDONLY, folder), "rb")


def open_plain_to_write(path: Path) -> BinaryIO:
    """A regular file, made where there is none, open for reading and writing anywhere in it. Raises as `open_plain`."""
    return os.fdopen(_opened(path, _TO_WRITE, None), "rb+", buffering=0)


def read_plain(path: Path, most_bytes: int = SIDECAR_BYTES, *, folder: int | None = None) -> bytes:
    """The whole of it. Raises as `open_plain`; NotPlainError also where it is larger than `most_bytes`."""
    with open_plain(path, folder=folder) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise NotPlainError(f"{path.name} has more than {most_bytes} bytes")
    return data


def _opened(path: Path, flags: int, folder: int | None) -> int:
    """The descriptor of a regular file. Nothing else is opened: that alone sets some devices going."""
    try:
        is_file = stat.S_ISREG(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        is_file = True  # where it may be made, it will be one
    if not is_file:
        raise NotPlainError(f"{path.name} is no regular file")
    try:
        descriptor = os.open(path, flags | _SAFE, _MODE, dir_fd=folder)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise NotPlainError(f"{path.name} is no regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotPlainError(f"{path.name} is no regular file")
    return descriptor
