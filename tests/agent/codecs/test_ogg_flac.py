from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from agent import codecs
from agent.codecs.detect import detect
from agent.codecs.flac import Flac
from agent.codecs.flac_stream import FlacFramer
from agent.errors import CodecError
from agent.model import AudioFormat, Frame, Loss, Title
from tests.agent.build import block, chunked, cut_places, singly, together
from tests.agent.codecs.checks import finished, saved
from tests.agent.codecs.test_flac_copy import assert_is_right
from tests.agent.codecs.test_flac_stream import damaged
from tests.parts import flac as judge

Made = tuple[int, int, int, str, tuple[str, ...]]
"""Rate, channels, bits, encoder, options."""
STREAMS: list[Made] = [
    (44100, 2, 16, "flac", ()),
    (48000, 1, 24, "flac", ("-b", "576")),
    (96000, 6, 24, "flac", ()),
    (44100, 2, 16, "ffmpeg", ()),
    (48000, 1, 24, "ffmpeg", ("-frame_size", "1024")),
]
SAMPLES = 150_000


def wave(stream: Made, seed: int = 0) -> NDArray[np.int32]:
    return judge.wave(SAMPLES, stream[1], stream[2], seed)


@cache
def song(stream: Made, seed: int = 0, title: str = "") -> bytes:
    """One logical stream."""
    rate, _, bits, encoder, options = stream
    if encoder == "ffmpeg":
        tags = ("-metadata", f"title={title}") if title else ()
        return judge.by_ffmpeg(wave(stream, seed), rate, bits, *options, *tags, container="ogg")
    tags = ("-T", f"TITLE={title}") if title else ()
    return judge.encoded(wave(stream, seed), rate, bits, "--ogg", f"--serial-number={seed}", *tags, *options)


@cache
def packets(stream: Made, seed: int = 0) -> list[bytes]:
    """The frames: the same encoder makes the same ones without Ogg."""
    rate, _, bits, encoder, options = stream
    values = wave(stream, seed)
    make = judge.encoded if encoder == "flac" else judge.by_ffmpeg
    return [unit.data for unit in judge.units(make(values, rate, bits, *options))]


def pushed(parts: list[bytes], audio_format: AudioFormat) -> list[Frame | Title | Loss]:
    framer = codecs.framer(audio_format)
    assert not isinstance(framer, FlacFramer)
    return [item for number, part in enumerate(parts) for item in framer.push(block(part, number / 10))]


def detected(data: bytes) -> AudioFormat:
    found = detect(data)
    assert found is not None
    return found


def frames_in(items: list[Frame | Title | Loss]) -> list[Frame]:
    assert not [item for item in items if isinstance(item, Loss)]
    return [single for item in items if isinstance(item, Frame) for single in singly(item)]


