"""What finished audio there is, by name and size, oldest first: kept in memory, so that nobody reads it all again.

Folders are walked once, some hundred files a step; later only those days are looked into to which something came
or from which something went. Not for more than one thread.
"""

import logging
import os
import re
from bisect import bisect_left, insort
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from agent.archive_format.names import AUDIO_SUFFIXES, SIDECAR, name_of, source_of, start_of
from agent.model import Kept, Segment
from agent.storage.beneath import NotOursError, folder_beneath, names_in, status_in
from agent.storage.files import TEMPORARY
from agent.storage.sidecars import read_segment

_log = logging.getLogger(__name__)
_SOURCE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_LEVELS_OF_FOLDERS = (re.compile(r"\d{4}"), re.compile(r"\d\d"), re.compile(r"\d\d"))
_CHANGED_AFTER_NS = 10_000_000_000
"""A sidecar that changed so long after its audio is worth a look: it may tell of protection, or of a deletion."""
_LONGEST_S = 25 * 3600.0
"""A file that was written longer after the start in its name was not dated by the clock that wrote it."""
_AT_ONCE = 100


class Stock:
    """The finished segments below a recordings folder. Read `segments`; do not change it."""

    def __init__(self, recordings: Path) -> None:
        self._recordings = recordings
        self._by_file: dict[str, Kept] = {}
        self._moved: dict[str, Kept] = {}
        self._files: dict[str, set[str]] = {}
        self._days: dict[PurePosixPath, int] = {}
        self._unread: set[PurePosixPath] = set()
        self._half_deleted: list[Kept] = []
        self.segments: list[Kept] = []
        self.bytes: dict[str, int] = {}
        """What each source has."""

    def put(self, kept: Kept) -> None:
        """There is this segment."""
        self.drop(kept.file)
        self._by_file[kept.file] = kept
        if kept.end is not None and kept.start != _named(kept):
            self._moved[kept.file] = kept
        self._files.setdefault(_folder(kept.file), set()).add(kept.file)
        insort(self.segments, kept, key=_order)
        self.bytes[kept.source] = self.bytes.get(kept.source, 0) + kept.bytes

    def drop(self, file: str) -> None:
        """There is no such segment any more, or it is none of ours."""
        kept = self._by_file.pop(file, None)
        self._moved.pop(file, None)
        if kept is not None:
            del self.segments[bisect_left(self.segments, _order(kept), key=_order)]
            self.bytes[kept.source] -= kept.bytes
            self._files[_folder(file)].discard(file)

    def get(self, file: str) -> Kept | None:
        """The segment of this name."""
        return self._by_file.get(file)

    def half_deleted(self) -> list[Kept]:
        """Segments that say they are deleted, and whose audio is still there: as the last walk saw it. Told once."""
        found, self._half_deleted = self._half_deleted, []
        return found

    def between(self, start: datetime, end: datetime) -> list[Kept]:
        """The segments that begin at or after `start` and before `end`."""
        low = bisect_left(self.segments, (start, ""), key=_order)
        return self.segments[low : bisect_left(self.segments, (end, ""), key=_order)]

    def named(self, start: datetime, end: datetime) -> list[Kept]:
        """The segments whose names begin at or after `start` and before `end`."""
        near = [kept for kept in self.between(start, end) if kept.file not in self._moved]
        return near + [kept for kept in self._moved.values() if start <= _named(kept) < end]

    def walk(self) -> Iterator[None]:
        """Bring the list in line with the folders, a little a step."""
        seen: set[PurePosixPath] = set()
        weight = 0
        for day in day_folders(self._recordings):
            seen.add(day)
            weight += 1
            try:
                weight += yield from self._look_into(day)
            except OSError as error:
                if day not in self._unread:
                    _log.warning("the recordings of %s cannot be looked at: %s", day, error)
                self._unread.add(day)
            if weight >= _AT_ONCE:
                weight = 0
                yield
        for gone in self._days.keys() - seen:
            for file in self._of_day(gone):
                self.drop(file)
            del self._days[gone]
            self._files.pop(str(gone), None)

    def _look_into(self, day: PurePosixPath) -> Generator[None, None, int]:
        """How many files there were to look at, of those that did not end a step already."""
        there: set[str] = set()
        try:
            with folder_beneath(self._recordings, day) as folder:
                changed_ns = os.fstat(folder).st_mtime_ns
                if self._days.get(day) == changed_ns:
                    return 0
                known = self._of_day(day)  # before the look: what comes meanwhile is no news to it
                names = names_in(folder)
                for number, audio in enumerate(sorted(name for name in names if _is_audio(name, names))):
                    there.add(str(day / audio))
                    self._see(folder, day, audio, names)
                    if number % _AT_ONCE == _AT_ONCE - 1:
                        yield
        except NotOursError:
            return 0  # removed, or replaced by a link, meanwhile
        for file in known - there:
            self.drop(file)
        self._days[day] = changed_ns
        return len(there) % _AT_ONCE

    def _see(self, folder: int, day: PurePosixPath, audio: str, names: set[str]) -> None:
        stem = audio.rpartition(".")[0]
        if stem + SIDECAR + TEMPORARY in names:  # of a change that a crash cut short: nothing is at work here now
            with suppress(FileNotFoundError):
                os.unlink(stem + SIDECAR + TEMPORARY, dir_fd=folder)
        path = str(day / audio)
        if path not in self._by_file and (kept := self._kept(folder, path, stem)) is not None:
            self.put(kept)

    def _kept(self, folder: int, file: str, stem: str) -> Kept | None:
        name = name_of(PurePosixPath(file))
        if name is None or source_of(name) != name.folder.parts[0]:
            return None
        audio, sidecar = status_in(folder, PurePosixPath(file).name), status_in(folder, stem + SIDECAR)
        if audio is None or sidecar is None:
            return None
        try:
            # By its folder: on an overlay a file tells of another device.
            kept = Kept(start_of(name), file, source_of(name), audio.st_size, disk=os.fstat(folder).st_dev)
        except ValueError:
            return None
        ran_s = audio.st_mtime - kept.start.timestamp()
        if sidecar.st_mtime_ns - audio.st_mtime_ns < _CHANGED_AFTER_NS and -_LONGEST_S < ran_s < _LONGEST_S:
            return kept
        try:
            segment = read_segment(folder, name)
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - whatever is wrong with one: found out, and told, if it is to be deleted
            return kept
        if segment.deleted is not None:
            self._half_deleted.append(kept)
            return None
        return told_by(kept, segment)

    def _of_day(self, day: PurePosixPath) -> set[str]:
        """What is known of the folder of a day."""
        return set(self._files.get(str(day), ()))


