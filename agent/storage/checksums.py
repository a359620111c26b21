"""Fills in the checksums of large files after they were closed, a little at a time.

A file of up to 32 MB is read back when it is closed; a larger one would keep the recording thread too long.
"""

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from agent.archive_format.names import SIDECAR
from agent.archive_format.sidecar import encode, segment_from, segment_json
from agent.codecs import CONTAINERS
from agent.model import FinishedSegment
from agent.storage.files import sync_folder, write_whole
from agent.storage.history import newest_day

_log = logging.getLogger(__name__)
_CHUNK_BYTES = 1 << 20


class Checksums:
    """The files that wait for their checksum. `put` from any thread, `step` from one."""

    def __init__(self, recordings: Path, filled: Callable[[FinishedSegment], None]) -> None:
        self._recordings = recordings
        self._filled = filled
        self._waiting: deque[FinishedSegment] = deque()
        self._work: Iterator[None] | None = None

    def put(self, finished: FinishedSegment) -> None:
        """A segment was closed; nothing is to be done where its checksum is known."""
        if finished.segment.sha256 is None:
            self._waiting.append(finished)

    def put_left_over(self, source: str) -> None:
        """What an earlier run did not get done, of the newest day of a source."""
        day = newest_day(self._recordings, source)
        for path in sorted(day.glob(f"*{SIDECAR}")) if day else ():
            try:
                segment = segment_from(json.loads(path.read_bytes()))
            except (OSError, ValueError, KeyError, TypeError) as error:
                _log.warning("%s cannot be read: %s", path.name, error)
                continue
            # Beside its sidecar, whatever that says: nothing outside the folder is ever opened.
            audio = path.with_suffix(f".{segment.container}")
            if segment.container in CONTAINERS and audio.is_file() and not audio.is_symlink():
                self.put(FinishedSegment(segment, audio))

    def step(self) -> bool:
        """Read one MiB; whether there is more to do. Never raises: a file that went away needs no checksum."""
        if self._work is None:
            if not self._waiting:
                return False
            self._work = self._fill(self._waiting.popleft())
        try:
            next(self._work)
        except StopIteration:
            self._work = None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("a checksum could not be filled in: %s", error)
            self._work = None
        return True

    def _fill(self, finished: FinishedSegment) -> Iterator[None]:
        digest = hashlib.sha256()
        with finished.path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                yield
        sidecar = finished.path.with_suffix(SIDECAR)
        # The sidecar on disk counts: it may have been corrected meanwhile.
        known = segment_from(json.loads(sidecar.read_bytes()))
        segment = replace(known, sha256=digest.hexdigest(), rev=known.rev + 1)
        write_whole(sidecar, encode(segment_json(segment)))
        sync_folder(sidecar.parent)
        self._filled(FinishedSegment(segment, finished.path))
