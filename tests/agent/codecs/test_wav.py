import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codecs import wav
from agent.codecs.wav import Wav
from agent.errors import CodecError
from agent.model import AudioFormat, Frame, SampleFormat
from tests.agent.build import MP3_STEREO, at, decoded_samples, noise, pcm_frame
from tests.agent.codecs.checks import assert_stable, finished, patched, saved, written

WAV = Wav()
HEAD = 104
formats = st.builds(
    AudioFormat.pcm, st.sampled_from([8000, 44100, 48000, 192000]), st.integers(1, 9), st.sampled_from(SampleFormat)
)


def read_back(data: bytes, audio_format: AudioFormat) -> bytes:
    """The samples as an independent program reads them, in the layout that was recorded."""
    layout = audio_format.sample_format
    kind = {SampleFormat.S16_LE: "int16", SampleFormat.FLOAT_LE: "float32"}.get(layout or SampleFormat.S16_LE, "int32")
    values, rate = soundfile.read(io.BytesIO(data), dtype=kind, always_2d=True)
    assert (rate, values.shape[1]) == (audio_format.sample_rate_hz, audio_format.channels)
    if layout in (SampleFormat.S24_3LE, SampleFormat.S24_LE):
        values = values >> 8
    if layout is SampleFormat.S24_3LE:
        return np.ascontiguousarray(values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3]).tobytes()
    return bytes(values.tobytes())


@given(formats, st.lists(st.integers(1, 500), max_size=5))
@settings(max_examples=40)
def test_every_layout_comes_back_bit_for_bit(audio_format: AudioFormat, sizes: list[int]) -> None:
    frames = [pcm_frame(size, audio_format=audio_format, seed=number) for number, size in enumerate(sizes)]
    muxer = WAV.muxer(audio_format)
    data = finished(muxer, frames)
    assert len(data) % 2 == 0
    assert muxer.samples == sum(sizes)
    assert (muxer.container, muxer.codec, muxer.packets, muxer.payload_offset) == ("wav", "pcm", None, HEAD)
    if sizes:
        assert read_back(data, audio_format) == b"".join(frame.data for frame in frames)


