"""Builds the index anew, beside the one in use, and puts it in its place in one step."""

import contextlib
import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.errors import IsrError
from archive_api.index.index import Index, make_state_directory
from archive_api.index.store import Store, open_store, remove
from archive_api.recordings.scan import walk

_BESIDE = "reindex.sqlite"
_LOCK = "reindex.lock"


def rebuild(index: Index, progress: Callable[[int, int], None]) -> int:
    """Read everything again; how many recordings there are. `progress` gets files read and files there are.

    Readers see the old index until the very end, and a server that keeps it meanwhile goes on with the new one.
    Raises IsrError.
    """
    folder = index.path.parent
    make_state_directory(folder)
    beside = folder / _BESIDE
    try:
        with _only_one(folder):
            remove(beside)
            try:
                count = _build(index, beside, progress)
                with contextlib.closing(open_store(index.path, index.settings)) as store:
                    store.adopt(beside)
            finally:
                remove(beside)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise IsrError(f"the index cannot be built: {reason}", hint="the one before it is still in use") from error
    return count


def _build(index: Index, beside: Path, progress: Callable[[int, int], None]) -> int:
    there = sum(len(found.audio) + len(found.open_audio) for found in walk(index.recordings, index.hidden))
    read = 0

    def count() -> None:
        nonlocal read
        read += 1
        progress(read, max(read, there))

    with contextlib.closing(Store(beside, index.settings)) as store:
        for _ in index.scanner(store, on_file=count).everything():
            continue
        return store.count()


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise IsrError("another reindex is under way", hint="wait until it has ended") from error
        yield
