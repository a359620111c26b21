"""FLAC streams through the whole line: files, sidecars, gaps and levels against what was sent."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.archive_format.levels import read_levels
from agent.archive_format.names import LEVELS
from agent.archive_format.sidecar import segment_from, segment_json
from agent.codecs.detect import detect
from agent.model import Block, FinishedSegment, GapCause, RunEnded, RunStarted, RunStarting, SourceItem
from agent.storage.salvage import salvage_source
from tests.agent.build import at, origin
from tests.agent.schemas import validate
from tests.agent.test_recorder import Line
from tests.parts import flac as judge

RATE, CHANNELS, BITS, SECONDS = 48000, 2, 24, 16
VALUES = judge.wave(RATE * SECONDS, CHANNELS, BITS)
STREAMS = {"native": judge.encoded(VALUES, RATE, BITS), "ogg": judge.encoded(VALUES, RATE, BITS, "--ogg")}
FRAMES = judge.units(STREAMS["native"])


def items(data: bytes, seed: int = 0) -> list[SourceItem]:
    """The stream in pieces of any size, as it would come in real time."""
    audio_format = detect(data)
    assert audio_format is not None
    rng = random.Random(seed)
    sent: list[SourceItem] = [RunStarting(at(0)), RunStarted(audio_format, at(0))]
    done = 0
    while done < len(data):
        piece = data[done : done + rng.choice([500, 4096, 30_000])]
        done += len(piece)
        sent.append(Block(piece, at(SECONDS * done / len(data))))
    return sent


def bodies(finished: list[FinishedSegment]) -> list[bytes]:
    return [judge.body(unit.data) for item in finished for unit in judge.units(item.path.read_bytes())]


def decoded(finished: FinishedSegment) -> "np.ndarray[tuple[int, ...], np.dtype[np.int32]]":
    assert judge.tested(finished.path) == ""
    values, rate = soundfile.read(finished.path, dtype="int32", always_2d=True)
    assert rate == RATE
    return np.asarray(values >> (32 - BITS), np.int32)


@pytest.mark.parametrize("kind", STREAMS)
def test_the_parts_are_the_stream(tmp_path: Path, kind: str) -> None:
    line = Line(tmp_path, period_s=5)
    line.steps([*items(STREAMS[kind]), RunEnded(GapCause.DISCONNECTED, None, at(SECONDS + 1))])
    assert len(line.finished) >= 3
    # Out of Ogg a packet is a packet; without it nothing tells that the last one is complete.
    known = [judge.body(unit.data) for unit in FRAMES[: None if kind == "ogg" else -1]]
    assert bodies(line.finished) == known
    values = np.concatenate([decoded(finished) for finished in line.finished])
    assert np.array_equal(values, VALUES[: len(values)])
    for finished in line.finished:
        segment = finished.segment
        stored = json.loads(finished.path.with_suffix(".json").read_bytes())
        validate("segment", stored)
        assert segment_from(stored) == segment == segment_from(segment_json(segment))
        said = {name: stored[name] for name in ("container", "codec", "bits", "sample_format", "payload_offset")}
        assert said == {"container": "flac", "codec": "flac", "bits": 24, "sample_format": None, "payload_offset": 42}
        assert segment.packets == len(judge.units(finished.path.read_bytes()))
        rows = read_levels(finished.path.with_suffix("").with_name(finished.path.stem + LEVELS))
        assert rows["max"].max() == int(np.rint(decoded(finished).max() / 256))
        assert segment.loudness is not None
        peak = np.abs(decoded(finished) / 2.0 ** (BITS - 1)).max()
        assert segment.loudness.peak_dbfs == pytest.approx(20 * np.log10(peak), abs=0.051)


@pytest.mark.parametrize("kind", STREAMS)
def test_damage_is_a_gap_as_long_as_what_is_missing(tmp_path: Path, kind: str) -> None:
    data = bytearray(STREAMS[kind])
    data[len(data) // 2] ^= 1
    line = Line(tmp_path, period_s=60)
    line.steps([*items(bytes(data)), RunEnded(GapCause.DISCONNECTED, None, at(SECONDS + 1))])
    before, behind = line.finished
    corrupt = [(start, end) for cause, start, end in line.gaps() if cause is GapCause.CORRUPT]
    assert len(corrupt) == 1
    start, end = corrupt[0]
    assert end is not None
    missing = round((end - start) * RATE)
    first = decoded(before)
    second = decoded(behind)
    lost = next(n for n in range(0, 60 * 4096, 4096) if np.array_equal(VALUES[len(first) + n :][:9], second[:9]))
    assert lost > 0
    assert missing == pytest.approx(lost, abs=RATE * 0.002)
    assert np.array_equal(first, VALUES[: len(first)])
    assert np.array_equal(second, VALUES[len(first) + lost :][: len(second)])


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("cut", [0, 1, 3000])
def test_what_a_crash_left_is_finished(tmp_path: Path, kind: str, cut: int) -> None:
    line = Line(tmp_path, period_s=60)
    line.steps(items(STREAMS[kind])[:-10])
    line.recorder.abandon()
    (part,) = tmp_path.rglob("*.flac.part")
    with part.open("r+b") as file:
        file.truncate(part.stat().st_size - cut)
    (finished,) = salvage_source(tmp_path, origin())
    segment = finished.segment
    values = decoded(finished)
    assert np.array_equal(values, VALUES[: len(values)])
    assert (segment.samples, segment.format.codec, segment.format.bits) == (len(values), "flac", 24)
    assert segment.packets == len(judge.units(finished.path.read_bytes()))
    assert segment.loudness is not None
