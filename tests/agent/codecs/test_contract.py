"""What every stream codec has to stand, on real streams of real encoders: one contract for all."""

import random
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import codecs
from agent.codecs.detect import detect
from agent.model import AudioFormat, Frame, Loss
from tests.agent.build import block, chunked, cut_places, singly
from tests.agent.codecs.checks import assert_stable, finished, written
from tests.parts.icecast import CODECS
from tests.parts.process import program

SECONDS = 6
RATE = 48000


@cache
def stream(codec: str) -> bytes:
    """A stream as an encoder sends it, from its beginning."""
    encoder, _ = CODECS[codec]
    command = [program("ffmpeg", "ffmpeg"), "-v", "error", "-f", "lavfi"]
    command += ["-i", f"anoisesrc=r={RATE}:a=0.2:d={SECONDS}:seed=7", "-ac", "2", *encoder, "-"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def format_of(codec: str) -> AudioFormat:
    found = detect(stream(codec))
    assert found is not None
    return found


def framed(codec: str, parts: list[bytes]) -> list[Frame | Loss]:
    framer = codecs.framer(format_of(codec))
    units = [unit for number, part in enumerate(parts) for unit in framer.push(block(part, number / 10))]
    return [unit for unit in units if isinstance(unit, Frame | Loss)]


@cache
def frames(codec: str) -> tuple[Frame, ...]:
    """Every packet of the stream as a frame of its own."""
    whole = framed(codec, [stream(codec)])
    assert not [unit for unit in whole if isinstance(unit, Loss)]
    return tuple(single for frame in whole if isinstance(frame, Frame) for single in singly(frame))


@cache
def together(codec: str) -> Frame:
    """A stretch from mid-stream, as one frame with what primes it."""
    whole = [unit for unit in framed(codec, [stream(codec)[:]]) if isinstance(unit, Frame)]
    first = whole[0]
    for frame in whole:
        assert frame.format == first.format
    before = sum(frame.samples for frame in frames(codec)[:20])
    _, rest = first.split(before) if len(whole) == 1 else (None, whole[len(whole) // 2])
    return rest


@pytest.mark.parametrize("codec", CODECS)
def test_all_of_a_stream_is_framed(codec: str) -> None:
    samples = sum(frame.samples for frame in frames(codec))
    assert samples == pytest.approx(SECONDS * RATE, abs=0.1 * RATE)


@pytest.mark.parametrize("codec", CODECS)
@given(cuts=cut_places)
@settings(max_examples=25)
def test_the_chunks_do_not_matter(codec: str, cuts: list[int]) -> None:
    units = framed(codec, chunked(stream(codec), cuts))
    assert not [unit for unit in units if isinstance(unit, Loss)]
    found = [single for frame in units if isinstance(frame, Frame) for single in singly(frame)]
    assert [single.data for single in found] == [single.data for single in frames(codec)]
    assert [single.samples for single in found] == [single.samples for single in frames(codec)]


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_of_mid_stream_is_whole_and_decodes_to_its_length(codec: str, tmp_path: Path) -> None:
    part = together(codec)
    container = codecs.container_for(part.format, "flac")
    muxer = container.muxer(part.format)
    data = finished(muxer, [part])
    assert (muxer.samples, muxer.packets) == (part.samples, len(part.borders) + 1)
    whole = container.whole(data)
    assert whole is not None
    assert (whole.length, whole.samples, whole.packets) == (len(data), part.samples, muxer.packets)
    assert (whole.payload_offset, whole.priming_packets) == (muxer.payload_offset, muxer.priming_packets)
    path = tmp_path / f"part.{container.extension}"
    path.write_bytes(data)
    for first in (0, part.samples // 2, part.samples - 1):
        with path.open("rb") as file:
            pieces = list(container.decoded(file, whole, first))
        assert sum(piece.shape[1] for piece in pieces) == part.samples - first
        if not first:
            assert np.isfinite(np.concatenate(pieces, axis=1)).all()
    command = [program("ffmpeg", "ffmpeg"), "-v", "error", "-i", str(path), "-f", "s16le", "-c:a", "pcm_s16le", "-"]
    assert len(subprocess.run(command, capture_output=True, check=True).stdout) // 4 == part.samples


@pytest.mark.parametrize("codec", CODECS)
@given(cut=st.integers(0, 1 << 24), packets=st.integers(1, 60))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_cut_at_any_byte_what_is_whole_is_kept(codec: str, cut: int, packets: int) -> None:
    some = list(frames(codec)[:packets])
    some = [Frame(one.data, one.samples, one.format, one.received_at, (), together(codec).priming) for one in some]
    container = codecs.container_for(some[0].format, "flac")
    data = written(container.muxer(some[0].format), some)
    data = data[: cut % (len(data) + 1)]
    whole, snapshot = container.whole(data), container.snapshot(data)
    for found in (whole, snapshot):
        if found is not None:
            assert found.length <= len(data)
            assert found.samples <= sum(frame.samples for frame in some)
    if whole is not None:
        assert_stable(container, data, whole)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("seed", range(10))
def test_damage_is_passed_over_and_what_follows_is_kept(codec: str, seed: int) -> None:
    """Some bytes turned over in mid-stream: no exception, and the last second is there as it was."""
    rng = random.Random(seed)
    data = bytearray(stream(codec))
    for _ in range(rng.randrange(1, 40)):
        data[rng.randrange(len(data) // 3, len(data) // 2)] ^= rng.randrange(1, 256)
    sizes = [rng.randrange(1, 5000) for _ in range(len(data))]
    parts, at = [], 0
    while at < len(data):
        parts.append(bytes(data[at : at + sizes[at]]))
        at += sizes[at]
    units = framed(codec, parts)
    found = [single for unit in units if isinstance(unit, Frame) for single in singly(unit)]
    tail = frames(codec)[-len(frames(codec)) // 4 :]
    assert [one.data for one in found[-len(tail) :]] == [one.data for one in tail]
    lost = sum(unit.samples or 0 for unit in units if isinstance(unit, Loss))
    samples = sum(frame.samples for frame in frames(codec))
    assert sum(one.samples for one in found) + lost == pytest.approx(samples, abs=0.25 * RATE)
