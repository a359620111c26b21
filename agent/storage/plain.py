"""Reads files that anybody may have put there: regular ones only, through no link, and never waiting for a writer."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

SIDECAR_BYTES = 16 << 20
LEDGER_BYTES = 1 << 30
"""The largest sidecar, and the largest ledger, that is read whole."""

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR)


class NotPlainError(ValueError):
    """What has the name of a file is a link, a pipe, a folder, or too large; the text says so."""


def is_plain(path: Path) -> bool:
    """Whether it is a regular file, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def open_plain(path: Path) -> BinaryIO:
    """A regular file, open for reading. Raises NotPlainError, and OSError where it is not there or cannot be read."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise NotPlainError(f"{path.name} is no regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotPlainError(f"{path.name} is no regular file")
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path, most_bytes: int = SIDECAR_BYTES) -> bytes:
    """The whole of it. Raises as `open_plain`; NotPlainError also where it is larger than `most_bytes`."""
    with open_plain(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise NotPlainError(f"{path.name} has more than {most_bytes} bytes")
    return data
