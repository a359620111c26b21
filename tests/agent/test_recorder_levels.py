"""What the line hears: level series beside each file, levels, events, against the finished files themselves."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent.archive_format.levels import Rows, read_levels, row_start
from agent.archive_format.names import LEVELS
from agent.codecs import CONTAINERS
from agent.model import (
    AudioFormat,
    Block,
    FinishedSegment,
    GapCause,
    Level,
    RunEnded,
    RunStarted,
    RunStarting,
    SampleFormat,
    SoundEvent,
    SourceItem,
    SplitHere,
)
from tests.agent.build import S16_MONO, at, utc
from tests.agent.schemas import validate
from tests.agent.test_recorder import Line
from tests.parts.mp3 import encoded

RATE = 48000
STEREO = AudioFormat.pcm(RATE, 2, SampleFormat.S16_LE)
QUIET, LOUD = 10 ** (-50 / 20), 10 ** (-10 / 20)


def signal(loud: list[tuple[float, float]], duration_s: float, channels: int = 1) -> bytes:
    """A 1 kHz sine, quiet but for the given spans in seconds; in the last channel alone where there are several."""
    time = np.arange(round(duration_s * RATE)) / RATE
    peak = np.full(len(time), QUIET)
    for start, end in loud:
        peak[(time >= start) & (time < end)] = LOUD
    values = np.zeros((len(time), channels), "<i2")
    values[:, -1] = np.rint(peak * 2**0.5 * np.sin(2 * np.pi * 1000 * time) * 32767)
    return values.tobytes()


def recorded(
    folder: Path, raw: bytes, audio_format: AudioFormat = S16_MONO, *, period_s: int = 5, seed: int = 0, splits: int = 0
) -> Line:
    """The line after the whole of `raw` came, in blocks of any size, and the source was stopped."""
    rng = random.Random(seed)
    line = Line(folder, period_s=period_s)
    rate_bytes = audio_format.sample_rate_hz * (audio_format.bytes_per_sample or 1)
    items: list[SourceItem] = [RunStarting(at(0)), RunStarted(audio_format, at(0))]
    places = sorted(rng.sample(range(1, len(raw)), min(len(raw) - 1, 60 + splits)))
    wanted = set(rng.sample(places, splits))
    for low, high in zip([0, *places], [*places, len(raw)], strict=True):
        now = at(high / rate_bytes)
        items.append(Block(raw[low:high], now))
        if high in wanted:
            items.append(SplitHere(now))
    line.steps([*items, RunEnded(GapCause.STOPPED, None, at(len(raw) / rate_bytes + 0.1))])
    return line


def rows_of(finished: FinishedSegment) -> Rows:
    return read_levels(finished.path.with_suffix(LEVELS))


def measured(samples: NDArray[np.int16], rate: int) -> list[tuple[int, list[int], list[int], list[float]]]:
    """The series by definition: sample, min, max, mean square; `samples` of shape (n, channels)."""
    rows, row = [], 0
    while (start := row_start(row, rate)) < len(samples):
        part = samples[start : row_start(row + 1, rate)]
        power = np.square(part / 32768.0).mean(axis=0)
        rows.append((start, part.min(axis=0).tolist(), part.max(axis=0).tolist(), power.tolist()))
        row += 1
    return rows


@given(seed=st.integers(0, 1000), splits=st.integers(0, 4), stereo=st.booleans())
@settings(max_examples=25, deadline=None)
def test_every_file_has_the_series_of_its_own_samples(
    tmp_path_factory: pytest.TempPathFactory, seed: int, splits: int, stereo: bool
) -> None:
    audio_format = STEREO if stereo else S16_MONO
    noise = np.random.default_rng(seed).normal(0, 3000, RATE * 8 * audio_format.channels)
    line = recorded(
        tmp_path_factory.mktemp("line"), noise.astype("<i2").tobytes(), audio_format, seed=seed, splits=splits
    )
    assert len(line.finished) >= 2
    for finished in line.finished:
        samples = soundfile.read(finished.path, dtype="int16", always_2d=True)[0]
        wanted = measured(samples, RATE)
        rows = rows_of(finished)
        assert [(row["sample"], row["min"].tolist(), row["max"].tolist()) for row in rows] == [
            row[:3] for row in wanted
        ]
        assert np.allclose(rows["mean_square"], [row[3] for row in wanted], rtol=1e-6)
        loudness = finished.segment.loudness
        assert loudness is not None
        power = np.square(samples / 32768.0).mean(axis=0).max()
        assert loudness.rms_dbfs == pytest.approx(10 * np.log10(power), abs=0.051)
        assert loudness.peak_dbfs == pytest.approx(20 * np.log10(np.abs(samples / 32768.0).max()), abs=0.051)


def test_a_stream_has_the_series_of_what_a_player_hears(tmp_path: Path) -> None:
    raw = encoded(12)
    line = recorded(tmp_path, raw, AudioFormat("mp3", 44100, 2))
    assert len(line.finished) >= 2
    for finished in line.finished:
        whole = CONTAINERS["mp3"].whole(finished.path.read_bytes())
        assert whole is not None
        with finished.path.open("rb") as file:
            samples = np.concatenate(list(CONTAINERS["mp3"].decoded(file, whole, 0)), axis=1)
        assert samples.shape == (2, finished.segment.samples)
        wanted = measured(np.clip(np.rint(samples.T * 32768), -32768, 32767).astype(np.int16), 44100)
        rows = rows_of(finished)
        assert len(rows) == len(wanted)
        # The first packets of a file lean on the file before it.
        for row, (sample, low, high, power) in list(zip(rows, wanted, strict=True))[3:]:
            assert (row["sample"], row["min"].tolist(), row["max"].tolist()) == (sample, low, high)
            assert np.allclose(row["mean_square"], power, rtol=1e-3, atol=1e-9)


def test_levels_come_every_second_and_every_ten(tmp_path: Path) -> None:
    line = recorded(tmp_path, signal([(3.0, 4.0)], 22.0, channels=2), STEREO)
    levels = [heard for heard in line.heard if isinstance(heard, Level)]
    fast = [level for level in levels if not level.slow]
    assert np.allclose([(level.at - utc()).total_seconds() for level in fast], range(1, 23), atol=0.002)
    assert [level.window_s for level in fast] == [1.0] * 22
    assert [level.rms_dbfs for level in fast] == [-50.0] * 3 + [-10.0] + [-50.0] * 18
    assert fast[3].peak_dbfs == -7.0
    slow = [level for level in levels if level.slow]
    assert [(level.window_s, level.rms_dbfs, level.peak_dbfs) for level in slow] == [
        (10.0, -20.0, -7.0),
        (10.0, -50.0, -47.0),
    ]
    assert not any(level.silent or level.clipped for level in levels)


def test_silence_and_clipping_are_told(tmp_path: Path) -> None:
    square = np.repeat(np.tile(np.array([32767, -32768], "<i2"), 50), 480)
    line = recorded(tmp_path, bytes(RATE * 2) + square.tobytes())
    silent, clipped = (heard for heard in line.heard if isinstance(heard, Level))
    assert (silent.rms_dbfs, silent.peak_dbfs, silent.silent, silent.clipped) == (-120.0, -120.0, True, 0)
    assert (clipped.rms_dbfs, clipped.peak_dbfs, clipped.silent) == (0.0, 0.0, False)
    assert clipped.clipped == pytest.approx(48000, abs=960)


# --- events -----------------------------------------------------------------------------------------------------------


def events(line: Line) -> list[SoundEvent]:
    return [heard for heard in line.heard if isinstance(heard, SoundEvent)]


def test_an_event_has_two_ends_a_place_and_a_line_in_the_sidecar(tmp_path: Path) -> None:
    line = recorded(tmp_path, signal([(1.5, 2.25)], 4.0))
    start, end = events(line)
    assert (start.event_type, start.at, start.duration_s) == ("loud_start", utc(1.5), None)
    assert (end.event_type, end.at, end.duration_s) == ("loud_end", utc(2.25), 0.75)
    assert start.pair == end.pair == start.id != end.id
    assert end.ended_by is None
    assert (end.max_dbfs, end.threshold_dbfs) == (-10.0, -20.0)
    (finished,) = line.finished
    for event in (start, end):
        assert event.place is not None
        assert event.place.segment == finished.segment.id
        assert (event.place.file, event.place.offset_s) == (finished.segment.file, 1.5)
    body = json.loads(finished.path.with_suffix(".json").read_bytes())
    validate("segment", body)
    assert body["events"] == [
        {
            "id": start.pair,
            "event_type": "loud",
            "start": "2026-11-22T13:00:01.500Z",
            "end": "2026-11-22T13:00:02.250Z",
            "offset_s": 1.5,
            "max_dbfs": -10.0,
        }
    ]


def test_an_event_across_a_split_is_one_event_in_two_files(tmp_path: Path) -> None:
    line = recorded(tmp_path, signal([(4.0, 6.0)], 8.0))
    start, end = events(line)
    assert (start.at, end.at, start.pair == end.pair) == (utc(4), utc(6), True)
    first, second = line.finished
    assert start.place is not None
    assert end.place is not None
    assert (start.place.segment, end.place.segment) == (first.segment.id, first.segment.id)
    listed = [(event.id, event.start, event.end, event.offset_s) for event in first.segment.events]
    assert listed == [(start.pair, utc(4), None, 4.0)]
    listed = [(event.id, event.start, event.end, event.offset_s) for event in second.segment.events]
    assert listed == [(start.pair, utc(4), utc(6), 0.0)]


def test_a_split_while_an_event_is_not_decided_yet_or_held_makes_it_no_other(tmp_path: Path) -> None:
    """Loud from just before a boundary, and another that ends just before one."""
    line = recorded(tmp_path, signal([(4.97, 5.5), (9.0, 9.95)], 12.0))
    spans = [(event.event_type, event.at) for event in events(line)]
    assert spans == [
        ("loud_start", utc(4.97)),
        ("loud_end", utc(5.5)),
        ("loud_start", utc(9.0)),
        ("loud_end", utc(9.95)),
    ]
    first, second, third = line.finished
    place = events(line)[0].place
    assert place is not None
    assert (place.segment, place.offset_s) == (first.segment.id, 4.97)
    assert [event.end for event in second.segment.events] == [utc(5.5), utc(9.95)]
    assert third.segment.events == ()


def test_an_event_ends_with_its_source_and_says_why(tmp_path: Path) -> None:
    line = recorded(tmp_path, signal([(1.0, 3.0)], 3.0))
    start, end = events(line)
    assert (start.at, end.at, end.ended_by) == (utc(1), utc(3), "stop")
    (finished,) = line.finished
    assert [event.end for event in finished.segment.events] == [utc(3)]


def test_an_event_ends_where_the_line_breaks_off(tmp_path: Path) -> None:
    line = Line(tmp_path, period_s=60)
    raw = signal([(0.5, 3.0)], 3.0)
    places = range(0, len(raw), 4800)
    blocks: list[SourceItem] = [Block(raw[place : place + 4800], at((place + 4800) / 96000)) for place in places]
    line.steps([RunStarting(at(0)), RunStarted(S16_MONO, at(0)), *blocks])
    assert [event.event_type for event in events(line)] == ["loud_start"]
    line.recorder.abandon()
    start, end = events(line)
    assert (end.event_type, end.pair, end.ended_by) == ("loud_end", start.pair, "gap")
    assert end.place == start.place is not None
    line.recorder.abandon()
    assert len(events(line)) == 2


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_no_event_is_missed_or_told_twice_wherever_the_cuts_are(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    rng = random.Random(seed)
    spans, second = [], 0.5
    while second < 13:
        length = rng.randrange(6, 150) / 100
        spans.append((round(second, 2), round(second + length, 2)))
        second += length + rng.randrange(25, 100) / 100
    line = recorded(tmp_path_factory.mktemp("line"), signal(spans, 16.0), seed=seed, splits=rng.randrange(5))
    heard = events(line)
    got = [
        ((start.at - utc()).total_seconds(), (end.at - utc()).total_seconds())
        for start, end in zip(heard[::2], heard[1::2], strict=True)
    ]
    assert all(start.pair == end.pair for start, end in zip(heard[::2], heard[1::2], strict=True))
    assert len(got) == len(spans)
    assert np.allclose(got, spans, atol=0.011)
    listed = {event.id for finished in line.finished for event in finished.segment.events}
    assert listed == {event.pair for event in heard}
