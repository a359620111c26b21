"""status.json as the agent left it, and whether the agent still runs."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.archive_format.names import STATUS
from agent.archive_format.status import FRESH_S
from agent.archive_format.times import parse
from archive_api.recordings.opening import open_folder, read_file

_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class OpenAudio:
    """Audio being recorded, as far as it is safe on disk. `name` is the path of the `.part`."""

    name: str
    start: datetime
    bytes_safe: int
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Live:
    """The agent's last word. `status` is {} where there is none; `age_s` counts from when it was written."""

    status: dict[str, Any]
    age_s: float | None

    @property
    def running(self) -> bool:
        """Whether the agent runs. A status from the future is as stale as an old one: somebody set a clock."""
        return self.age_s is not None and abs(self.age_s) <= FRESH_S

    @property
    def active(self) -> list[str]:
        """The `.part` files being written; none where the agent does not run."""
        names = self.status.get("active")
        return [name for name in names if isinstance(name, str)] if self.running and isinstance(names, list) else []

    @property
    def open_audio(self) -> list[OpenAudio]:
        """What is safe on disk of each of them. An entry that is not as it should be is passed over."""
        sources = self.status.get("sources")
        if not self.running or not isinstance(sources, list):
            return []
        found = (_open_audio(source) for source in sources)
        return [audio for audio in found if audio is not None]

    def at(self, now: datetime) -> "Live":
        """The same word at another moment."""
        return _live(self.status, now)

    def as_json(self) -> dict[str, Any]:
        """The status as it was written, with `running` and `age_s`: who looks may have another clock than the box."""
        return {**self.status, "running": self.running, "age_s": self.age_s}


def read_live(recordings: Path, now: datetime) -> Live:
    """The agent's last word; OSError where the recordings folder cannot be read."""
    with open_folder(recordings) as folder:
        found = read_file(folder, STATUS, _MOST_BYTES)
    return parse_live(found[0] if found else b"", now)


class LiveReader:
    """Reads status.json again only when it has been replaced."""

    def __init__(self, recordings: Path) -> None:
        self._recordings = recordings
        self._known: tuple[int, int, int] | None = None
        self._live = Live({}, None)

    def read(self, now: datetime) -> Live:
        """The agent's last word; a folder that cannot be read has none."""
        try:
            with open_folder(self._recordings) as folder:
                status = os.stat(STATUS, dir_fd=folder, follow_symlinks=False)
                identity = (status.st_ino, status.st_mtime_ns, status.st_size)
                if identity != self._known:
                    found = read_file(folder, STATUS, _MOST_BYTES)
                    self._live = parse_live(found[0] if found else b"", now)
                    self._known = identity
        except OSError:
            self._known, self._live = None, Live({}, None)
        return self._live.at(now)


def parse_live(data: bytes, now: datetime) -> Live:
    """What the bytes of status.json say; a file that is none says that the agent does not run."""
    try:
        status = json.loads(data, parse_constant=lambda _word: None)  # NaN is no JSON, and must not be passed on
    except (ValueError, RecursionError):
        return Live({}, None)
    return _live(status, now)


def _live(status: Any, now: datetime) -> Live:  # noqa: ANN401 - JSON of whatever kind
    try:
        return Live(status, round((now - parse(status["ts"])).total_seconds(), 3))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Live({}, None)


def _open_audio(source: Any) -> OpenAudio | None:  # noqa: ANN401 - JSON of whatever kind
    try:
        opened, rate = source["open_segment"], source["format"]["sample_rate_hz"]
        samples = opened["samples_safe"]
        return OpenAudio(
            name=str(opened["file"]),
            start=parse(opened["start"]),
            bytes_safe=int(opened["bytes_safe"]),
            duration_s=samples / rate if rate else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
