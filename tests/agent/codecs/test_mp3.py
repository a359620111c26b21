import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codecs.mp3 import Mp3, Mp3Framer, find_stream, header, xing_frame
from agent.errors import CodecError
from agent.model import AudioFormat, Frame
from tests.agent.build import (
    MP3_STEREO,
    at,
    block,
    chunked,
    cut_places,
    decoded_samples,
    mp3_frame,
    mp3_stream,
    real_mp3,
    singly,
)
from tests.agent.codecs.checks import assert_stable, finished, patched, saved, written
from tests.parts import mp3 as judge

MP3 = Mp3()
STREAMS = [(44100, 2), (44100, 1), (48000, 2), (32000, 1), (22050, 2), (16000, 1), (24000, 2), (11025, 1), (8000, 1)]


def framed(parts: list[bytes], audio_format: AudioFormat = MP3_STEREO) -> list[Frame]:
    """Each packet as a frame of its own."""
    framer = Mp3Framer(audio_format)
    units = [unit for number, part in enumerate(parts) for unit in framer.push(block(part, number / 10))]
    return [single for unit in units if isinstance(unit, Frame) for single in singly(unit)]


def frames_of(data: bytes, audio_format: AudioFormat = MP3_STEREO) -> list[Frame]:
    return framed([data], audio_format)


@pytest.mark.parametrize(("rate", "channels"), STREAMS)
@pytest.mark.parametrize("variable", [False, True])
def test_real_streams_are_framed_as_an_independent_reader_does(rate: int, channels: int, *, variable: bool) -> None:
    data = real_mp3(rate, channels, variable=variable)
    found = frames_of(data, AudioFormat("mp3", rate, channels))
    assert [frame.data for frame in found] == [frame.data for frame in judge.frames(data)]
    assert b"".join(frame.data for frame in found) == data
    assert {frame.format for frame in found} == {AudioFormat("mp3", rate, channels)}
    assert {frame.samples for frame in found} == {1152 if rate >= 32000 else 576}


@given(cut_places, st.sampled_from(STREAMS))
@settings(max_examples=40)
def test_the_chunks_do_not_matter(cuts: list[int], stream: tuple[int, int]) -> None:
    data = real_mp3(*stream)
    parts = chunked(data, cuts)
    found = framed(parts)
    assert b"".join(frame.data for frame in found) == data
    # A frame is stamped with the block that brought its last byte.
    ends, total = [], 0
    for part in parts:
        total += len(part)
        ends.append(total)
    total = 0
    for number, frame in enumerate(found):
        total += len(frame.data)
        if number >= 3:  # the first ones wait until the headers behind them are there
            arrived = next(index for index, end in enumerate(ends) if end >= total)
            assert frame.received_at == at(arrived / 10)


garbage = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b"\xff\xfb\x90\x00", b"\xff", b"\xff\xfb", b"\xff\xf3\x40\xc0", b"ID3", b"\0"])).map(
        b"".join
    ),
)


@given(st.lists(st.tuples(garbage, st.integers(3, 8)), min_size=1, max_size=4), garbage, cut_places)
@settings(max_examples=150)
def test_damage_costs_only_what_is_damaged(pieces: list[tuple[bytes, int]], end: bytes, cuts: list[int]) -> None:
    """Anything before, between and after whole frames: all of them come out, whatever the chunks."""
    data, good = b"", []
    for number, (rubbish, count) in enumerate(pieces):
        frames = mp3_stream(count, 100 * number)
        data += rubbish + b"".join(frames)
        good += frames
    data += end
    found = [frame.data for frame in framed(chunked(data, cuts))]
    assert found == [frame.data for frame in frames_of(data)]
    known = set(good)
    lost = [frame for frame in good if frame not in found]
    assert [frame for frame in found if frame in known] == [frame for frame in good if frame not in lost]
    # Rubbish that itself is like a header may swallow the frame it reaches into, and hide what follows from it.
    if b"\xff" not in b"".join(rubbish for rubbish, _ in pieces):
        assert not lost


def test_bytes_that_are_no_frame_are_counted() -> None:
    framer = Mp3Framer(MP3_STEREO)
    good = b"".join(mp3_stream(6))
    for junk in (bytes(1000), b"TAG" + bytes(125)):
        (frame,) = framer.push(block(junk + good))
        assert isinstance(frame, Frame)
        assert frame.data == good
    assert framer.skipped_bytes == 1128


