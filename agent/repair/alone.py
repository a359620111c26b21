"""Keeps agents and repairs out of each other's way."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from agent.archive_format.names import STATE_DIRECTORY, STATUS
from agent.errors import LockedError
from agent.storage.files import FolderLock, HeldFolder
from agent.storage.plain import read_plain
from agent.verify.places import Group
from agent.verify.run import running_sources

_HINT = "stop the agent first; at its next start it finishes everything by itself"
_SILENT_S = 600.0
"""An agent writes to what it records every few seconds."""


@contextmanager
def alone(recordings: list[Path], now: datetime) -> Iterator[None]:
    """Keeps agents away from these folders meanwhile. Raises LockedError where one is there."""
    locks: list[FolderLock | HeldFolder] = []
    try:
        for folder in recordings:
            state = folder / STATE_DIRECTORY
            if state.is_dir():  # every agent makes one; a copied folder may have none
                locks.append(FolderLock(state, _HINT))
            elif running_sources(folder, now):
                pid = json.loads(read_plain(folder / STATUS)).get("pid", "unknown")
                raise LockedError(f"an agent (process {pid}) records into {folder}", hint=_HINT)
            locks.append(HeldFolder(folder, _HINT))
        yield
    finally:
        for lock in locks:
            lock.release()


def may_be_recorded_now(group: Group, part: Path, now: datetime) -> bool:
    """Whether an agent may be at work on a `.part` whose lock is elsewhere: the folder is mounted, or linked."""
    if group.is_in_place and (group.recordings / STATE_DIRECTORY).is_dir():
        return False  # its lock is ours
    return part.stat().st_mtime > now.timestamp() - _SILENT_S
