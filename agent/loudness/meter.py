"""The meter of one source: decodes what goes by and puts in front of it what is heard in it. Pure.

Entries pass through it unchanged (a close gets the loudness of its segment). In front of them come the rows of the
level series, the levels of each second, and events. Rows of 100 ms begin anew with each segment; the 10 ms blocks of
events run on through the segments for as long as the audio is continuous.

The packets of a stream wait here until they have been decoded, at the latest in the tick that has them written: a
broken one is told of before it is written.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent import codecs
from agent.archive_format.levels import power_dbfs
from agent.archive_format.times import from_ns, to_ns
from agent.codecs.decoding import Broken, Decoder, Samples, Span, full_scale, in_runs
from agent.gaps import broken_gap
from agent.loudness.clipping import Clipping
from agent.loudness.detector import Moment
from agent.loudness.grid import Blocks, Grid
from agent.loudness.listener import BLOCKS_PER_S, Listener
from agent.loudness.rows import known, row_grid, row_pieces, rows_of
from agent.loudness.windows import Row, Window
from agent.model import (
    AudioFormat,
    CloseReason,
    Entry,
    Heard,
    Hearing,
    Level,
    Loudness,
    SegmentBroken,
    SegmentClose,
    SegmentData,
    SegmentEvents,
    SegmentLevels,
    SegmentOpen,
)

_AT_ONCE_S = 1.0
"""What has come together is measured at every tick, and when there is so much of it. Each call of NumPy costs the same
for one packet as for ten."""
_STATUS_INTERVAL_S, _SLOW_INTERVAL_S = 1.0, 10.0
_GOES_ON = (CloseReason.BOUNDARY, CloseReason.COMMAND)
"""The next segment begins with the very next sample."""

Values = NDArray[Any]


class Meter:
    """Measures the entries of one line, in order."""

    def __init__(self, source: str, hearing: Hearing) -> None:
        self._source = source
        self._hearing = hearing
        self._stretch: _Stretch | None = None

    def push(self, entry: Entry) -> Iterator[Entry]:
        """What is heard up to `entry`, and `entry` itself."""
        match entry:
            case SegmentOpen():
                yield entry
                if self._stretch is None or self._stretch.format != entry.format:
                    self._stretch = _Stretch(self._source, self._hearing, entry.format)
                yield from self._stretch.open(to_ns(entry.start))
            case SegmentData() if self._stretch is not None:
                yield from self._stretch.push(entry)
            case SegmentClose() if self._stretch is not None:
                goes_on = entry.reason in _GOES_ON
                yield from self._stretch.close(to_ns(entry.end), None if goes_on else entry.reason)
                yield replace(entry, loudness=self._stretch.loudness)
                if not goes_on:
                    self._stretch = None
            case _:
                if self._stretch is not None:
                    yield from self._stretch.let_go()
                yield entry

    def tick(self) -> Iterator[Entry]:
        """What is heard in the audio that went by since the last tick."""
        if self._stretch is not None:
            yield from self._stretch.measure()

    def abandon(self) -> Iterator[SegmentData | Heard]:
        """The line breaks off: the audio that waits here, and the ends of the events that last."""
        stretch, self._stretch = self._stretch, None
        if stretch is not None:
            yield from stretch.held
            yield from (entry for entry in stretch.listener.finish(CloseReason.GAP) if isinstance(entry, Heard))


class _Stretch:
    """Audio without a gap: one decoder, one sample count, any number of segments."""

    def __init__(self, source: str, hearing: Hearing, audio_format: AudioFormat) -> None:
        rate, channels = audio_format.sample_rate_hz, audio_format.channels
        self.format = audio_format
        self._source = source
        self._is_packets = audio_format.bytes_per_sample is None
        self._rate, self._channels = rate, channels
        self._decoder: Decoder = codecs.decoder(audio_format)
        self._blocks = Grid(lambda block: (block * rate + BLOCKS_PER_S // 2) // BLOCKS_PER_S, (np.add,))
        self._clipping = Clipping(channels, full_scale(audio_format))
        interval_s = hearing.level_interval_s or _STATUS_INTERVAL_S
        self._windows = (
            Window(source, channels, rate, interval_s),
            Window(source, channels, rate, _SLOW_INTERVAL_S, slow=True),
        )
        self.listener = Listener(source, hearing.rules, rate)
        self._waiting: deque[SegmentData] = deque()
        self._waiting_samples = 0
        self._at_once = round(_AT_ONCE_S * rate)
        self._end = Moment(0, 0)

    def open(self, start_ns: int) -> Iterator[Entry]:
        """A segment begins here."""
        self._end = Moment(self._end.position, start_ns)
        self._rows = row_grid(self._rate, more=(np.add,))
        self._opened_at, self._opened_ns = self._end.position, start_ns
        self._listed_ns = start_ns
        self._energy = np.zeros(self._channels)
        self._measured = 0
        self._peak = 0.0
        yield from self.listener.opened(self._end.position)

    def push(self, data: SegmentData) -> Iterator[Entry]:
        """Audio of the open segment; measured at the next tick."""
        self._waiting.append(data)
        self._waiting_samples += data.frame.samples
        if self._waiting_samples >= self._at_once:
            yield from self.measure()
        if not self._is_packets:
            yield data

    @property
    def held(self) -> tuple[SegmentData, ...]:
        """The packets that are not passed on yet."""
        return tuple(self._waiting) if self._is_packets else ()

    def let_go(self) -> Iterator[Entry]:
        """What is heard in the packets that are held, and the packets."""
        if self.held:
            yield from self.measure()

    def measure(self) -> Iterator[Entry]:
        """What is heard in the audio that has come together."""
        if self._waiting:
            yield from self._measure(to_ns(self._waiting[-1].end))

    def close(self, end_ns: int, ended_by: CloseReason | None) -> Iterator[Entry]:
        """The open segment ends here; with a reason where the audio does, too."""
        if self._waiting:
            yield from self._measure(end_ns)
        yield from self._row_entries(self._rows.finish())
        if ended_by is not None:
            yield from self.listener.finish(ended_by)
        yield SegmentEvents(self.listener.events_at_close(self._end))

    @property
    def loudness(self) -> Loudness | None:
        """The level of the open segment so far; None where nothing could be decoded."""
        if not self._measured:
            return None
        rms_dbfs = power_dbfs(float(self._energy.max()) / self._measured)
        return Loudness(rms_dbfs=rms_dbfs, peak_dbfs=power_dbfs(self._peak**2))

    def _measure(self, end_ns: int) -> Iterator[Entry]:
        held = self.held
        samples, broken = self._decoded()
        self._end = Moment(self._end.position + samples.shape[1], end_ns)
        yield from self._broken(broken)
        squares = np.square(samples, dtype=np.float64)
        pieces = (*row_pieces(samples, squares), self._clipping.push(samples))
        yield from self._row_entries(self._rows.push(pieces))
        yield from self._heard(self._blocks.push((squares,)))
        yield from held

    def _decoded(self) -> tuple[Samples, list[Broken]]:
        """What has come together, and where nothing could be decoded."""
        parts, broken, at = [], list[Span](), self._end.position
        for data in self._waiting:
            parts.append(self._samples(data))
            broken += [(at + begin, at + end) for begin, end in self._decoder.broken]
            at += data.frame.samples
        self._waiting.clear()
        self._waiting_samples = 0
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), in_runs(broken)

    def _broken(self, runs: list[Broken]) -> Iterator[SegmentBroken]:
        for run in runs:
            # Dates move a little while the clock is being found, back too: nothing is missing twice.
            start_ns = max(self._listed_ns, self._moment(run.begin).utc_ns)
            start_ns = self._opened_ns if run.begin == self._opened_at else start_ns
            self._listed_ns = max(start_ns, self._moment(run.end).utc_ns)
            start, end = from_ns(start_ns), from_ns(self._listed_ns)
            gap = broken_gap(self._source, start, end, run.packets, run.end - run.begin)
            yield SegmentBroken(gap, run.end - self._opened_at)

    def _samples(self, data: SegmentData) -> Samples:
        """What stands in place of audio is not silence that was heard."""
        if data.is_filled:
            return np.full((self._channels, data.frame.samples), np.nan, np.float32)
        return self._decoder.push(data.frame)

    def _moment(self, position: int) -> Moment:
        return Moment(position, self._end.utc_ns - (self._end.position - position) * 1_000_000_000 // self._rate)

    def _heard(self, blocks: Blocks) -> Iterator[Entry]:
        if not len(blocks):
            return
        loudest = np.fmax.reduce(blocks.values[0], axis=0)
        yield from self.listener.push(loudest.tolist(), blocks.edges, self._moment)

    def _row_entries(self, blocks: Blocks) -> Iterator[Entry]:
        if not len(blocks):
            return
        yield SegmentLevels(rows_of(blocks, self._channels).tobytes())
        low, high, energy, clipped = blocks.values
        edges = np.array(blocks.edges)
        lengths = edges[1:] - edges[:-1]
        measured, energy = energy, known(energy)
        heard = lengths if measured is energy else np.where(np.isnan(measured).all(axis=0), 0, lengths)
        peaks = known(np.maximum(np.fmax.reduce(high, axis=0), -np.fmin.reduce(low, axis=0)))
        self._energy += energy.sum(axis=1)
        self._measured += int(heard.sum())
        self._peak = max(self._peak, float(peaks.max()))
        for number, (peak, *counts) in enumerate(zip(peaks.tolist(), lengths.tolist(), heard.tolist(), strict=True)):
            end_ns = self._moment(self._opened_at + blocks.edges[number + 1]).utc_ns
            yield from self._levels(Row(energy[:, number], peak, int(clipped[0, number]), *counts), end_ns)

    def _levels(self, row: Row, end_ns: int) -> Iterator[Level]:
        for window in self._windows:
            window.add(row)
            level = window.take(end_ns)
            if level is not None:
                yield level