def test_a_frame_inside_of_another_is_not_taken_for_the_stream() -> None:
    """Three small frames in the body of a large one; the chunks end where the large one is not yet confirmed."""
    small = b"".join(mp3_frame(n, head=b"\xff\xf3\x14\xc4", length=24) for n in range(4))
    large = [b"\xff\xfb\xe0\x00" + small + bytes(1044 - 4 - len(small)) for _ in range(4)]
    data = b"".join(large)
    assert header(data, 0) is not None
    assert header(small, 24) is not None
    for size in (200, 500, 1100, len(data)):
        found = framed([data[low : low + size] for low in range(0, len(data), size)])
        assert [frame.data for frame in found] == large


def test_a_stream_that_changes_rate_or_channels_goes_on() -> None:
    parts = [real_mp3(44100, 2), real_mp3(44100, 1), real_mp3(22050, 1)]
    found = framed(parts)
    formats = list(dict.fromkeys(frame.format for frame in found))
    assert formats == [AudioFormat("mp3", 44100, 2), AudioFormat("mp3", 44100, 1), AudioFormat("mp3", 22050, 1)]
    assert b"".join(frame.data for frame in found) == b"".join(parts)


def test_what_comes_together_without_a_hole_is_one_frame() -> None:
    good, framer = mp3_stream(9), Mp3Framer(MP3_STEREO)
    units = list(framer.push(block(b"".join(good[:6]) + b"rubbish" + b"".join(good[6:]) + good[0][:100])))
    together = [unit for unit in units if isinstance(unit, Frame)]
    assert len(together) == len(units)
    assert [frame.data for frame in together] == [b"".join(good[:6]), b"".join(good[6:])]
    assert [[len(single.data) for single in singly(frame)] for frame in together] == [[417] * 6, [417] * 3]
    assert [frame.samples for frame in together] == [6 * 1152, 3 * 1152]


def test_free_format_and_reserved_values_are_no_header() -> None:
    free, forbidden, rate, emphasis = b"\xff\xfb\x00\x00", b"\xff\xfb\xf0\x00", b"\xff\xfb\x9c\x00", b"\xff\xfb\x90\x02"
    version, layer_2, no_layer, short = b"\xff\xeb\x90\x00", b"\xff\xfd\x90\x00", b"\xff\xf9\x90\x00", b"\xff\xfb\x90"
    for head in (free, forbidden, rate, emphasis, version, layer_2, no_layer, short, b""):
        assert header(head, 0) is None


def test_the_end_of_the_data_may_confirm_a_stream() -> None:
    two = b"".join(mp3_stream(2))
    assert find_stream(two) is None
    found = find_stream(two, complete=True)
    assert found is not None
    assert found[0] == 0
    assert find_stream(two + b"x", complete=True) is None


@given(st.binary(max_size=500), cut_places)
def test_any_bytes_are_understood_or_passed_over(data: bytes, cuts: list[int]) -> None:
    for frame in framed(chunked(data, cuts)):
        assert frame.data in data


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "channels"), STREAMS)
@pytest.mark.parametrize("variable", [False, True])
def test_a_part_from_mid_stream_has_its_true_length(
    tmp_path: Path, rate: int, channels: int, *, variable: bool
) -> None:
    frames = frames_of(real_mp3(rate, channels, variable=variable))[7:-5]
    audio_format = AudioFormat("mp3", rate, channels)
    muxer = MP3.muxer(audio_format)
    data = finished(muxer, frames)
    samples = sum(frame.samples for frame in frames)
    assert (muxer.samples, muxer.packets) == (samples, len(frames))
    assert data[muxer.payload_offset :] == b"".join(frame.data for frame in frames)
    assert decoded_samples(saved(tmp_path, "part.mp3", data), channels) == samples
    assert (b"Xing" in data[: muxer.payload_offset]) == (len({frame.data[2] >> 4 for frame in frames}) > 1)
    assert b"LAME" not in data[: muxer.payload_offset]


