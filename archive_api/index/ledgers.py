"""Follows the gap ledgers: what has been appended since the last look is read, and nothing else."""

import hashlib
import os

from agent.archive_format.ledger import read_lines
from agent.archive_format.names import LEDGER
from archive_api.index.gap_row import gap_row
from archive_api.index.store import Store
from archive_api.recordings.opening import open_inner_file, stat_file

_PORTION_BYTES = 256 << 10
_BEFORE_BYTES = 4 << 10
"""Some ten lines, each with an id of its own: no other ledger has the same ones in the same place."""


def follow(store: Store, folder: str, descriptor: int, agent: str) -> None:
    """Bring the gaps of the source whose open folder this is in line with its ledger. Raises OSError.

    A line without its end is left for later: it is being written, or torn, and the next one ends it then. What stands
    before the place that was reached tells another ledger from this one, longer: inodes are used again.
    """
    known = store.ledger(folder)
    file = open_inner_file(descriptor, LEDGER)
    if file is None:
        if known is not None:
            with store.writing():
                store.drop_ledger(folder)
        return
    try:
        status = os.fstat(file)
        inode, at, before = known or (None, 0, "")
        if inode != status.st_ino or at > status.st_size or before != _before(file, at):
            at = 0
            with store.writing():
                store.drop_ledger(folder)
                store.keep_ledger(folder, agent, status.st_ino, at, _before(file, at))
        while True:
            data = os.pread(file, _PORTION_BYTES, at)
            whole = data.rfind(b"\n") + 1
            if not whole:
                if len(data) < _PORTION_BYTES:
                    return
                whole = len(data)  # no line of ours is that long
            lines = [line for line in read_lines(data[:whole]) if line.gap.source == folder]
            at += whole
            with store.writing():
                store.put_gaps(folder, [row for line in lines if (row := gap_row(line, agent)) is not None])
                store.keep_ledger(folder, agent, status.st_ino, at, _before(file, at))
    finally:
        os.close(file)


def _before(file: int, at: int) -> str:
    """A digest of what stands before a place in an open ledger."""
    length = min(at, _BEFORE_BYTES)
    return hashlib.blake2b(os.pread(file, length, at - length), digest_size=16).hexdigest()


def looks_of(descriptor: int) -> str:
    """What tells a ledger in an open folder from itself with another line in it; its folder does not show that."""
    status = stat_file(descriptor, LEDGER)
    return "" if status is None else f":{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
