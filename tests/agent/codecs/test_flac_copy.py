import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent import codecs
from agent.codecs.flac import Flac
from agent.codecs.flac_copy import FlacCopyMuxer
from agent.codecs.flac_stream import FlacFramer
from agent.errors import CodecError
from agent.model import AudioFormat, Frame
from tests.agent.build import MP3_STEREO, S16_MONO, block, cut_places, decoded_samples, singly, together
from tests.agent.codecs.checks import assert_stable, finished, patched, saved, written
from tests.agent.codecs.test_flac_stream import STREAMS, Made, format_of, framed, made, units, variable, wave
from tests.parts import flac as judge

FLAC = Flac()
Values = NDArray[np.int32]


def frames_of(stream: Made) -> list[Frame]:
    """The frames of a real stream, the last one too."""
    data = made(stream)
    return framed([data, data], format_of(data))[: len(units(stream))]


def variable_frames(sizes: list[int], bits: int = 16) -> list[Frame]:
    """Frames of these block sizes."""
    head, *data = variable(sizes, bits)
    return framed([head, *data, data[0]], format_of(head))


def mixed_frames(stream: Made) -> list[Frame]:
    """A stream that goes on with equal parameters behind a shorter last frame."""
    data, count = made(stream), len(units(stream))
    return framed([data] * 4, format_of(data))[count : 3 * count]


def known_of(stream: Made) -> Values:
    """What is in a stream, in the upper bits of 32."""
    return wave(stream) << (32 - stream[2])


def samples_of(data: bytes) -> Values:
    """What libsndfile decodes, in the upper bits of 32."""
    values, _ = soundfile.read(io.BytesIO(data), dtype="int32", always_2d=True)
    return np.asarray(values, np.int32)


def cuts_of(frames: list[Frame], cuts: list[int]) -> list[list[Frame]]:
    edges = sorted({0, len(frames), *(cut % len(frames) for cut in cuts)})
    return [frames[low:high] for low, high in pairwise(edges)]


