"""Keeps the gap ledger of a source on disk."""

import fcntl
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from agent.archive_format.ledger import ledger_line, open_gap, read_ledger, read_lines, told_until
from agent.archive_format.names import LEDGER
from agent.errors import StorageError
from agent.gaps import filled_lines
from agent.model import Gap, GapLine
from agent.storage.files import append_durably, sync_folder, write_whole

_END_BYTES = 16 << 10
"""Some forty lines."""


class Ledger:
    """`<source>/gaps.jsonl`: appended to, and rewritten whole where old gaps are forgotten. A lock on the folder
    keeps the two apart. `told` gets every line once it is safe on disk.


    One gap of a source lasts at a time, so how it stands is at the end of the file; the rest is not read.
    """

    def __init__(self, recordings: Path, source: str, told: Callable[[GapLine], None] = lambda _line: None) -> None:
        self._path = recordings / source / LEDGER
        self._told = told

    def append(self, *lines: GapLine) -> None:
        """Write lines, durably. Raises StorageError."""
        try:
            with self._locked():
                append_durably(self._path, b"".join(ledger_line(line) for line in lines))
        except OSError as error:
            raise StorageError(f"cannot write the gap ledger: {error.strerror or error}") from error
        for line in lines:
            self._told(line)

    def complete(self, gaps: Iterable[Gap]) -> None:
        """Append what is not known yet of these gaps, which are over and filled. Raises StorageError."""
        gaps = tuple(gaps)
        known = self._read() if gaps else {}
        lines = []
        for gap in gaps:
            told = known.get(gap.id)
            # Of one whose first line was the last that could be written, only its end is to be told.
            lines += [line for line in filled_lines(gap) if told is None or (told.at != "end" and line.at == "end")]
        if lines:
            self.append(*lines)

    def open_gap(self) -> Gap | None:
        """The gap that has begun and not ended, if there is one."""
        return open_gap(self._newest())

    def told_until(self) -> datetime | None:
        """The midnight up to which that gap has been told."""
        return told_until(self._newest())

    def last_end(self) -> datetime | None:
        """When the newest of the gaps ended, and audio began; None where none has."""
        ends = [line.gap.end for line in self._newest().values() if line.at == "end" and line.gap.end is not None]
        return max(ends, default=None)

    def forget(self, before: datetime) -> list[tuple[int, int]]:
        """Leave out the gaps that ended before that, in one step; which bytes went, as (where, how many), in order.

        A gap that lasts stays, and so does the newest that ended: it tells where audio began. What stays is not
        touched: where a line stands tells in which boot it was written. OSError where the disk fails.
        """
        if not self._path.exists():
            return []
        with self._locked():
            known = self._read()
            newest = max((line for line in known.values() if line.at == "end"), key=_end, default=None)
            ended = [line for line in known.values() if line.at == "end" and line is not newest]
            old = {line.gap.id for line in ended if _end(line) < before}
            if not old:
                return []
            kept: list[bytes] = []
            gone: list[tuple[int, int]] = []
            at = 0
            for raw in io.BytesIO(self._path.read_bytes()):
                if any(line.gap.id not in old for line in read_lines(raw)):
                    kept.append(raw)
                else:
                    gone.append((at, len(raw)))
                at += len(raw)
            write_whole(self._path, b"".join(kept))
            sync_folder(self._path.parent)
            return gone

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Held on the folder, because the file itself is replaced."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, GapLine]:
        """All gaps."""
        return self._lines(lambda _lines: False)

    def _newest(self) -> dict[str, GapLine]:
        """The gaps that the end of the file tells of: from one on that was written when it began or ended."""
        return self._lines(lambda lines: any(line.gap.corrected is None for line in lines))

    def _lines(self, is_enough: Callable[[Iterable[GapLine]], bool]) -> dict[str, GapLine]:
        size = _END_BYTES
        try:
            with self._path.open("rb") as file:
                length = os.fstat(file.fileno()).st_size
                while True:
                    lines = read_ledger(os.pread(file.fileno(), size, max(0, length - size)))
                    if size >= length or is_enough(lines.values()):
                        return lines
                    size *= 4
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StorageError(f"cannot read the gap ledger: {error.strerror or error}") from error


def _end(line: GapLine) -> datetime:
    return line.gap.end or line.gap.start