@pytest.mark.parametrize("stream", STREAMS)
def test_real_streams_are_framed_and_stored_as_flac(tmp_path: Path, stream: Made) -> None:
    data = song(stream)
    rate, channels, bits, *_ = stream
    run = detected(data)
    assert (run.codec, run.sample_rate_hz, run.channels, run.bits) == ("flac", rate, channels, bits)
    frames = frames_in(pushed([data], run))
    assert [frame.data for frame in frames] == packets(stream)
    (audio_format,) = {frame.format for frame in frames}
    assert audio_format.plain == run.plain
    container = codecs.container_for(audio_format, "wav")
    assert isinstance(container, Flac)
    parts, count = [], len(frames)
    for number, (low, high) in enumerate([(0, 1), (1, count // 2), (count // 2, count)]):
        data = finished(container.muxer(audio_format), [together(frames[low:high])])
        parts.append(assert_is_right(saved(tmp_path, f"{number}.flac", data), frames[low:high]))
    assert np.array_equal(np.concatenate(parts), wave(stream) << (32 - bits))
    decoder = codecs.decoder(audio_format)
    heard = np.concatenate([decoder.push(frame) for frame in frames], axis=1)
    assert np.array_equal(heard, (wave(stream) / 2.0 ** (bits - 1)).astype(np.float32).T)


@given(cut_places)
@settings(max_examples=20)
def test_the_chunks_do_not_matter(cuts: list[int]) -> None:
    data = song(STREAMS[1])
    frames = frames_in(pushed(chunked(data, cuts), detected(data)))
    assert [frame.data for frame in frames] == packets(STREAMS[1])


@pytest.mark.parametrize("stream", STREAMS)
def test_songs_with_equal_set_up_are_one_file(tmp_path: Path, stream: Made) -> None:
    data = b"".join(song(stream, seed, f"song {seed}") for seed in range(3))
    items = pushed([data[low : low + 5000] for low in range(0, len(data), 5000)], detected(data))
    assert [item.text for item in items if isinstance(item, Title)] == ["song 0", "song 1", "song 2"]
    frames = frames_in(items)
    assert [frame.data for frame in frames] == [data for seed in range(3) for data in packets(stream, seed)]
    (audio_format,) = {frame.format for frame in frames}
    for number, part in enumerate((frames, frames[3 : 2 - len(packets(stream))])):
        path = saved(tmp_path, f"{number}.flac", finished(Flac().muxer(audio_format), part))
        values = assert_is_right(path, part)
        if part is frames:
            known = np.concatenate([wave(stream, seed) for seed in range(3)])
            assert np.array_equal(values, known << (32 - stream[2]))


def test_songs_with_other_set_up_are_another_format() -> None:
    data = song(STREAMS[0]) + song(STREAMS[1], 1) + song(STREAMS[0], 2)
    frames = frames_in(pushed([data], detected(data)))
    changes = [number for number in range(1, len(frames)) if frames[number].format != frames[number - 1].format]
    counts = [len(packets(STREAMS[0])), len(packets(STREAMS[1], 1))]
    assert changes == [counts[0], sum(counts)]
    assert frames[changes[0]].format.sample_rate_hz == 48000


@pytest.mark.parametrize("stream", STREAMS)
def test_a_lost_page_is_told_to_the_sample(stream: Made) -> None:
    data = song(stream)
    starts = [at for at in range(len(data)) if data.startswith(b"OggS\0", at)]
    gone = len(starts) // 2
    low, high = starts[gone], starts[gone + 1]
    whole = packets(stream)
    for broken in (data[:low] + data[high:], data[: low + 40] + bytes([data[low + 40] ^ 1]) + data[low + 41 :]):
        items = pushed([broken], detected(data))
        position = 0
        for item in items:
            if isinstance(item, Loss):
                assert item.samples
                position += item.samples
            elif isinstance(item, Frame):
                for single in singly(item):
                    size = packets_samples(stream)
                    assert whole.index(single.data) == position // size
                    position += single.samples
        assert position == SAMPLES
        assert sum(isinstance(item, Loss) for item in items) == 1


def packets_samples(stream: Made) -> int:
    sizes = {0: 4096, 1: 576, 2: 4096, 3: 4608, 4: 1024}
    return sizes[STREAMS.index(stream)]


def test_32_bit_is_refused() -> None:
    head = judge.Writer(48000, 1, 32, variable=False).head()
    first = b"\x7fFLAC\1\0\0\0" + head[:42]
    page = b"OggS\0\2" + bytes(8) + b"\1\0\0\0" + bytes(4)
    data = page + bytes(4) + b"\1" + bytes([len(first)]) + first
    checksum = judge.crc_of_page(data)
    with pytest.raises(CodecError, match="32 bit"):
        detect(data[:22] + checksum.to_bytes(4, "little") + data[26:])


def check_damage(seed: int) -> None:
    stream = STREAMS[seed % len(STREAMS)]
    data, known = song(stream), packets(stream)
    first_audio = data.index(known[0][:64])
    broken, _ = damaged(data, first_audio + len(known[0]) + 70_000, seed)
    random = np.random.default_rng(seed)
    items = pushed(chunked(broken, random.integers(0, len(broken), random.integers(0, 30)).tolist()), detected(data))
    size, position, came = packets_samples(stream), 0, 0
    for item in items:
        if isinstance(item, Loss):
            assert item.samples
            position += item.samples
        elif isinstance(item, Frame):
            for single in singly(item):
                assert known.index(single.data) * size == position, seed
                position += single.samples
                came += 1
    assert position <= SAMPLES
    assert came >= 3


@pytest.mark.parametrize("batch", range(5))
def test_damage_is_told_to_the_sample(batch: int) -> None:
    for seed in range(100 * batch, 100 * batch + 100):
        check_damage(seed)


@pytest.mark.long
@pytest.mark.parametrize("batch", range(20))
def test_ten_thousand_damages(batch: int) -> None:
    for seed in range(1000 + 500 * batch, 1500 + 500 * batch):
        check_damage(seed)