def test_cut_at_any_byte_every_whole_frame_is_kept() -> None:
    frames = frames_of(real_mp3(22050, 1))[:9]
    muxer = MP3.muxer(AudioFormat("mp3", 22050, 1))
    data = written(muxer, frames)
    edges = [muxer.payload_offset]
    for frame in frames:
        edges.append(edges[-1] + len(frame.data))
    for length in range(len(data) + 1):
        whole = MP3.whole(data[:length])
        assert whole == MP3.snapshot(data[:length])
        kept = sum(edge <= length for edge in edges) - 1
        if kept < 1:
            assert whole is None
            continue
        assert whole is not None
        assert (whole.length, whole.packets, whole.samples) == (edges[kept], kept, 576 * kept)
        assert (whole.payload_offset, whole.format) == (edges[0], AudioFormat("mp3", 22050, 1))
        assert_stable(MP3, data[:length], whole)


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("length", [1500, 5000, 9999])
def test_real_tools_read_what_a_crash_left(tmp_path: Path, length: int, *, variable: bool) -> None:
    data = written(MP3.muxer(MP3_STEREO), frames_of(real_mp3(variable=variable)))[:length]
    whole = MP3.whole(data)
    assert whole is not None
    path = saved(tmp_path, "cut.mp3", assert_stable(MP3, data, whole))
    assert decoded_samples(path, 2) == whole.samples


def test_rescued_is_the_same_as_finished() -> None:
    frames = frames_of(real_mp3(variable=True))
    data = finished(MP3.muxer(MP3_STEREO), frames)
    whole = MP3.whole(written(MP3.muxer(MP3_STEREO), frames))
    assert whole is not None
    assert patched(data, whole.patches) == data


@given(st.integers(0, 8), st.integers(0, 3))
def test_a_damaged_header_ends_what_is_whole(which: int, byte: int) -> None:
    frames = frames_of(real_mp3())[:9]
    muxer = MP3.muxer(MP3_STEREO)
    data = bytearray(written(muxer, frames))
    start = muxer.payload_offset + sum(len(frame.data) for frame in frames[:which])
    data[start + min(byte, 1)] = 0
    whole = MP3.whole(bytes(data))
    if which == 0:
        assert whole is None
    else:
        assert whole is not None
        assert (whole.packets, whole.length) == (which, start)


@given(st.binary(max_size=600))
def test_anything_else_is_refused(data: bytes) -> None:
    for candidate in (data, mp3_frame(0) + data):
        try:
            whole = MP3.whole(candidate)
        except CodecError:
            continue
        assert whole is None or whole.length <= len(candidate)


def test_after_each_sync_the_counts_are_right() -> None:
    frames = frames_of(real_mp3())
    muxer = MP3.muxer(MP3_STEREO)
    assert muxer.settle() == []
    data = b""
    for number, frame in enumerate(frames[:50], 1):
        data += muxer.add(frame)
        now = patched(data, muxer.settle())
        place = now.index(b"Info") + 8
        assert int.from_bytes(now[place : place + 4], "big") == number
        assert int.from_bytes(now[place + 4 : place + 8], "big") == len(now)


def test_a_file_without_frames_is_empty() -> None:
    muxer = MP3.muxer(MP3_STEREO)
    assert muxer.head() == b""
    assert muxer.finish() == (b"", [])
    assert muxer.packets == 0


@given(st.lists(st.sampled_from([104, 208, 417, 835]), min_size=1, max_size=2500), st.integers(0, 99))
@settings(max_examples=30)
def test_the_seek_table_leads_near_to_each_part(lengths: list[int], percent: int) -> None:
    muxer = MP3.muxer(MP3_STEREO)
    heads = {104: 0x10, 208: 0x50, 417: 0x90, 835: 0xD0}
    data = b"".join(
        muxer.add(Frame(b"\xff\xfb" + bytes([heads[n], 0]) + bytes(n - 4), 1152, MP3_STEREO, at(0))) for n in lengths
    )
    data = patched(data, muxer.settle())
    place = data.find(b"Xing") if len(set(lengths)) > 1 else data.find(b"Info")
    toc = data[place + 16 : place + 116]
    assert list(toc) == sorted(toc)
    begins = muxer.payload_offset + sum(lengths[: percent * len(lengths) // 100])
    # A point of the table is the frame itself, at most a few frames earlier in a long file, in 256ths of the file.
    assert -1 - 835 * 256 * 8 / len(data) <= toc[percent] - begins * 256 / len(data) <= 1


@given(st.integers(0, 1 << 32))
def test_our_own_frame_fits_every_stream(seed: int) -> None:
    rng = random.Random(seed)
    while True:
        head = bytes([0xFF, 0xE0 | rng.randrange(32), rng.randrange(256), rng.randrange(256)])
        parsed = header(head, 0)
        if parsed is not None:
            break
    own = xing_frame(head, None)
    made = header(own, 0)
    assert made is not None
    assert made.fits(parsed)
    assert made.length == len(own)
    assert not made.crc
