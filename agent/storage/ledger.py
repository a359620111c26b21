"""Keeps the gap ledger of a source on disk."""

from datetime import datetime
from pathlib import Path

from agent.archive_format.ledger import ledger_line, open_gap, read_ledger
from agent.archive_format.names import LEDGER
from agent.errors import StorageError
from agent.model import Gap, GapLine
from agent.storage.files import append_durably


class Ledger:
    """`<source>/gaps.jsonl`; only ever appended to."""

    def __init__(self, recordings: Path, source: str) -> None:
        self._path = recordings / source / LEDGER

    def append(self, line: GapLine) -> None:
        """Write one line, durably. Raises StorageError."""
        try:
            append_durably(self._path, ledger_line(line))
        except OSError as error:
            raise StorageError(f"cannot write the gap ledger: {error.strerror or error}") from error

    def open_gap(self) -> Gap | None:
        """The gap that has begun and not ended, if there is one."""
        return open_gap(self._read())

    def last_end(self) -> datetime | None:
        """When the last of the gaps ended, and audio began; None where none has."""
        ends = [line.gap.end for line in self._read().values() if line.at == "end" and line.gap.end is not None]
        return max(ends, default=None)

    def _read(self) -> dict[str, GapLine]:
        try:
            return read_ledger(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StorageError(f"cannot read the gap ledger: {error.strerror or error}") from error
