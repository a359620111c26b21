"""Fills in the checksums of large files after they were closed, a little at a time.

A file of up to 32 MB is read back when it is closed; a larger one would keep the recording thread too long.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from agent.codecs import CONTAINERS
from agent.model import FinishedSegment
from agent.storage.beneath import NotOursError
from agent.storage.history import newest_day, segment_of, sidecars_in
from agent.storage.plain import NotPlainError, is_plain, open_plain
from agent.storage.sidecars import Sidecars

_log = logging.getLogger(__name__)
_CHUNK_BYTES = 1 << 20


class Checksums:
    """The files that wait for their checksum. `put` from any thread, `step` from one."""

    def __init__(self, recordings: Path, sidecars: Sidecars) -> None:
        self._recordings, self._sidecars = recordings, sidecars
        self._waiting: deque[FinishedSegment] = deque()
        self._work: Iterator[None] | None = None

    def put(self, finished: FinishedSegment) -> None:
        """A segment was closed; nothing is to be done where its checksum is known."""
        if finished.segment.sha256 is None:
            self._waiting.append(finished)

    def put_left_over(self, source: str) -> None:
        """What an earlier run did not get done, of the newest day of a source."""
        day = newest_day(self._recordings, source)
        for path in sidecars_in(day, source) if day else ():
            segment = segment_of(path)
            if segment is None or segment.container not in CONTAINERS:
                continue
            # Beside its sidecar, whatever that says: nothing outside the folder is ever opened.
            audio = path.with_suffix(f".{segment.container}")
            # A sidecar that was copied speaks of another file, and what is found out is written beside that one.
            if segment.file == audio.relative_to(self._recordings).as_posix() and is_plain(audio):
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
        except (OSError, NotOursError, NotPlainError) as error:
            _log.warning("a checksum could not be filled in: %s", error)
            self._work = None
        return True

    def _fill(self, finished: FinishedSegment) -> Iterator[None]:
        digest = hashlib.sha256()
        with open_plain(finished.path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                yield
        # The sidecar on disk counts: it may have been corrected meanwhile.
        self._sidecars.change(finished.segment.file, lambda known: replace(known, sha256=digest.hexdigest()))
