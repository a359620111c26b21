import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codecs.flac import Flac
from agent.codecs.flac_crc import crc8, crc16
from agent.codecs.flac_frames import frame_header
from agent.errors import CodecError
from agent.model import AudioFormat, Frame, SampleFormat
from tests.agent.build import MP3_STEREO, S16_MONO, at, decoded_samples, noise, pcm_frame
from tests.agent.codecs.checks import assert_stable, finished, patched, rescued, saved, written

FLAC = Flac()
LAYOUTS = [SampleFormat.S16_LE, SampleFormat.S24_3LE, SampleFormat.S24_LE]
formats = st.builds(
    AudioFormat.pcm, st.sampled_from([8000, 22050, 44100, 48000, 96000]), st.integers(1, 8), st.sampled_from(LAYOUTS)
)
BLOCK = 4096


def stereo(layout: SampleFormat = SampleFormat.S16_LE) -> AudioFormat:
    return AudioFormat.pcm(48000, 2, layout)


def samples_of(data: bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.int32]]":
    values, _ = soundfile.read(io.BytesIO(data), dtype="int32", always_2d=True)
    return np.asarray(values, np.int32)


def recorded(data: bytes, audio_format: AudioFormat) -> "np.ndarray[tuple[int, ...], np.dtype[np.int32]]":
    """What was recorded, as samples of 32 bits."""
    layout = audio_format.sample_format
    if layout is SampleFormat.S16_LE:
        values = np.frombuffer(data, "<i2").astype(np.int32) << 16
    elif layout is SampleFormat.S24_LE:
        values = np.frombuffer(data, "<i4") << 8
    else:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = wide.view("<i4").reshape(-1)
    return np.asarray(values.reshape(-1, audio_format.channels), np.int32)


def assert_flac_says_ok(path: Path) -> None:
    result = subprocess.run(["flac", "-t", "-s", "-w", str(path)], capture_output=True, check=False)
    # A file without an MD5 is a warning, which is what an unset one is meant to be; nothing else may be said.
    said = result.stderr.decode()
    assert result.returncode == 0 or "WARNING, cannot check MD5" in said, said
    assert "ERROR" not in said


@given(formats, st.lists(st.integers(0, 6000), max_size=4))
@settings(max_examples=25)
def test_every_layout_comes_back_bit_for_bit(audio_format: AudioFormat, sizes: list[int]) -> None:
    frames = [pcm_frame(size, audio_format=audio_format, seed=number) for number, size in enumerate(sizes)]
    muxer = FLAC.muxer(audio_format)
    data = finished(muxer, frames)
    assert muxer.samples == sum(sizes)
    assert (muxer.container, muxer.codec, muxer.packets) == ("flac", "flac", None)
    if sum(sizes):
        raw = b"".join(frame.data for frame in frames)
        assert np.array_equal(samples_of(data), recorded(raw, audio_format))
        whole = FLAC.whole(data)
        assert whole is not None
        assert (whole.samples, whole.payload_offset) == (sum(sizes), muxer.payload_offset)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_finished_file_has_its_checksum(tmp_path: Path, layout: SampleFormat) -> None:
    data = finished(FLAC.muxer(stereo(layout)), [pcm_frame(10_000, audio_format=stereo(layout))])
    result = subprocess.run(["flac", "-t", "-s", "-w", str(saved(tmp_path, "a.flac", data))], check=True)
    assert result.returncode == 0


def test_what_is_handed_out_is_whole_frames() -> None:
    muxer = FLAC.muxer(S16_MONO)
    data, fed = muxer.head(), 0
    for number in range(40):
        data += muxer.add(pcm_frame(700, seed=number))
        fed += 700
        assert muxer.samples == (fed - 1) // BLOCK * BLOCK
        assert muxer.settle() == []
        if muxer.samples:
            whole = FLAC.whole(data)
            assert whole == FLAC.snapshot(data)
            assert whole is not None
            assert (whole.length, whole.samples) == (len(data), muxer.samples)


@pytest.fixture(scope="module")
def small() -> bytes:
    """A file of few bytes and several frames: silence, then a short tail of noise."""
    frames = [Frame(bytes(2 * BLOCK * 5), BLOCK * 5, S16_MONO, at(0)), pcm_frame(90)]
    return finished(FLAC.muxer(S16_MONO), frames)