def told_by(kept: Kept, segment: Segment) -> Kept:
    """The same with what its sidecar tells. The time in the name is that of the clock that recorded it."""
    start = kept.start if segment.clock.corrected is None else segment.start
    dated = segment.clock.synchronized is not False
    return replace(kept, start=start, end=segment.end, dated=dated, protected=segment.protected)


def day_folders(recordings: Path) -> Iterator[PurePosixPath]:
    """The folders of all days of all sources, those of each source oldest first; links are passed over."""
    for source in _inner(recordings, PurePosixPath(), _SOURCE):
        for year in _inner(recordings, source, _LEVELS_OF_FOLDERS[0]):
            for month in _inner(recordings, year, _LEVELS_OF_FOLDERS[1]):
                yield from _inner(recordings, month, _LEVELS_OF_FOLDERS[2])


def _inner(recordings: Path, folder: PurePosixPath, wanted: re.Pattern[str]) -> list[PurePosixPath]:
    try:
        with folder_beneath(recordings, folder) as descriptor, os.scandir(descriptor) as entries:
            names = [one.name for one in entries if wanted.fullmatch(one.name) and one.is_dir(follow_symlinks=False)]
    except NotOursError:
        return []
    return [folder / name for name in sorted(names)]


def _is_audio(name: str, names: set[str]) -> bool:
    """Whether it is finished audio beside a sidecar."""
    stem, dot, extension = name.rpartition(".")
    return dot + extension in AUDIO_SUFFIXES and stem + SIDECAR in names


def _named(kept: Kept) -> datetime:
    name = name_of(PurePosixPath(kept.file))
    return kept.start if name is None else start_of(name)


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def _order(kept: Kept) -> tuple[datetime, str]:
    return kept.start, kept.file
