"""Opens and changes what lies below the recordings folder, and nothing else: folder by folder, following no link."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from agent.storage.files import TEMPORARY, write_all
from agent.storage.plain import NotPlainError, read_plain

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o666
_NONE_OF_OURS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EISDIR)


class NotOursError(Exception):
    """There is no such file of ours; the text says why."""


@contextmanager
def folder_beneath(root: Path, folder: PurePosixPath) -> Iterator[int]:
    """The descriptor of a folder below `root` (which itself may be a link); NotOursError where a link or none is."""
    if folder.is_absolute() or not set(folder.parts).isdisjoint((".", "..")):
        raise NotOursError(f"{folder} does not lie below the recordings folder")
    descriptor = os.open(root, _FOLDER)
    try:
        for part in folder.parts:
            try:
                inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            except OSError as error:
                if error.errno in _NONE_OF_OURS:
                    raise NotOursError(f"{folder} is no folder of ours: {error.strerror}") from error
                raise
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def status_in(folder: int, name: str) -> os.stat_result | None:
    """The status of a regular file in an open folder; None for anything else, a link included."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NONE_OF_OURS:
            return None
        raise
    return status if stat.S_ISREG(status.st_mode) else None


def names_in(folder: int) -> set[str]:
    """The names of what lies in an open folder."""
    with os.scandir(folder) as entries:
        return {one.name for one in entries}


def read_in(folder: int, name: str, most_bytes: int) -> bytes | None:
    """A regular file in an open folder, whole; None where there is none, or it is larger than that."""
    try:
        return read_plain(Path(name), most_bytes, folder=folder)
    except NotPlainError:
        return None
    except OSError as error:
        if error.errno in _NONE_OF_OURS:
            return None
        raise


def replace_in(folder: int, name: str, data: bytes) -> None:
    """Replace a file in an open folder in one step; it survives a power cut once this returns."""
    temporary = name + TEMPORARY
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    descriptor = os.open(temporary, _NEW, _MODE, dir_fd=folder)
    try:
        try:
            write_all(descriptor, data, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)