def test_cut_at_any_byte_every_whole_frame_is_kept(small: bytes) -> None:
    edges = [end for end in range(87, len(small) + 1) if end == len(small) or frame_header(small, end)]
    assert len(edges) == 6
    for length in range(len(small) + 1):
        data = small[:length]
        whole = FLAC.whole(data)
        kept = sum(edge <= length for edge in edges)
        if not kept:
            assert whole is None
            assert FLAC.snapshot(data) is None
            continue
        assert whole is not None
        assert whole.length == edges[kept - 1]
        assert whole.samples == min(kept * BLOCK, 5 * BLOCK + 90)
        assert FLAC.snapshot(data) == whole
        values = samples_of(assert_stable(FLAC, data, whole))
        assert np.array_equal(values, samples_of(small)[: whole.samples])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.999])
def test_real_tools_read_what_a_crash_left(tmp_path: Path, layout: SampleFormat, share: float) -> None:
    frames = [pcm_frame(30_000, audio_format=stereo(layout), seed=number) for number in range(2)]
    data = written(FLAC.muxer(stereo(layout)), frames)
    data = data[: int(len(data) * share)]
    whole, snapshot = FLAC.whole(data), FLAC.snapshot(data)
    assert whole is not None
    assert whole == snapshot
    path = saved(tmp_path, "cut.flac", assert_stable(FLAC, data, whole))
    assert_flac_says_ok(path)
    assert decoded_samples(path, 2) == whole.samples
    raw = b"".join(frame.data for frame in frames)
    assert np.array_equal(samples_of(path.read_bytes()), recorded(raw, stereo(layout))[: whole.samples])


def test_frame_numbers_of_one_two_and_three_bytes(tmp_path: Path) -> None:
    """Numbers pass 127 and 2047: silence makes the frames small."""
    muxer = FLAC.muxer(S16_MONO)
    data = written(muxer, [Frame(bytes(2 * BLOCK * 2100), BLOCK * 2100, S16_MONO, at(0))])
    whole = FLAC.whole(data)
    assert whole is not None
    assert whole.samples == muxer.samples == 2099 * BLOCK
    assert FLAC.snapshot(data) == whole
    path = saved(tmp_path, "long.flac", assert_stable(FLAC, data, whole))
    assert_flac_says_ok(path)
    assert len(soundfile.read(path, dtype="int16")[0]) == whole.samples
    header = frame_header(data, data.rfind(b"\xff\xf8"))
    assert header is not None
    assert header.number == 2098
    for cut in (1, 5, 300):
        shorter = FLAC.whole(data[:-cut])
        assert shorter is not None
        assert shorter.samples < whole.samples
        assert FLAC.snapshot(data[:-cut]) == shorter


@pytest.mark.parametrize("number", [0, 127, 128, 2047, 2048, 65535, 65536, (1 << 21) - 1, 1 << 21, (1 << 31) - 1])
def test_a_header_with_a_number_of_any_length(number: int) -> None:
    head = b"\xff\xf8\xc9\x08" + _coded(number)
    head += bytes([crc8(head)])
    header = frame_header(head + bytes(8), 0)
    assert header is not None
    assert (header.number, header.samples) == (number, BLOCK)


def _coded(number: int) -> bytes:
    """As RFC 9639 (9.1.5) and UTF-8 do, written apart from the product's reader."""
    if number < 0x80:
        return bytes([number])
    if number < 0x110000 and not 0xD800 <= number < 0xE000:
        return chr(number).encode()
    follow = next(count for count in range(1, 7) if number < 1 << (6 * count + max(0, 6 - count)))
    lead = (0xFF << (7 - follow)) & 0xFF if follow < 6 else 0xFE
    tail = [0x80 | number >> 6 * place & 0x3F for place in reversed(range(follow))]
    return bytes([lead & 0xFF | number >> 6 * follow, *tail])


def test_the_checksums_are_those_of_real_files(small: bytes) -> None:
    assert crc8(b"123456789") == 0xF4
    assert crc16(b"123456789") == 0xFEE8
    starts = [86, *(at for at in range(87, len(small)) if frame_header(small, at))]
    for start, end in zip(starts, [*starts[1:], len(small)], strict=True):
        assert crc16(small[start:end]) == 0
        assert crc16(small[start : end - 2]) == int.from_bytes(small[end - 2 : end], "big")


