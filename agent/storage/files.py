"""Files that are whole or not there: atomic replacement, renames that never replace, a lock for one owner."""

import ctypes
import errno
import fcntl
import os
from pathlib import Path

from agent.errors import LockedError

TEMPORARY = ".tmp"
_RENAME_NOREPLACE = 1
_AT_FDCWD = -100
_NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace `path` in one step; with `durable` it survives a power cut once this returns and the folder is synced."""
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def append_durably(path: Path, data: bytes) -> None:
    """Append, and return when the data would survive a power cut. A line torn by an earlier one is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
            data = b"\n" + data
        file.write(data)
        file.flush()
        os.fdatasync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: Path, root: Path) -> None:
    """Create `path` below `root`, durably."""
    missing = [folder for folder in (path, *path.parents) if folder.is_relative_to(root) and not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        if folder.parent.exists():
            sync_folder(folder.parent)


def rename_new(source: Path, target: Path) -> None:
    """Rename; FileExistsError, and nothing changed, where `target` is there already.

    renameat2(2) does it in one step; on file systems without it a hard link does, and where there are none (FAT)
    looking first has to be enough.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
    if result == 0:
        return
    code = ctypes.get_errno()
    if code not in _NO_SUCH_CALL:
        raise OSError(code, os.strerror(code), str(target))
    try:
        os.link(source, target)
    except FileExistsError:
        if not target.samefile(source):
            raise
        source.unlink()  # a crash came between the two steps
    except OSError as error:
        if error.errno not in (*_NO_SUCH_CALL, errno.EPERM):
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        source.rename(target)
    else:
        source.unlink()


class FolderLock:
    """Holds a folder for one agent, for as long as the process lives; the kernel lets go whatever happens to it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise LockedError(
                f"another agent (process {owner}) already uses {folder}",
                hint="stop it, or give this one its own recording.directory and agent.state_directory",
            ) from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let another agent have the folder."""
        self._file.close()
