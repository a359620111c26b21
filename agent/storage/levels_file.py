"""The level series of an open segment on disk: grows as `.levels.npy.part`, renamed when the segment closes.

Its rows are worth a decode of the audio, not more: they are written at each sync and made durable only at the end.
"""

import os
from pathlib import Path

from agent.archive_format.levels import HEADER_BYTES, header, row_type
from agent.storage.files import write_all


class LevelsFile:
    """One growing file. OSError where the disk takes nothing."""

    def __init__(self, path: Path, channels: int) -> None:
        self._channels = channels
        self._row_bytes = row_type(channels).itemsize
        self._waiting = bytearray()
        self._rows = 0
        self._file = path.open("xb", buffering=0)
        try:
            write_all(self._file.fileno(), header(channels, 0), 0)
        except BaseException:
            self.close()
            raise

    def add(self, rows: bytes) -> None:
        """Rows to be written by and by."""
        self._waiting += rows

    def write(self) -> None:
        """Write what is waiting, then the header that counts it."""
        if not self._waiting:
            return
        write_all(self._file.fileno(), bytes(self._waiting), HEADER_BYTES + self._rows * self._row_bytes)
        self._rows += len(self._waiting) // self._row_bytes
        self._waiting.clear()
        write_all(self._file.fileno(), header(self._channels, self._rows), 0)

    def sync(self) -> None:
        """Make durable what is written."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()