def loud(frames: int) -> tuple[bytes, list[int]]:
    """A file of noise while it is recorded, and where its frames end."""
    muxer = FLAC.muxer(S16_MONO)
    data, edges = muxer.head(), []
    for number in range(frames + 1):
        data += muxer.add(pcm_frame(BLOCK, seed=number))
        edges.append(len(data))
    return data, edges[1:]


@given(st.integers(0, 5), st.integers(20, 4000), st.integers(1, 255))
@settings(max_examples=30)
def test_a_damaged_frame_ends_what_is_whole(which: int, offset: int, flip: int) -> None:
    data, edges = loud(6)
    starts = [86, *edges]
    place = starts[which] + offset
    broken = bytearray(data)
    broken[place] ^= flip
    whole = FLAC.whole(bytes(broken))
    if which == 0:
        assert whole is None
    else:
        assert whole is not None
        assert (whole.length, whole.samples) == (edges[which - 1], which * BLOCK)
        assert np.array_equal(samples_of(rescued(bytes(broken), whole)), samples_of(rescued(data, whole)))


def test_damage_beyond_the_safe_bytes_is_found_however_far_from_the_end() -> None:
    data, edges = loud(100)
    broken = bytearray(data)
    broken[edges[10] + 50] ^= 1
    whole = FLAC.whole(bytes(broken), safe_bytes=edges[9])
    assert whole is not None
    assert whole.samples == 11 * BLOCK


def test_bytes_that_look_like_the_next_frame_do_not_end_the_file() -> None:
    """Noise is stored as it is, so a header can stand in it: the right number, the right checksum of eight bits."""
    fake = b"\xff\xf8\xc9\x08\x01"
    fake += bytes([crc8(fake)])
    samples = bytearray(noise(3 * BLOCK))
    # FLAC keeps samples of 16 bits with the high byte first.
    lead = bytes(fake[i ^ 1] for i in range(len(fake)))
    samples[2000 : 2000 + len(lead)] = lead
    muxer = FLAC.muxer(S16_MONO)
    data = written(muxer, [Frame(bytes(samples), 3 * BLOCK, S16_MONO, at(0))])
    assert data.find(fake, 100) > 0, "the noise is stored as it is"
    whole = FLAC.whole(data)
    assert whole is not None
    assert (whole.samples, whole.length) == (muxer.samples, len(data))


def test_zeros_behind_the_last_frame_are_left_out() -> None:
    """What a power cut leaves where the file system had only grown the file."""
    data, edges = loud(4)
    whole = FLAC.whole(data + bytes(5000))
    assert whole is not None
    assert whole.length in edges
    assert whole.samples >= 3 * BLOCK


def test_a_header_patched_for_the_end_without_the_tail_is_put_right() -> None:
    muxer = FLAC.muxer(S16_MONO)
    data = written(muxer, [pcm_frame(10_000)])
    _, patches = muxer.finish()
    whole = FLAC.whole(patched(data, patches))
    assert whole is not None
    assert whole.samples == 2 * BLOCK
    assert len(samples_of(rescued(patched(data, patches), whole))) == 2 * BLOCK


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    for candidate in (data, b"fLaC" + data):
        try:
            whole = FLAC.whole(candidate)
        except CodecError:
            continue
        assert whole is None


@given(st.integers(0, 85), st.integers(0, 255))
@settings(max_examples=150)
def test_a_damaged_head_is_refused_or_read_and_nothing_else(at_byte: int, value: int) -> None:
    data = bytearray(loud(1)[0])
    data[at_byte] = value
    for understand in (FLAC.whole, FLAC.snapshot):
        try:
            whole = understand(bytes(data))
        except CodecError:
            continue
        assert whole is None or whole.format.sample_rate_hz > 0


@pytest.mark.parametrize("layout", [SampleFormat.S32_LE, SampleFormat.FLOAT_LE])
def test_what_flac_cannot_hold_is_refused(layout: SampleFormat) -> None:
    with pytest.raises(CodecError, match=layout.value):
        FLAC.muxer(stereo(layout))


@pytest.mark.parametrize(
    "audio_format", [MP3_STEREO, AudioFormat.pcm(65537, 1, SampleFormat.S16_LE), AudioFormat.pcm(48000, 9, LAYOUTS[0])]
)
def test_a_format_that_the_encoder_refuses_is_a_codec_error(audio_format: AudioFormat) -> None:
    with pytest.raises(CodecError):
        FLAC.muxer(audio_format)
