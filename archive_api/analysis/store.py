"""Level series of files that have none beside them, in the archive's own state folder. Oldest use goes first."""

import os
import secrets
from pathlib import Path
from typing import NamedTuple

from agent import clock
from agent.archive_format.names import LEVELS, PART
from archive_api.recordings.content import etag

FILES_MOST = 10_000
BYTES_MOST = 1 << 30


class Kept(NamedTuple):
    """A level series, and what of the audio it does not tell itself."""

    path: Path
    sample_rate_hz: int
    samples: int


class LevelStore:
    """Files `<key>_<sample rate>_<samples>.levels.npy`. A damaged or foreign file in the folder does no harm."""

    def __init__(self, folder: Path, files_most: int = FILES_MOST, bytes_most: int = BYTES_MOST) -> None:
        self.folder = folder
        self._files_most, self._bytes_most = files_most, bytes_most

    def find(self, key: str) -> Kept | None:
        """The series of this key, which counts as used now. OSError where the folder cannot be read."""
        for path in self.folder.glob(f"{key}_*{LEVELS}"):
            rate, _, samples = path.name.removesuffix(LEVELS).removeprefix(f"{key}_").partition("_")
            if rate.isdigit() and samples.isdigit():
                os.utime(path, ns=(clock.now().wall_ns, path.stat().st_mtime_ns))
                return Kept(path, int(rate), int(samples))
        return None

    def begin(self) -> Path:
        """A file for a series to be written into, the only one at a time. OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(f"*{LEVELS}{PART}"):  # by a run that was ended
            left.unlink(missing_ok=True)
        path = self.folder / f"{secrets.token_hex(8)}{LEVELS}{PART}"
        path.touch(exist_ok=False)
        return path

    def keep(self, written: Path, key: str, sample_rate_hz: int, samples: int) -> None:
        """Take in what was written, and make room if need be. OSError."""
        os.utime(written, ns=(clock.now().wall_ns,) * 2)
        written.rename(self.folder / f"{key}_{sample_rate_hz}_{samples}{LEVELS}")
        self._make_room()

    def _make_room(self) -> None:
        with os.scandir(self.folder) as entries:
            found = [(entry.stat(), entry.path) for entry in entries if entry.name.endswith(LEVELS)]
        found.sort(key=lambda one: one[0].st_atime_ns, reverse=True)
        total = 0
        for number, (status, path) in enumerate(found, start=1):
            total += status.st_size
            if number > self._files_most or total > self._bytes_most:
                Path(path).unlink(missing_ok=True)


def key_of(name: str, status: os.stat_result) -> str:
    """What stands for the content of a recording: another file, or one that was changed, has another key."""
    return etag("levels", name, status.st_size, status.st_mtime_ns).strip('"')
