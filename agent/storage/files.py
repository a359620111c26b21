"""Files that are whole or not there: atomic replacement, renames that never replace, a lock for one owner."""

import ctypes
import errno
import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

from agent.errors import LockedError
from agent.storage.plain import open_plain_to_write

_log = logging.getLogger(__name__)
TEMPORARY = ".tmp"
_RENAME_NOREPLACE = 1
_AT_FDCWD = -100
_NO_SUCH_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace `path` in one step; with `durable` it survives a power cut once this returns and the folder is synced."""
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        temporary.unlink(missing_ok=True)  # a link there would be written through
        with temporary.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write every byte at `offset`; a disk that takes only part of them at once is asked again."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]


def append_durably(path: Path, data: bytes) -> None:
    """Append, and return when the data would survive a power cut. A line torn by an earlier one is ended first.

    Raises NotPlainError where that is no regular file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_plain_to_write(path) as file:
        length = os.fstat(file.fileno()).st_size
        if length and os.pread(file.fileno(), 1, length - 1) != b"\n":
            data = b"\n" + data
        write_all(file.fileno(), data, length)
        os.fdatasync(file.fileno())
    if not length:
        sync_folder(path.parent)
        sync_folder(path.parent.parent)


def sync_file(path: Path) -> None:
    """Make a file survive a power cut that was written before."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


_OWN_FOLDERS = "stop it, or give this one its own recording.directory and agent.state_directory"


class FolderLock:
    """Holds a folder for one agent, for as long as the process lives; the kernel lets go whatever happens to it.

    Raises LockedError, which names the process that holds it, and says `hint`.
    """

    def __init__(self, folder: Path, hint: str = _OWN_FOLDERS) -> None:
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
                hint=hint,
            ) from error
        with suppress(OSError):  # on a disk that is full the lock holds without the number that is only told
            os.ftruncate(self._file.fileno(), 0)
            os.write(self._file.fileno(), f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let another agent have the folder."""
        self._file.close()


class HeldFolder:
    """Holds a recordings folder itself, for as long as the process lives, with no file in it: a copy that is repaired
    has no state folder yet, and an agent has to see the repair all the same.

    Raises LockedError where it is held. On file systems without such locks (NFS) nothing is held.
    """

    def __init__(self, folder: Path, hint: str) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise LockedError(f"an agent, or isr-agent repair, is at work in {folder}", hint=hint) from error
        except OSError as error:
            _log.debug("%s cannot be locked: %s", folder, error)

    def release(self) -> None:
        """Let others have the folder."""
        os.close(self._descriptor)
