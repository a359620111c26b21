"""Whether deleting for free space gives any: not where a hard link, a snapshot or an open reader keeps the bytes."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agent.model import Kept
from agent.storage.beneath import NotOursError, folder_beneath, status_in

_log = logging.getLogger(__name__)
_WAIT_S = 600.0
_JUDGED_BYTES, _JUDGED_FILES = 1 << 20, 4
"""What is written beside it meanwhile must not decide."""
_AT_ONCE = 100


@dataclass(slots=True)
class _Tried:
    files: int = 0
    bytes: int = 0
    came_bytes: int = 0
    wait_until_s: float = float("-inf")
    enough_bytes: int = 0


class Gain:
    """Of all disks below a recordings folder. `now_s` is monotonic. Not for more than one thread."""

    def __init__(self, recordings: Path, now_s: Callable[[], float]) -> None:
        self._recordings, self._now_s = recordings, now_s
        self._tried: dict[int, _Tried] = {}
        self._is_searched = False
        self.linked: set[str] = set()
        """Files that have another name somewhere, so that to delete them frees nothing."""

    def forget_linked(self) -> None:
        """Look again: what is linked now may be so no more."""
        self._is_searched = False
        self.linked.clear()

    def is_linked(self, kept: Kept) -> bool:
        """Whether the file has another name; it is remembered."""
        path = PurePosixPath(kept.file)
        try:
            with folder_beneath(self._recordings, path.parent) as folder:
                status = status_in(folder, path.name)
        except (OSError, NotOursError):
            return False  # told when it is to be deleted
        if status is None or status.st_nlink < 2:
            return False
        self.linked.add(kept.file)
        return True

    def search(self, segments: Iterable[Kept]) -> Iterator[None]:
        """Find all that are linked, a few a step: where one is, many are. Only once until `forget_linked`."""
        if self._is_searched:
            return
        self._is_searched = True
        for number, kept in enumerate(list(segments)):
            self.is_linked(kept)
            if number % _AT_ONCE == _AT_ONCE - 1:
                yield

    def waits(self, device: int, left_bytes: int) -> bool:
        """Whether nothing is to be deleted for room there now, because that gave none; `left_bytes` is what is left."""
        tried = self._tried.get(device)
        if tried is not None and left_bytes >= tried.enough_bytes:
            tried.wait_until_s = float("-inf")  # the room has come: some disks take their time
        return tried is not None and self._now_s() < tried.wait_until_s

    def deleted(self, kept: Kept, before_bytes: int, after_bytes: int) -> None:
        """One was deleted for room, and what was left on its disk before and after that."""
        tried = self._tried.setdefault(kept.disk, _Tried())
        tried.files, tried.bytes = tried.files + 1, tried.bytes + kept.bytes
        tried.came_bytes += after_bytes - before_bytes
        if tried.bytes < _JUDGED_BYTES and tried.files < _JUDGED_FILES:
            return
        if 2 * tried.came_bytes < tried.bytes:
            tried.wait_until_s = self._now_s() + _WAIT_S
            tried.enough_bytes = after_bytes - tried.came_bytes + tried.bytes // 2
            text = "%d bytes were deleted and no room came of it (a snapshot, or a program that reads them?); %s"
            _log.error(text, tried.bytes, f"min_free deletes nothing more for {_WAIT_S / 60:.0f} minutes")
        tried.files = tried.bytes = tried.came_bytes = 0
