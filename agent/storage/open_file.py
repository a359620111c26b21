"""One file on its way from `.part` to finished: appended to, synced again and again, then completed."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeAlias

from agent.archive_format.names import SegmentName
from agent.archive_format.sidecar import encode_line, segment_json
from agent.archive_format.times import to_ms
from agent.codecs.base import Muxer, Patch
from agent.model import (
    FinishedSegment,
    Gap,
    OpenSegment,
    Segment,
    SegmentClose,
    SegmentData,
    SegmentEvents,
    SegmentLevels,
    SegmentTitle,
    TitleAt,
)
from agent.storage.files import sync_file, sync_folder, write_all, write_whole
from agent.storage.finish import finish_files, write_patches
from agent.storage.levels_file import LevelsFile

Job: TypeAlias = Callable[[], FinishedSegment | None]

_WRITTEN_AT_ONCE_BYTES = 1 << 16
_MAP_EVERY = timedelta(minutes=10)


class OpenFile:
    """One file on its way from `.part` to finished. What has to wait for the disk is handed out as a job.

    Jobs may run in another thread, in order. Where one fails, the later ones of the same file do nothing: what the disk
    says next of what it has lost already is worth nothing (fsync reports an error once).
    """

    def __init__(self, recordings: Path, name: SegmentName, muxer: Muxer, segment: Segment) -> None:
        self._recordings, self._name, self._muxer = recordings, name, muxer
        self._segment = segment
        self._fed = 0
        self._mapped_at = segment.start
        self._end = segment.start
        self._map = list(segment.clock.map)
        self._gaps: list[tuple[Gap, int | None]] = []
        self.safe = OpenSegment(name.audio_part, segment.start, 0, 0)
        self._sidecar_part = recordings / name.sidecar_part
        self._failed = self._closing = False
        write_whole(self._sidecar_part, encode_line(segment_json(segment)), durable=False)
        self._path = recordings / name.audio_part
        self._file = self._path.open("xb", buffering=0)
        self._size = 0
        self._unwritten = bytearray()
        self._levels: LevelsFile | None = None
        try:
            self._levels = LevelsFile(recordings / name.levels_part, segment.format.channels)
            self._append(muxer.head())
            self.flush()
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

    def filled(self, gap: Gap) -> int:
        """List a gap that the next samples fill; the sample behind it."""
        self._gaps.append((gap, None))
        return self._fed + gap.filled_samples

    def broken(self, gap: Gap, end_sample: int) -> None:
        """List a gap for broken packets that are to be added, up to `end_sample`."""
        self._gaps.append((gap, end_sample))

    def clock_said(self, synchronized: bool | None) -> None:  # noqa: FBT001 - what the kernel said
        """What the kernel says of its clock now; the segment keeps the worst of it."""
        known = self._segment.clock.synchronized
        worst = False if False in (known, synchronized) else None if None in (known, synchronized) else True
        if worst is not known:
            self._segment = replace(self._segment, clock=replace(self._segment.clock, synchronized=worst))

    def measured(self, levels: SegmentLevels) -> None:
        """Rows of the level series."""
        if self._levels is not None:
            self._levels.add(levels.rows)

    def heard(self, events: SegmentEvents) -> None:
        """What is heard so far."""
        self._segment = replace(self._segment, events=events.events)

    def opening(self) -> Job:
        """The job that makes the names and the sidecar so far survive a power cut."""
        return self._job(self._sync_names)

    def syncing(self) -> Job:
        """Write all there is; the job that makes file and sidecar so far survive a power cut."""
        self.flush()
        self._patch(self._muxer.settle())
        if self._levels is not None:
            self._levels.write()
        self._segment = self._so_far()
        return self._job(partial(self._sync, self._segment, self._size))

    def finishing(self, close: SegmentClose) -> Job:
        """Write the rest; the job that completes the file. It gives None where not one sample came, and nothing is left
        of it then."""
        tail, patches = self._muxer.finish()
        self._append(tail)
        self.flush()
        self._patch(patches)
        if self._levels is not None:
            self._levels.write()
        self._end = close.end
        segment = replace(self._so_far(), aligned_end=close.aligned_end, reason=close.reason, loudness=close.loudness)
        steps = (*segment.clock.steps, *close.steps)
        segment = replace(segment, clock=replace(segment.clock, drift_ppm=close.drift_ppm, steps=steps))
        self._closing = True
        return self._job(partial(self._finish, segment), last=True)

    def _job(self, work: Job, *, last: bool = False) -> Job:
        def job() -> FinishedSegment | None:
            try:
                if self._failed:
                    return None
                self._failed = True
                result = work()
                self._failed = False
                return result
            finally:
                if last:
                    self.close()

        return job

    def _sync_names(self) -> None:
        sync_file(self._sidecar_part)
        sync_folder(self._path.parent)

    def _sync(self, so_far: Segment, size: int) -> None:
        if self._closing:
            return  # the next job does more, and the sidecar so far knows more
        os.fdatasync(self._file.fileno())
        write_whole(self._sidecar_part, encode_line(segment_json(so_far)))
        self.safe = OpenSegment(self._name.audio_part, so_far.start, so_far.samples, size, so_far.end)

    def _finish(self, segment: Segment) -> FinishedSegment | None:
        # A kill from here on finds a file that is complete but for its name, and all that is known of it.
        write_whole(self._sidecar_part, encode_line(segment_json(segment)))
        os.fsync(self._file.fileno())
        if self._levels is not None:
            self._levels.sync()
        self.safe = replace(self.safe, samples_safe=segment.samples, bytes_safe=segment.bytes)
        if not segment.samples:
            self._path.unlink()
            (self._recordings / self._name.levels_part).unlink()
            self._sidecar_part.unlink()
            return None
        return finish_files(self._recordings, self._name, segment)

    def leave(self) -> None:
        """Give the file up as it is."""
        if not self._file.closed:
            with suppress(OSError):  # what the disk does not take now would be lost in any case
                self.flush()
        self.close()

    def close(self) -> None:
        """Give the descriptors back."""
        self._file.close()
        if self._levels is not None:
            self._levels.close()

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
            priming_packets=self._muxer.priming_packets,
            gaps=tuple(_listed(self._gaps, samples, end)),
            clock=replace(self._segment.clock, map=tuple(pairs)),
        )

    def flush(self) -> None:
        """Write what is waiting: a write for each packet would cost more than the packet."""
        data = bytes(self._unwritten)
        write_all(self._file.fileno(), data, self._size - len(data))
        self._unwritten.clear()

    def _append(self, data: bytes) -> None:
        self._unwritten += data
        self._size += len(data)
        if len(self._unwritten) >= _WRITTEN_AT_ONCE_BYTES:
            self.flush()

    def _patch(self, patches: list[Patch]) -> None:
        write_patches(self._file.fileno(), patches)


def _listed(gaps: list[tuple[Gap, int | None]], samples: int, end: datetime) -> Iterator[Gap]:
    """The gaps of a file so far. Broken packets are listed as far as it has them: salvage looks for those behind."""
    for gap, end_sample in gaps:
        ahead = 0 if end_sample is None else end_sample - samples
        if ahead <= 0:
            yield gap
        elif ahead < gap.filled_samples:
            yield replace(gap, end=max(gap.start, end), filled_samples=gap.filled_samples - ahead)
