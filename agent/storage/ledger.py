"""Keeps the gap ledger of a source on disk."""

import errno
import fcntl
import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

from agent.archive_format.ledger import blanked, ledger_line, open_gap, read_ledger, read_lines, told_until
from agent.archive_format.names import LEDGER
from agent.errors import StorageError
from agent.gaps import filled_lines
from agent.model import Gap, GapLine
from agent.storage.files import append_durably, rename_new, sync_folder, write_all, write_whole
from agent.storage.forgotten import note_forgotten
from agent.storage.plain import LEDGER_BYTES, NotPlainError, is_plain, open_plain, open_plain_to_write, read_plain

_log = logging.getLogger(__name__)
_ASIDE = ".aside"
_HELD = (errno.EBUSY, errno.EPERM, errno.EACCES)
"""Something is mounted there, or it is not ours to move."""
_END_BYTES = 16 << 10
"""Some forty lines."""


def ledger_bytes(recordings: Path, source: str) -> int:
    """How long the ledger of a source is; 0 where there is none. OSError where the disk fails."""
    path = recordings / source / LEDGER
    return path.stat().st_size if is_plain(path) else 0


class Ledger:
    """`<source>/gaps.jsonl`: appended to, and rewritten whole where old gaps are forgotten. A lock on the folder
    keeps the two apart. `told` gets every line once it is safe on disk.

    One gap of a source lasts at a time, so how it stands is at the end of the file; the rest is not read. Only filled
    gaps and corrections may have been told since.

    A pipe, a link or a folder of that name is none of ours: it is moved aside. Where it cannot be, the log says so, and
    lines are told without being written: nothing that lies there keeps a source from recording.
    """

    def __init__(self, recordings: Path, source: str, told: Callable[[GapLine], None] = lambda _line: None) -> None:
        self._path = recordings / source / LEDGER
        self._told = told

    def append(self, *lines: GapLine) -> None:
        """Write lines, durably. Raises StorageError."""
        try:
            with self._locked():
                if self._makes_way():
                    self._blank_torn_end()
                    append_durably(self._path, b"".join(ledger_line(line) for line in lines))
        except (OSError, NotPlainError) as error:
            raise StorageError(f"cannot write the gap ledger: {_why(error)}") from error
        for line in lines:
            self._told(line)

    def complete(self, gaps: Iterable[Gap]) -> None:
        """Append what is not known yet of these gaps, which are over and filled. Raises StorageError."""
        gaps = tuple(gaps)
        known = self._read() if gaps and self._is_ours() else {}
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
            note_forgotten(self._path.parent, before)
            write_whole(self._path, b"".join(kept))
            sync_folder(self._path.parent)
            return gone

    def _is_ours(self) -> bool:
        """Whether what has the name of the ledger may be one; there may be none."""
        return is_plain(self._path) or not os.path.lexists(self._path)

    def _makes_way(self) -> bool:
        """Move what is no ledger out of its place; whether there can be one. OSError where the disk fails."""
        if self._is_ours():
            return True
        shown = f"{self._path.parent.name}/{LEDGER}"
        try:
            for number in count(1):
                aside = self._path.with_name(LEDGER + _ASIDE + (f"-{number}" if number > 1 else ""))
                try:
                    rename_new(self._path, aside)
                except FileExistsError:
                    continue
                break
        except OSError as error:
            if error.errno not in _HELD:
                raise
            _log.error("%s is no regular file, and cannot be moved: what is missing is not written down", shown)
            return False
        _log.warning("%s is no regular file: it is called %s now, and a ledger is begun", shown, aside.name)
        return True

    def torn(self) -> list[tuple[int, int, bytes]]:
        """The lines that power cuts have torn, as (number, where, what); but for the last, that has no end yet. Raises
        OSError, and NotPlainError where that is no ledger."""
        found, at = [], 0
        *lines, _last = read_plain(self._path, LEDGER_BYTES).split(b"\n")
        for number, raw in enumerate(lines, 1):
            if blanked(raw) != raw:
                found.append((number, at, raw))
            at += len(raw) + 1
        return found

    def blank_torn(self) -> list[tuple[int, int, bytes]]:
        """Blank them, durably; which they were. What is cut short is completed by the next time; other lines are not
        touched, and stay where they are: where a line stands tells in which boot it was written. Raises as `torn`."""
        with self._locked():
            found = self.torn()
            if found:
                with open_plain_to_write(self._path) as file:
                    for _, at, raw in found:
                        write_all(file.fileno(), blanked(raw), at)
                    os.fdatasync(file.fileno())
        return found

    def _blank_torn_end(self) -> None:
        """Blank the last line where a power cut has torn it: it gets its end with the next one."""
        if not is_plain(self._path):
            return
        with open_plain_to_write(self._path) as file:
            length = os.fstat(file.fileno()).st_size
            since = max(0, length - _END_BYTES)
            _, newline, end = os.pread(file.fileno(), length - since, since).rpartition(b"\n")
            if blanked(end) != end and (newline or since == 0):
                _log.warning("%s: a line that a power cut has torn is blanked: %r", self._path, end)
                write_all(file.fileno(), blanked(end), length - len(end))

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
        return self._lines(lambda lines: any(map(_is_news, lines))) if self._is_ours() else {}

    def _lines(self, is_enough: Callable[[Iterable[GapLine]], bool]) -> dict[str, GapLine]:
        size = _END_BYTES
        try:
            with open_plain(self._path) as file:
                length = os.fstat(file.fileno()).st_size
                while True:
                    lines = read_ledger(os.pread(file.fileno(), size, max(0, length - size)))
                    if size >= length or is_enough(lines.values()):
                        return lines
                    size *= 4
        except FileNotFoundError:
            return {}
        except (OSError, NotPlainError) as error:
            raise StorageError(f"cannot read the gap ledger: {_why(error)}") from error


def _why(error: OSError | NotPlainError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _is_news(line: GapLine) -> bool:
    """Whether a line tells how the source stood when it was written."""
    return line.gap.corrected is None and not line.gap.filled_samples


def _end(line: GapLine) -> datetime:
    return line.gap.end or line.gap.start