def assert_is_right(path: Path, frames: list[Frame]) -> Values:
    """The file is what every reader takes for whole, and its frames are these; what it decodes to."""
    data = path.read_bytes()
    samples = sum(frame.samples for frame in frames)
    assert judge.tested(path) == ""
    found = judge.units(data)
    assert [judge.body(unit.data) for unit in found] == [judge.body(frame.data) for frame in frames]
    assert found[0].offset == 42
    assert data[42:] == b"".join(unit.data for unit in found)
    values = samples_of(data)
    assert len(values) == samples == decoded_samples(path, frames[0].format.channels)
    smallest, largest = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
    sizes = [unit.samples for unit in found]
    assert smallest <= max(16, min(sizes[:-1] or [smallest]))  # the last frame may always be shorter
    assert largest >= max(sizes)
    assert int.from_bytes(data[12:15], "big") == min(len(unit.data) for unit in found)
    assert int.from_bytes(data[15:18], "big") == max(len(unit.data) for unit in found)
    assert data[26:42] == bytes(16)
    with soundfile.SoundFile(path) as file:
        assert len(file) == samples
        for place in {0, samples // 3, samples // 2, samples - 1}:
            file.seek(place)
            assert np.array_equal(file.read(50, "int32", always_2d=True), values[place : place + 50])
    return values


@pytest.mark.parametrize("stream", STREAMS)
def test_parts_cut_anywhere_are_the_stream(tmp_path: Path, stream: Made) -> None:
    frames = frames_of(stream)
    known = known_of(stream)
    count = len(frames)
    parts = []
    for number, part in enumerate(cuts_of(frames, [1, 2, count // 3, count // 2, count - 1])):
        muxer = FLAC.muxer(part[0].format)
        data = finished(muxer, [together(part)])
        assert (muxer.samples, muxer.packets) == (sum(frame.samples for frame in part), len(part))
        assert (muxer.container, muxer.codec, muxer.payload_offset, muxer.priming_packets) == ("flac", "flac", 42, 0)
        parts.append(assert_is_right(saved(tmp_path, f"{number}.flac", data), part))
    assert np.array_equal(np.concatenate(parts), known)


@given(st.lists(st.integers(1, 700), min_size=2, max_size=9), cut_places, st.sampled_from([8, 16, 24]))
@settings(max_examples=25)
def test_parts_of_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], cuts: list[int], bits: int
) -> None:
    frames = variable_frames(sizes, bits)
    parts = []
    for part in cuts_of(frames, cuts):
        path = saved(tmp_path_factory.mktemp("parts"), "a.flac", finished(FLAC.muxer(part[0].format), part))
        parts.append(assert_is_right(path, part))
    assert np.array_equal(np.concatenate(parts), judge.wave(sum(sizes), 2, bits) << (32 - bits))


@pytest.mark.parametrize("stream", [STREAMS[0], STREAMS[3], STREAMS[9]])
def test_a_song_behind_another_in_one_file(tmp_path: Path, stream: Made) -> None:
    frames = mixed_frames(stream)
    values = assert_is_right(saved(tmp_path, "a.flac", finished(FLAC.muxer(frames[0].format), frames)), frames)
    assert np.array_equal(values, np.concatenate([known_of(stream)] * 2))


@pytest.mark.parametrize("bits", [12, 20])
def test_bits_that_libsndfile_does_not_know(tmp_path: Path, bits: int) -> None:
    frames = variable_frames([300, 400, 20, 500], bits)
    path = saved(tmp_path, "a.flac", finished(FLAC.muxer(frames[0].format), frames))
    assert judge.tested(path) == ""
    assert decoded_samples(path, 2) == 1220
    whole = FLAC.whole(path.read_bytes())
    assert whole is not None
    with path.open("rb") as file:
        decoded = np.concatenate(list(FLAC.decoded(file, whole, 700)), axis=1)
    known = (judge.wave(1220, 2, bits) / 2.0 ** (bits - 1)).astype(np.float32).T
    assert np.array_equal(decoded, known[:, 700:])
    assert np.array_equal(codecs.decoder(frames[0].format).push(together(frames)), known)


@pytest.mark.parametrize("stream", STREAMS)
def test_the_meter_hears_the_samples(stream: Made) -> None:
    frames = frames_of(stream)
    known = (known_of(stream) / 2.0**31).astype(np.float32).T
    decoder = codecs.decoder(frames[0].format)
    heard = np.concatenate([decoder.push(frame) for frame in frames], axis=1)
    assert heard.dtype == np.float32
    assert np.array_equal(heard, known)


def test_a_frame_that_cannot_be_decoded_is_not_heard() -> None:
    frames = frames_of(STREAMS[0])
    decoder = codecs.decoder(frames[0].format)
    broken = Frame(frames[1].data[:6] + b"\xff" * 900, 4096, frames[1].format, frames[1].received_at)
    assert np.isnan(decoder.push(broken)).all()
    assert not np.isnan(decoder.push(frames[2])).any()


# --- files cut short -------------------------------------------------------------------------------------------------


def small() -> list[list[Frame]]:
    silence = judge.encoded(np.zeros((130 * 16, 1), np.int32), 48000, 16, "-b", "16", "--lax")
    return [frames_of(STREAMS[5])[:4], variable_frames([40, 16, 90, 17]), framed([silence], format_of(silence))]


@pytest.mark.parametrize("frames", small(), ids=["fixed", "variable", "silence"])
def test_cut_at_any_byte_every_whole_frame_is_kept(frames: list[Frame]) -> None:
    muxer = FLAC.muxer(frames[0].format)
    data, edges = muxer.head(), [42]
    for frame in frames:
        data += muxer.add(frame)
        edges.append(len(data))
    complete = samples_of(patched(data, muxer.settle()))
    counts = np.cumsum([0, *(frame.samples for frame in frames)])
    step = 1 if len(frames) < 10 else 7
    for length in range(0, len(data) + 1, step):
        whole, snapshot = FLAC.whole(data[:length]), FLAC.snapshot(data[:length])
        kept = sum(edge <= length for edge in edges) - 1
        if kept < 1:
            assert whole is None
            assert snapshot is None
            continue
        assert whole is not None
        assert snapshot is not None
        assert (whole.length, whole.packets, whole.samples) == (edges[kept], kept, counts[kept])
        assert (whole.payload_offset, whole.format) == (42, frames[0].format)
        assert (snapshot.length, snapshot.samples, snapshot.patches) == (whole.length, whole.samples, whole.patches)
        assert snapshot.packets in (None, kept)
        assert np.array_equal(samples_of(assert_stable(FLAC, data[:length], whole)), complete[: whole.samples])


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("share", [0.6, 0.999])
def test_real_tools_read_what_a_crash_left(tmp_path: Path, stream: Made, share: float) -> None:
    frames = frames_of(stream)[1:]
    data = written(FLAC.muxer(frames[0].format), frames)
    data = data[: max(int(len(data) * share), 60 + len(frames[0].data))]
    whole = FLAC.whole(data)
    assert whole is not None
    path = saved(tmp_path, "cut.flac", assert_stable(FLAC, data, whole))
    assert judge.tested(path) == ""
    assert decoded_samples(path, stream[1]) == whole.samples
    first = frames_of(stream)[0].samples
    assert np.array_equal(samples_of(path.read_bytes()), known_of(stream)[first : first + whole.samples])
    with path.open("rb") as file:
        (*_, last) = FLAC.decoded(file, whole, whole.samples - 5)
    assert np.array_equal(last.T, (samples_of(path.read_bytes())[-5:] / 2.0**31).astype(np.float32))


def test_after_each_sync_the_file_is_right(tmp_path: Path) -> None:
    frames = frames_of(STREAMS[1])
    muxer = FLAC.muxer(frames[0].format)
    data = muxer.head()
    for number, frame in enumerate(frames[:12], 1):
        data += muxer.add(frame)
        assert_is_right(saved(tmp_path, f"{number}.flac", patched(data, muxer.settle())), frames[:number])


def test_numbers_of_every_length() -> None:
    """A frame that says its number in one byte takes a number of seven, and the other way round."""
    source = variable_frames([200, 300])[0]
    for number in (0, 127, 128, 2047, 2048, 65535, 65536, (1 << 21) - 1, 1 << 21, (1 << 31) - 1, (1 << 36) - 1):
        muxer = FlacCopyMuxer(source.format)
        muxer._samples = number
        placed = muxer.add(source)
        assert placed[4:].startswith(judge.utf8(number))
        assert judge.body(placed) == judge.body(source.data)
        assert judge.crc(placed, 0x8005, 16) == 0
        assert judge.crc(placed[: -len(judge.body(source.data)) + 4 - 1], 0x07, 8) != 1
        back = FlacCopyMuxer(source.format)
        assert back.add(Frame(placed, 200, source.format, source.received_at)) == source.data


def test_a_file_without_frames_is_empty() -> None:
    muxer = FLAC.muxer(frames_of(STREAMS[0])[0].format)
    assert FLAC.whole(muxer.head()) is None
    assert (muxer.samples, muxer.packets) == (0, 0)


def test_what_is_no_frame_is_refused() -> None:
    frame = frames_of(STREAMS[0])[0]
    with pytest.raises(CodecError, match="no FLAC frame"):
        FLAC.muxer(frame.format).add(Frame(b"rubbish", 1, frame.format, frame.received_at))
    for wrong in (MP3_STEREO, S16_MONO, AudioFormat("flac", 48000, 2, 16, setup=bytes(34))):
        with pytest.raises(CodecError):
            FlacCopyMuxer(wrong)


def test_a_format_whose_set_up_nobody_kept() -> None:
    frame = frames_of(STREAMS[0])[0]
    data = finished(FLAC.muxer(frame.format.plain), [frame])
    assert len(samples_of(data)) == frame.samples


def test_a_stream_of_its_own_container() -> None:
    data = made(STREAMS[0])
    audio_format = format_of(data)
    assert codecs.container_for(audio_format, "wav").extension == "flac"
    assert isinstance(codecs.framer(audio_format), FlacFramer)
    assert [single.data for frame in codecs.framer(audio_format).push(block(data)) for single in singly(frame)]  # type: ignore[arg-type]
