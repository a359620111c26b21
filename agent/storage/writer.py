"""Turns the parts of segments into files: `.part`, synced again and again, then renamed when everything is there.

Order at close: audio fsync, sidecar, audio rename, folder fsync. Whatever the moment of a crash, salvage completes it.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.archive_format.names import SegmentName, segment_name
from agent.archive_format.sidecar import encode, segment_json
from agent.archive_format.times import to_ms, to_ns
from agent.codecs import container_for
from agent.codecs.base import Muxer, Patch
from agent.errors import StorageError
from agent.ids import uuid7
from agent.model import (
    Clock,
    Entry,
    FinishedSegment,
    Instant,
    OpenSegment,
    Segment,
    SegmentClose,
    SegmentData,
    SegmentOpen,
    SegmentTitle,
    TitleAt,
)
from agent.storage.files import make_folders, rename_new, sync_folder, write_whole

HASHED_AT_ONCE_BYTES = 32 << 20
_MAP_EVERY = timedelta(minutes=10)
_NAME_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class Origin:
    """What every segment of one source says of where it comes from."""

    agent: str
    source: str
    boot: str
    run: str
    zone: ZoneInfo
    url: str | None = None


class SegmentWriter:
    """The files of one source. `synchronized` tells at each open whether the wall clock can be trusted."""

    def __init__(
        self,
        recordings: Path,
        origin: Origin,
        *,
        pcm_container: str,
        sync_interval_s: float,
        synchronized: Callable[[], bool | None],
    ) -> None:
        self._recordings = recordings
        self._origin = origin
        self._pcm_container = pcm_container
        self._sync_interval_ns = round(sync_interval_s * 1e9)
        self._synchronized = synchronized
        self._file: _OpenFile | None = None
        self._title: str | None = None
        self._synced_ns = 0

    @property
    def open_segment(self) -> OpenSegment | None:
        """What of the open file is safe on disk."""
        return None if self._file is None else self._file.safe

    def push(self, entry: Entry) -> FinishedSegment | None:
        """Write what the entry says; a segment that it completes is the result.

        Raises StorageError; the file so far then stays as a `.part`, and the next SegmentOpen begins a new one.
        """
        try:
            return self._push(entry)
        except OSError as error:
            self.abandon()
            raise StorageError(f"cannot write: {error.strerror or error}") from error

    def tick(self, now: Instant) -> bool:
        """Make everything so far safe on disk if the interval is over; whether it was."""
        if self._file is None or now.boottime_ns - self._synced_ns < self._sync_interval_ns:
            return False
        self._synced_ns = now.boottime_ns
        try:
            self._file.sync()
        except OSError as error:
            self.abandon()
            raise StorageError(f"cannot write: {error.strerror or error}") from error
        return True

    def abandon(self) -> None:
        """Leave the open file as it is, for salvage."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _push(self, entry: Entry) -> FinishedSegment | None:
        match entry:
            case SegmentOpen():
                self._file = self._open(entry)
            case SegmentData():
                if self._file is not None:
                    self._file.add(entry)
                    self.tick(entry.frame.received_at)
            case SegmentTitle():
                self._title = entry.text
                if self._file is not None:
                    self._file.titled(entry)
            case SegmentClose():
                finished = None if self._file is None else self._file.finish(entry)
                self._file = None
                return finished
        return None

    def _open(self, entry: SegmentOpen) -> "_OpenFile":
        muxer = container_for(entry.format, self._pcm_container).muxer(entry.format)
        name = self._free_name(entry.start, muxer.container)
        folder = self._recordings / name.folder
        make_folders(folder, self._recordings)
        titles = () if self._title is None else (TitleAt(self._title, entry.start, 0.0),)
        segment = Segment(
            id=uuid7(to_ns(entry.start) // 1_000_000),
            agent=self._origin.agent,
            source=self._origin.source,
            boot=self._origin.boot,
            run=self._origin.run,
            file=name.audio,
            container=muxer.container,
            format=entry.format,
            start=entry.start,
            end=entry.start,
            tz=self._origin.zone.key,
            samples=0,
            packets=None,
            bytes=0,
            payload_offset=0,
            aligned_start=entry.aligned_start,
            clock=Clock(self._synchronized(), entry.start_boottime_s, None, entry.overlap_s, ((0, entry.start),)),
            gap_before=entry.gap_before,
            titles=titles,
            url=self._origin.url,
        )
        return _OpenFile(self._recordings, name, muxer, segment)

    def _free_name(self, start: datetime, extension: str) -> SegmentName:
        for attempt in range(1, _NAME_ATTEMPTS):
            name = segment_name(self._origin.source, start, self._origin.zone, extension, attempt=attempt)
            if not any((self._recordings / name.folder).glob(f"{name.stem}.*")):
                return name
        raise StorageError(f"{_NAME_ATTEMPTS} files of this name exist: {name.audio}")


class _OpenFile:
    """One file on its way from `.part` to finished."""

    def __init__(self, recordings: Path, name: SegmentName, muxer: Muxer, segment: Segment) -> None:
        self._recordings, self._name, self._muxer = recordings, name, muxer
        self._segment = segment
        self._fed = 0
        self._mapped_at = segment.start
        self._end = segment.start
        self._map = list(segment.clock.map)
        self.safe = OpenSegment(name.audio_part, segment.start, 0, 0)
        self._sidecar_part = recordings / name.sidecar_part
        write_whole(self._sidecar_part, encode(segment_json(segment)))
        self._path = recordings / name.audio_part
        self._file = self._path.open("xb", buffering=0)
        self._size = 0
        try:
            sync_folder(self._path.parent)
            self._append(muxer.head())
        except BaseException:
            self.close()
            raise

    def add(self, data: SegmentData) -> None:
        """Write a frame."""
        self._append(self._muxer.add(data.frame))
        self._fed += data.frame.samples
        self._end = data.end
        if data.end - self._mapped_at >= _MAP_EVERY:
            self._map.append((self._fed, data.end))
            self._mapped_at = data.end

    def titled(self, title: SegmentTitle) -> None:
        """Keep what is on air from here on."""
        offset_s = self._fed / self._segment.format.sample_rate_hz
        if not self._fed:
            self._segment = replace(self._segment, titles=())
        titles = (*self._segment.titles, TitleAt(title.text, title.at, offset_s))
        self._segment = replace(self._segment, titles=titles)

    def sync(self) -> None:
        """Make file and sidecar so far survive a power cut."""
        self._patch(self._muxer.settle())
        os.fdatasync(self._file.fileno())
        self._segment = self._so_far()
        write_whole(self._sidecar_part, encode(segment_json(self._segment)))
        self.safe = OpenSegment(self._name.audio_part, self._segment.start, self._segment.samples, self._size)

    def finish(self, close: SegmentClose) -> FinishedSegment | None:
        """Complete the file; None where not one sample came, and nothing is left of it then."""
        tail, patches = self._muxer.finish()
        self._append(tail)
        self._patch(patches)
        self._end = close.end
        segment = replace(self._so_far(), aligned_end=close.aligned_end, reason=close.reason)
        segment = replace(segment, clock=replace(segment.clock, drift_ppm=close.drift_ppm))
        os.fsync(self._file.fileno())
        self.close()
        if not segment.samples:
            self._path.unlink()
            self._sidecar_part.unlink()
            return None
        return finish_files(self._recordings, self._name, segment)

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()

    def _so_far(self) -> Segment:
        """The segment as the bytes written so far tell it."""
        samples = self._muxer.samples
        end = to_ms(self._end - timedelta(seconds=(self._fed - samples) / self._segment.format.sample_rate_hz))
        pairs = [pair for pair in self._map if pair[0] < samples or pair[0] == 0]
        if samples:
            pairs.append((samples, end))
        return replace(
            self._segment,
            end=end,
            samples=samples,
            packets=self._muxer.packets,
            bytes=self._size,
            payload_offset=self._muxer.payload_offset,
            clock=replace(self._segment.clock, map=tuple(pairs)),
        )

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file.fileno(), view, self._size)
            self._size += written
            view = view[written:]

    def _patch(self, patches: list[Patch]) -> None:
        write_patches(self._file.fileno(), patches)


def write_patches(descriptor: int, patches: list[Patch] | tuple[Patch, ...]) -> None:
    """Lay patches over a file."""
    for patch in patches:
        os.pwrite(descriptor, patch.data, patch.offset)


def finish_files(recordings: Path, name: SegmentName, segment: Segment) -> FinishedSegment:
    """Give a complete and synced `.part` its sidecar and its name."""
    part, audio = recordings / name.audio_part, recordings / name.audio
    if segment.bytes <= HASHED_AT_ONCE_BYTES:
        segment = replace(segment, sha256=_sha256(part))
    write_whole(recordings / name.sidecar, encode(segment_json(segment)))
    rename_new(part, audio)
    (recordings / name.sidecar_part).unlink(missing_ok=True)
    sync_folder(audio.parent)
    return FinishedSegment(segment, audio)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