@given(formats, st.integers(1, 40))
@settings(max_examples=40)
def test_cut_at_any_byte_every_whole_sample_is_kept(audio_format: AudioFormat, samples: int) -> None:
    frame = pcm_frame(samples, audio_format=audio_format)
    data = written(WAV.muxer(audio_format), [frame])
    stored = (len(data) - HEAD) // samples
    for length in range(len(data) + 1):
        whole = WAV.whole(data[:length])
        assert whole == WAV.snapshot(data[:length])
        kept = max(0, (length - HEAD) // stored)
        if not kept:
            assert whole is None
            continue
        assert whole is not None
        assert (whole.samples, whole.length, whole.payload_offset) == (kept, HEAD + kept * stored, HEAD)
        result = assert_stable(WAV, data[:length], whole)
        if length % 7 == 0 or kept == 1:
            layout = audio_format.sample_format
            assert layout is not None
            width = layout.bytes_per_sample * audio_format.channels
            assert read_back(result, audio_format) == frame.data[: kept * width]


def test_real_tools_read_what_a_crash_left(tmp_path: Path) -> None:
    audio_format = AudioFormat.pcm(48000, 1, SampleFormat.S24_3LE)
    data = written(WAV.muxer(audio_format), [pcm_frame(4801, audio_format=audio_format)])
    whole = WAV.whole(data[:-1])
    assert whole is not None
    path = saved(tmp_path, "cut.wav", assert_stable(WAV, data[:-1], whole))
    assert decoded_samples(path, 1) == whole.samples == 4800


@given(st.integers(1, 300), st.integers(0, 300))
def test_after_each_sync_the_file_can_be_read_as_it_is(before: int, after: int) -> None:
    audio_format = AudioFormat.pcm(48000, 2, SampleFormat.S16_LE)
    muxer = WAV.muxer(audio_format)
    first, second = pcm_frame(before, audio_format=audio_format), pcm_frame(after, audio_format=audio_format)
    data = patched(written(muxer, [first]), muxer.settle()) + muxer.add(second)
    assert read_back(data, audio_format) == first.data
    assert read_back(patched(data, muxer.settle()), audio_format) == first.data + second.data


def header_for(samples: int, audio_format: AudioFormat, width: int) -> bytes:
    return wav._header(audio_format, width, samples)


def test_a_file_beyond_four_gib_is_rf64_and_one_byte_less_is_riff() -> None:
    audio_format = AudioFormat.pcm(48000, 2, SampleFormat.S16_LE)
    most = (0xFFFFFFFF - (HEAD - 8)) // 4
    assert header_for(most, audio_format, 4)[:4] == b"RIFF"
    head = header_for(most + 1, audio_format, 4)
    assert (head[:4], head[8:16], len(head)) == (b"RF64", b"WAVEds64", HEAD)
    riff, data, samples, table = struct.unpack_from("<QQQI", head, 20)
    assert (riff, data, samples, table) == (HEAD - 8 + 4 * (most + 1), 4 * (most + 1), most + 1, 0)
    assert head[4:8] == head[-4:] == b"\xff" * 4


def test_a_sparse_file_of_more_than_four_gib_is_read_to_its_last_sample(tmp_path: Path) -> None:
    audio_format = AudioFormat.pcm(48000, 2, SampleFormat.S16_LE)
    samples = (5 << 30) // 4
    path = tmp_path / "large.wav"
    last = noise(2, audio_format)
    with path.open("wb") as file:
        file.write(header_for(samples, audio_format, 4))
        file.seek(HEAD + 4 * (samples - 2))
        file.write(last)
    with soundfile.SoundFile(path) as sound:
        assert sound.frames == samples
        sound.seek(samples - 2)
        assert sound.read(dtype="int16").tobytes() == last
    whole = WAV.whole(_Sized(path.stat().st_size, header_for(1, audio_format, 4)))
    assert whole is not None
    assert whole.samples == samples
    assert whole.patches[0].data == header_for(samples, audio_format, 4)


class _Sized(bytes):
    """A head that says it is part of something much longer."""

    _length: int

    def __new__(cls, length: int, head: bytes) -> "_Sized":
        made = super().__new__(cls, head)
        made._length = length
        return made

    def __len__(self) -> int:
        return self._length


@given(st.binary(max_size=300))
def test_anything_else_is_refused(data: bytes) -> None:
    try:
        whole = WAV.whole(data)
    except CodecError:
        return
    assert whole is None


@given(st.integers(0, HEAD - 1), st.integers(0, 255))
def test_a_damaged_header_is_refused_or_read_and_nothing_else(at_byte: int, value: int) -> None:
    """Whatever one byte has become: no other error, because one file must not keep the others from being salvaged."""
    data = bytearray(written(WAV.muxer(AudioFormat.pcm(48000, 2, SampleFormat.S16_LE)), [pcm_frame(8)]))
    data[at_byte] = value
    try:
        whole = WAV.whole(bytes(data))
    except CodecError:
        return
    assert whole is None or whole.format.sample_rate_hz > 0


@pytest.mark.parametrize("change", [(58, b"\0\0"), (60, bytes(4)), (68, b"\5\0"), (74, b"\x14\0"), (80, b"\7\0")])
def test_nonsense_in_the_header_is_another_kind_of_file(change: tuple[int, bytes]) -> None:
    """No channels, no rate, samples of five bytes, of 20 bits, of an unknown kind."""
    data = bytearray(written(WAV.muxer(AudioFormat.pcm(48000, 2, SampleFormat.S16_LE)), [pcm_frame(8)]))
    offset, value = change
    data[offset : offset + len(value)] = value
    with pytest.raises(CodecError):
        WAV.whole(bytes(data))


def test_a_compressed_stream_is_refused() -> None:
    with pytest.raises(CodecError):
        WAV.muxer(MP3_STEREO)


def test_an_empty_frame_adds_nothing() -> None:
    audio_format = AudioFormat.pcm(48000, 1, SampleFormat.S24_LE)
    muxer = WAV.muxer(audio_format)
    assert muxer.add(Frame(b"", 0, audio_format, at(0))) == b""
