"""Turns the parts of segments into files: `.part`, synced again and again, then renamed when everything is there.

The caller writes; what has to wait for the disk is done in order by a thread of the source's own (syncs.py), so that a
slow disk delays nobody who listens.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.archive_format.names import SegmentName, segment_name
from agent.archive_format.times import to_ns
from agent.codecs import container_for
from agent.errors import StorageError
from agent.ids import uuid7
from agent.loudness.listener import SEGMENTS_KNOWN
from agent.model import (
    Clock,
    Entry,
    FinishedSegment,
    Gap,
    Heard,
    Instant,
    OpenSegment,
    Place,
    RunStarted,
    Segment,
    SegmentBroken,
    SegmentClose,
    SegmentData,
    SegmentEvents,
    SegmentGap,
    SegmentLevels,
    SegmentOpen,
    SegmentTitle,
    SoundEvent,
    TitleAt,
)
from agent.storage.files import make_folders
from agent.storage.open_file import OpenFile
from agent.storage.syncs import Syncs

_NAME_ATTEMPTS = 1000
_WAITING_MOST = 16
"""So many jobs wait for a disk that hangs; then the audio waits in the queue, which counts what it loses."""


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
    """The files of one source. `synchronized` tells whether the wall clock can be trusted: it is asked at each open, at
    each sync and at each close."""

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
        self._file: OpenFile | None = None
        self._title: str | None = None
        self._url = origin.url
        self._synced_ns = 0
        self._syncs: Syncs[FinishedSegment] = Syncs(origin.source)
        self._complete: list[FinishedSegment] = []
        self._filled: deque[tuple[OpenFile, int, Gap]] = deque()
        self._opened: deque[tuple[str, str]] = deque(maxlen=SEGMENTS_KNOWN)

    @property
    def open_segment(self) -> OpenSegment | None:
        """What of the open file is safe on disk."""
        return None if self._file is None else self._file.safe

    def run_started(self, run: RunStarted) -> None:
        """The next segment is of this run: of its address, and without a title until one is told."""
        self._title, self._url = None, run.url or self._origin.url

    def push(self, entry: Entry) -> None:
        """Write what the entry says.

        Raises StorageError; the file so far then stays as a `.part`, and the next SegmentOpen begins a new one.
        """
        with self._abandoning():
            self._push(entry)

    def finished(self) -> list[FinishedSegment]:
        """Segments that have become complete on disk since this was asked last. Raises StorageError as `push` does, for
        what could not be completed."""
        with self._abandoning():
            self._complete.extend(self._syncs.done())
        complete, self._complete = self._complete, []
        return complete

    def filled(self) -> Iterator[Gap]:
        """Gaps inside of files that have become safe on disk, with what stands in their place, since this was asked
        last."""
        while self._filled:
            file, samples, gap = self._filled[0]
            if file.safe.samples_safe < samples:
                return
            self._filled.popleft()
            yield gap

    def settle(self) -> None:
        """Wait until everything is on disk that has been written."""
        self._syncs.settle()

    def place(self, heard: Heard) -> SoundEvent:
        """The event with the file in which it can be heard; without one where that was too long ago."""
        if heard.segments_back >= len(self._opened):
            return heard.event
        identifier, file = self._opened[-1 - heard.segments_back]
        return replace(heard.event, place=Place(identifier, file, heard.offset_s))

    def tick(self, now: Instant) -> None:
        """Write what has come together, and have it made safe on disk if the interval is over. As `push`."""
        with self._abandoning():
            if self._file is None:
                return
            if self._is_due(now):
                self._sync()
            else:
                self._file.flush()

    def abandon(self) -> None:
        """Leave the open file as it is, for salvage."""
        file, self._file = self._file, None
        self._filled.clear()
        self._syncs.settle()
        if file is not None:
            file.leave()
        self._complete.extend(self._syncs.done_well())

    def end(self) -> None:
        """Let the thread end; nothing can be written any more."""
        self._syncs.end()

    @contextmanager
    def _abandoning(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.abandon()
            raise StorageError(f"cannot write: {error.strerror or error}") from error

    def _is_due(self, now: Instant) -> bool:
        """Whether the interval is over; the next begins then."""
        if now.boottime_ns - self._synced_ns < self._sync_interval_ns:
            return False
        self._synced_ns = now.boottime_ns
        return True

    def _push(self, entry: Entry) -> None:
        match entry:
            case SegmentOpen():
                self._file = self._open(entry)
                self._syncs.put(self._file.opening())
            case SegmentData() if self._file is not None:
                self._file.add(entry)
                if self._is_due(entry.frame.received_at):
                    self._sync()
            case SegmentTitle():
                self._title = entry.text
                if self._file is not None:
                    self._file.titled(entry)
            case SegmentGap() if self._file is not None:
                self._filled.append((self._file, self._file.filled(entry.gap), entry.gap))
                # Told before the first of its silence is written: what a kill leaves is never silence without a gap.
                self._syncs.settle()
                self._sync()
                self._syncs.settle()
            case SegmentBroken() if self._file is not None:
                self._file.broken(entry.gap, entry.end_sample)
                self._filled.append((self._file, entry.end_sample, entry.gap))
            case SegmentLevels() if self._file is not None:
                self._file.measured(entry)
            case SegmentEvents() if self._file is not None:
                self._file.heard(entry)
            case SegmentClose() if self._file is not None:
                self._file.clock_said(self._synchronized())
                job = self._file.finishing(entry)
                self._file = None
                self._syncs.put(job)
                if len(self._syncs) > _WAITING_MOST:
                    self._syncs.settle()

    def _sync(self) -> None:
        """Not while the one before lasts: a disk that is slower than the interval sets the pace."""
        if self._file is not None and self._syncs.is_idle:
            self._file.clock_said(self._synchronized())
            self._syncs.put(self._file.syncing())

    def _open(self, entry: SegmentOpen) -> OpenFile:
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
            format=entry.format.plain,
            start=entry.start,
            end=entry.start,
            tz=self._origin.zone.key,
            samples=0,
            packets=None,
            bytes=0,
            payload_offset=0,
            aligned_start=entry.aligned_start,
            clock=Clock(
                synchronized=self._synchronized(),
                start_boottime_s=entry.start_boottime_s,
                drift_ppm=None,
                overlap_s=entry.overlap_s,
                map=((0, entry.start),),
                steps=entry.steps,
            ),
            gap_before=entry.gap_before,
            titles=titles,
            url=self._url,
        )
        self._opened.append((segment.id, segment.file))
        return OpenFile(self._recordings, name, muxer, segment)

    def _free_name(self, start: datetime, extension: str) -> SegmentName:
        for attempt in range(1, _NAME_ATTEMPTS):
            name = segment_name(self._origin.source, start, self._origin.zone, extension, attempt=attempt)
            if not any((self._recordings / name.folder).glob(f"{name.stem}.*")):
                return name
        raise StorageError(f"{_NAME_ATTEMPTS} files of this name exist: {name.audio}")
