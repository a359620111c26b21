"""The list of all recordings, newest first, with the fields that the ancestor's users know."""

import json
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.archive_format.times import parse
from archive_api.recordings.durations import duration_s
from archive_api.recordings.live import Live, OpenAudio
from archive_api.recordings.opening import open_inner_file, read_file
from archive_api.recordings.paths import extension_of, plain_name
from archive_api.recordings.scan import Folder, sidecar_of, walk

_SIDECAR_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording. `start` is aware and in local time; `duration_s` is None where it cannot be told."""

    name: str
    size: int
    start: datetime
    duration_s: float | None
    recording: bool

    def as_json(self) -> dict[str, Any]:
        """The ancestor's fields, exactly."""
        return {
            "name": self.name,
            "size": self.size,
            "date": self.start.isoformat(timespec="seconds"),
            "duration": None if self.duration_s is None else round(self.duration_s, 3),
            "ext": extension_of(self.name),
            "recording": self.recording,
        }


@dataclass(frozen=True, slots=True)
class _Told:
    """What a sidecar, or the header of a file without one, tells. `audio` is the file that the sidecar speaks of."""

    audio: str
    start: datetime
    duration_s: float | None
    bytes: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What was told by a file in a certain state; None where it was of no use."""

    mtime_ns: int
    size: int
    told: _Told | None


class Listing:
    """Reads the folder at every call, but each sidecar and each foreign header only when it has changed."""

    def __init__(self, recordings: Path, hidden: Path, zone: ZoneInfo) -> None:
        self._recordings, self._hidden, self._zone = recordings, hidden, zone
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def newest(self, live: Live, limit: int) -> list[Entry]:
        """At most `limit` recordings, newest first; OSError where the recordings folder cannot be read."""
        active = {audio.name: audio for audio in live.open_audio}
        with self._lock:
            seen: dict[str, _Known] = {}
            entries = [
                entry
                for folder in walk(self._recordings, self._hidden)
                for entry in self._entries(folder, active, seen)
            ]
            self._known = seen
        return sorted(entries, key=_age_key, reverse=True)[:limit]

    def _entries(self, folder: Folder, active: dict[str, OpenAudio], seen: dict[str, _Known]) -> Iterator[Entry]:
        finished = set(folder.audio)
        for name in folder.audio:
            entry = self._finished(folder, name, seen)
            if entry is not None:
                yield entry
        for name in folder.open_audio:
            if plain_name(name) in finished:
                continue
            audio = active.get(folder.path(name))
            entry = self._closing(folder, name, seen) if audio is None else self._open(folder, name, audio)
            if entry is not None:
                yield entry

    def _finished(self, folder: Folder, name: str, seen: dict[str, _Known]) -> Entry | None:
        try:
            status = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
        except OSError:
            return None  # deleted since the folder was read
        told = self._sidecar(folder, name, seen)
        if told is None:
            told = self._header(folder, name, status, seen)
        return Entry(folder.path(name), status.st_size, told.start, told.duration_s, recording=False)

    def _open(self, folder: Folder, name: str, audio: OpenAudio) -> Entry:
        start = audio.start.astimezone(self._zone)
        return Entry(folder.path(name), audio.bytes_safe, start, audio.duration_s, recording=True)

    def _closing(self, folder: Folder, name: str, seen: dict[str, _Known]) -> Entry | None:
        """Audio that has its sidecar, but not yet its name."""
        told = self._sidecar(folder, plain_name(name), seen)
        if told is None:
            return None
        return Entry(folder.path(name), told.bytes, told.start, told.duration_s, recording=True)

    def _sidecar(self, folder: Folder, audio: str, seen: dict[str, _Known]) -> _Told | None:
        name = sidecar_of(audio)
        if name not in folder.sidecars:
            return None
        key = folder.path(name)
        known = seen.get(key) or self._known.get(key)
        try:
            status = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
            if known is None or (known.mtime_ns, known.size) != (status.st_mtime_ns, status.st_size):
                found = read_file(folder.descriptor, name, _SIDECAR_MOST_BYTES)
                status = found[1] if found else status
                known = _Known(status.st_mtime_ns, status.st_size, _parse_sidecar(found[0]) if found else None)
        except OSError:
            return None
        seen[key] = known
        return known.told if known.told is not None and known.told.audio == audio else None

    def _header(self, folder: Folder, name: str, status: os.stat_result, seen: dict[str, _Known]) -> _Told:
        """A file without sidecar: it is as old as its last change."""
        key = folder.path(name)
        known = self._known.get(key)
        if known is None or known.told is None or (known.mtime_ns, known.size) != (status.st_mtime_ns, status.st_size):
            start = datetime.fromtimestamp(status.st_mtime_ns // 1_000_000_000, UTC).astimezone(self._zone)
            told = _Told(name, start, _read_duration(folder, name, status.st_size), status.st_size)
            known = _Known(status.st_mtime_ns, status.st_size, told)
        seen[key] = known
        assert known.told is not None
        return known.told


def _age_key(entry: Entry) -> tuple[float, str]:
    """In UTC: Python compares two local times of one zone by the clock on the wall, which shows an hour twice."""
    return entry.start.timestamp(), entry.name


def _parse_sidecar(data: bytes) -> _Told | None:
    """None for JSON that is no sidecar: somebody else's file that happens to lie there."""
    try:
        fields = json.loads(data)
        zone = ZoneInfo(fields["tz"])
        audio = str(fields["file"]).rpartition("/")[2]
        seconds = float(fields["duration_s"])
        if not math.isfinite(seconds):
            return None
        return _Told(audio, parse(fields["start"]).astimezone(zone), seconds, int(fields["bytes"]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, OSError):
        return None


def _read_duration(folder: Folder, name: str, size: int) -> float | None:
    descriptor = open_inner_file(folder.descriptor, name)
    if descriptor is None:
        return None
    try:
        return duration_s(str(extension_of(name)), lambda at, length: os.pread(descriptor, length, at), size)
    except (OSError, OverflowError):
        return None
    finally:
        os.close(descriptor)
