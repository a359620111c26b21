"""Ogg files, judged by ffmpeg, PyAV, ogginfo and opusinfo."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codecs import CONTAINERS, container_for
from agent.codecs.base import Container
from agent.codecs.ogg_files import OggFile
from agent.codecs.ogg_pages import PageReader, page_head
from agent.errors import CodecError
from agent.model import AudioFormat, Frame
from tests.agent.build import chunked, singly, together
from tests.agent.codecs.checks import assert_stable, finished, patched, rescued, saved, written
from tests.agent.codecs.ogg_material import (
    OPUS,
    STREAMS,
    VORBIS,
    checked_length_s,
    decoded,
    frames_of,
    packets_by_ffmpeg,
    packets_of,
    real_ogg,
    units_of,
)

BOTH = [VORBIS, OPUS]


def stream(codec: str, rate: int, channels: int, *, seconds: float = 4.0, extra: str = "") -> list[Frame]:
    """The frames of a stream that was joined at its beginning, as they come with blocks of 4 KB."""
    data = real_ogg(codec, rate, channels, seconds=seconds, extra=extra)
    return [unit for unit in units_of(chunked(data, list(range(0, len(data), 4096)))) if isinstance(unit, Frame)]


def container_of(frames: list[Frame]) -> OggFile:
    found = container_for(frames[0].format, "flac")
    assert isinstance(found, OggFile)
    return found


def parts_of(frames: list[Frame], cuts: list[int]) -> list[list[Frame]]:
    """The frames cut before the packets of these numbers."""
    parts: list[list[Frame]] = [[]]
    number = 0
    for frame in frames:
        rest = frame
        for _ in singly(frame):
            if number in cuts:
                done = frame.samples - rest.samples
                at = sum(one.samples for one in singly(frame)[: number - first_of(frames, frame)])
                before, rest = rest.split(at - done)
                if before.samples:
                    parts[-1].append(before)
                parts.append([])
            number += 1
        parts[-1].append(rest)
    return [part for part in parts if part]


def first_of(frames: list[Frame], wanted: Frame) -> int:
    count = 0
    for frame in frames:
        if frame is wanted:
            return count
        count += len(singly(frame))
    raise AssertionError


def samples_of(frames: list[Frame]) -> int:
    return sum(frame.samples for frame in frames)


def by_pyav(path: Path) -> int:
    with av.open(str(path), "r") as container:
        return sum(frame.samples for frame in container.decode(audio=0))


@pytest.mark.parametrize(("codec", "rate", "channels"), STREAMS)
def test_parts_cut_anywhere_are_decoded_as_the_whole(tmp_path: Path, codec: str, rate: int, channels: int) -> None:
    frames = stream(codec, rate, channels)
    container, total = container_of(frames), sum(len(singly(frame)) for frame in frames)
    cuts = [1, 2, 7, 40, total // 2, total - 1]
    parts = parts_of(frames, cuts)
    assert len(parts) == len(cuts) + 1
    name = container.extension
    whole = decoded(saved(tmp_path, f"whole.{name}", finished(container.muxer(frames[0].format), frames)), channels)
    assert len(whole) == samples_of(frames)
    joined, payload = [], []
    for number, part in enumerate(parts):
        muxer = container.muxer(frames[0].format)
        data = finished(muxer, part)
        path = saved(tmp_path, f"{number}.{name}", data)
        samples = decoded(path, channels)
        assert len(samples) == muxer.samples == samples_of(part) == by_pyav(path)
        assert abs(checked_length_s(path) - muxer.samples / rate) <= 0.001
        found = packets_by_ffmpeg(data)
        assert muxer.priming_packets == len(part[0].priming)
        assert muxer.packets == len(found) - muxer.priming_packets
        assert page_head(data, muxer.payload_offset) is not None
        payload += found[muxer.priming_packets :]
        joined.append(samples)
    assert payload == packets_of(frames)
    if name == "ogg":
        assert np.array_equal(np.concatenate(joined), whole)
    else:
        assert np.abs(np.concatenate(joined) - whole).max() < 0.1
        assert (
            np.abs(joined[-2][rate:] - whole[-len(joined[-1]) - len(joined[-2]) + rate :][: -len(joined[-1])]).max()
            < 1e-3
        )


@given(st.lists(st.integers(1, 300), max_size=4), st.sampled_from(BOTH))
@settings(max_examples=15, deadline=None)
def test_parts_are_whole_wherever_they_are_cut(cuts: list[int], kind: tuple[str, int, int]) -> None:
    frames = stream(*kind)
    container, payload = container_of(frames), []
    for part in parts_of(frames, cuts):
        muxer = container.muxer(frames[0].format)
        data = finished(muxer, part)
        whole = container.whole(data)
        assert whole is not None
        assert (whole.length, whole.samples, whole.packets) == (len(data), samples_of(part), muxer.packets)
        assert (whole.payload_offset, whole.priming_packets) == (muxer.payload_offset, muxer.priming_packets)
        assert whole.format == frames[0].format
        assert rescued(data, whole) == data
        payload += packets_by_ffmpeg(data)[whole.priming_packets :]
    assert payload == packets_of(frames)


@pytest.mark.parametrize(("codec", "rate", "channels"), BOTH)
def test_songs_in_a_row_make_one_file(tmp_path: Path, codec: str, rate: int, channels: int) -> None:
    songs = b"".join(real_ogg(codec, rate, channels, seconds=2.0, seed=seed) for seed in range(3))
    frames = frames_of(songs)
    container = container_of(frames)
    muxer = container.muxer(frames[0].format)
    path = saved(tmp_path, f"songs.{container.extension}", finished(muxer, frames))
    assert len(decoded(path, channels)) == muxer.samples == samples_of(frames) == by_pyav(path)
    assert abs(checked_length_s(path) - muxer.samples / rate) <= 0.001
    # What the last packet of a song would have clipped stays: less than a packet for each.
    assert 6 * rate - 3 * 5760 <= muxer.samples <= 6 * rate + 3 * 2048


@pytest.mark.parametrize("ms", [2.5, 10, 60])
def test_opus_of_any_packet_length(tmp_path: Path, ms: float) -> None:
    frames = stream("libopus", 48000, 2, extra=f"-frame_duration {ms}")
    for number, part in enumerate(parts_of(frames, [1, 9, 50])):
        muxer = container_of(frames).muxer(frames[0].format)
        path = saved(tmp_path, f"{number}.opus", finished(muxer, part))
        assert len(decoded(path, 2)) == muxer.samples == samples_of(part)
        assert abs(checked_length_s(path) - muxer.samples / 48000) <= 0.001
        if number == 3:  # so near to the beginning of the stream there is less before the cut
            assert muxer.priming_packets * ms >= 80


@pytest.mark.parametrize("kind", BOTH)
def test_a_page_is_small_so_that_a_growing_file_can_be_played(kind: tuple[str, int, int]) -> None:
    for options in ("", "-b:a 64k"):
        frames = stream(*kind, extra=options)
        muxer = container_of(frames).muxer(frames[0].format)
        data, before = muxer.head(), 0
        for frame in frames:
            data += muxer.add(frame)
            assert muxer.settle() == []
        data += muxer.finish()[0]
        pages = list(PageReader().push(data))
        for page in pages[4:-1]:
            assert page.granule is not None
            if before:
                assert page.granule - before <= 0.55 * kind[1]
                assert sum(map(len, page.packets)) <= 4096 or len(page.packets) == 1
                assert page.granule - before >= 0.45 * kind[1] or sum(map(len, page.packets)) > 2048
            before = page.granule
        assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]


def cut_stream(kind: tuple[str, int, int]) -> tuple[Container, list[Frame], bytes, int]:
    frames = stream(*kind, seconds=2.0)
    container = container_of(frames)
    muxer = container.muxer(frames[0].format)
    part = [frame.split(0)[1] for frame in frames[1:]]
    return container, part, written(muxer, part), muxer.payload_offset


@pytest.mark.parametrize("kind", [("libvorbis", 22050, 1), OPUS])
def test_cut_at_any_byte_every_whole_page_is_kept(kind: tuple[str, int, int]) -> None:
    container, frames, data, payload_offset = cut_stream(kind)
    edges, place = [0], 0
    while (head := page_head(data, place)) is not None:
        place += head.size
        edges.append(place)
    lengths = sorted({*range(0, len(data) + 1, 7), *edges, *(edge - 1 for edge in edges[1:])})
    for length in lengths:
        whole = container.whole(data[:length])
        assert whole == container.snapshot(data[:length])
        kept = max(edge for edge in edges if edge <= length)
        if kept <= payload_offset:
            assert whole is None
            continue
        assert whole is not None
        assert (whole.length, whole.payload_offset) == (kept, payload_offset)
        assert whole.format == frames[0].format
        assert whole.priming_packets == len(frames[0].priming)
        assert_stable(container, data[:length], whole)
        singles = [single for frame in frames for single in singly(frame)][: whole.packets]
        assert whole.samples == sum(single.samples for single in singles)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
def test_real_tools_read_what_a_crash_left(tmp_path: Path, kind: tuple[str, int, int], share: float) -> None:
    container, _, data, begin = cut_stream(kind)
    data = data[: begin + round((len(data) - begin) * share)]
    whole = container.whole(data)
    assert whole is not None
    path = saved(tmp_path, f"cut.{container.extension}", rescued(data, whole))
    assert len(decoded(path, kind[2])) == whole.samples
    assert abs(checked_length_s(path) - whole.samples / kind[1]) <= 0.001


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_files_are_whole(tmp_path: Path, kind: tuple[str, int, int], count: int) -> None:
    """A segment is never a single packet if there is a neighbour (lone_packets.py), but where there is none it is."""
    singles = [single for frame in frames_of(real_ogg(*kind)) for single in singly(frame)]
    for first in (0, 1, 5, 40, 41, 42):
        part = together(singles[first + 1 : first + 1 + count])
        primed = Frame(part.data, part.samples, part.format, part.received_at, part.borders, (singles[first].data,))
        container = container_of([part])
        muxer = container.muxer(part.format)
        data = finished(muxer, [primed])
        path = saved(tmp_path, f"short.{container.extension}", data)
        assert len(decoded(path, kind[2])) == muxer.samples == part.samples
        assert muxer.packets == count
        assert abs(checked_length_s(path) - part.samples / kind[1]) <= 0.001
        whole = container.whole(data)
        assert whole is not None
        assert (whole.length, whole.samples, whole.packets) == (len(data), part.samples, count)
        # What a crash leaves of it before its last page.
        first_page = page_head(data, muxer.payload_offset)
        assert first_page is not None
        left = data[: muxer.payload_offset + first_page.size]
        rest = container.whole(left)
        assert rest is not None
        path = saved(tmp_path, f"left.{container.extension}", rescued(left, rest))
        assert len(decoded(path, kind[2])) == rest.samples == singles[first + 1].samples


@pytest.mark.parametrize("kind", BOTH)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_damaged_page_ends_what_is_whole(kind: tuple[str, int, int], data: st.DataObject) -> None:
    container, _, good, payload_offset = cut_stream(kind)
    place = data.draw(st.integers(payload_offset, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    whole = container.whole(bytes(bad))
    if whole is not None:
        assert whole.length <= place
        assert_stable(container, bytes(bad), whole)
    safe = container.whole(bytes(bad[:place]), safe_bytes=place)
    assert (safe is None) == (whole is None)
    if safe is not None and whole is not None:
        assert safe.length == whole.length


@pytest.mark.parametrize("kind", BOTH)
def test_what_follows_the_last_page_is_not_ours(kind: tuple[str, int, int]) -> None:
    frames = stream(*kind)
    container = container_of(frames)
    data = finished(container.muxer(frames[0].format), frames)
    for more in (b"rubbish", data):
        whole = container.whole(data + more)
        assert whole is not None
        assert whole.length == len(data)


@given(st.binary(max_size=300), st.sampled_from(["ogg", "opus"]), st.integers(0, 5000))
@settings(deadline=None)
def test_anything_else_is_refused(data: bytes, name: str, place: int) -> None:
    container = CONTAINERS[name]
    own = cut_stream(VORBIS if name == "ogg" else OPUS)[2]
    for candidate in (data, own[:place] + data, own[:place] + data + own[place:]):
        try:
            whole = container.whole(candidate)
        except CodecError:
            continue
        assert whole is None or whole.length <= len(candidate)


def test_a_file_of_the_other_codec_is_refused() -> None:
    for container, kind in ((CONTAINERS["opus"], VORBIS), (CONTAINERS["ogg"], OPUS)):
        data = cut_stream(kind)[2]
        with pytest.raises(CodecError):
            container.whole(data)
        with pytest.raises(CodecError):
            container.muxer(stream(*kind)[0].format)
    with pytest.raises(CodecError):
        CONTAINERS["ogg"].muxer(AudioFormat("vorbis", 44100, 2))


@pytest.mark.parametrize("kind", [*BOTH, ("libvorbis", 48000, 6)])
def test_the_samples_from_any_place_on(kind: tuple[str, int, int], tmp_path: Path) -> None:
    frames = stream(*kind)[2:]
    container = container_of(frames)
    data = finished(container.muxer(frames[0].format), frames)
    whole = container.whole(data)
    assert whole is not None
    judge = decoded(saved(tmp_path, f"a.{container.extension}", data), kind[2]).T
    for first in (0, 1, 1000, whole.samples // 3, whole.samples - 1):
        samples = np.concatenate(list(container.decoded(io.BytesIO(data), whole, first)), axis=1)
        assert samples.shape == (kind[2], whole.samples - first)
        assert np.abs(samples - judge[:, first:]).max() < (1e-6 if container.extension == "ogg" else 2e-2)
    missing = data[: len(data) // 2]
    with pytest.raises(CodecError, match="ends at sample"):
        list(container.decoded(io.BytesIO(missing), whole, 0))
    head = page_head(data, whole.payload_offset)
    assert head is not None
    place = whole.payload_offset + head.size
    holed = patched(data, ())[: place + 100] + b"\xff" + data[place + 101 :]
    with pytest.raises(CodecError, match="page is missing"):
        list(container.decoded(io.BytesIO(holed), whole, 0))


class Counted(io.BytesIO):
    """A file that knows how much was read of it."""

    bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


@pytest.mark.parametrize("kind", BOTH)
def test_the_end_of_a_long_file_is_found_without_reading_it_all(kind: tuple[str, int, int], tmp_path: Path) -> None:
    frames = stream(*kind, seconds=300.0)[2:]
    container = container_of(frames)
    data = finished(container.muxer(frames[0].format), frames)
    assert len(data) > 2_000_000
    whole = container.whole(data)
    assert whole is not None
    judge = decoded(saved(tmp_path, f"a.{container.extension}", data), kind[2]).T
    for first in (kind[1], kind[1] * 17 + 3, kind[1] * 150, whole.samples - kind[1], whole.samples - 1):
        file = Counted(data)
        pieces = container.decoded(file, whole, first)
        samples = next(pieces)
        assert file.bytes_read < 1_200_000
        while samples.shape[1] < min(kind[1], whole.samples - first):
            samples = np.concatenate([samples, next(pieces)], axis=1)
        differs = np.abs(samples - judge[:, first : first + samples.shape[1]]).max()
        assert differs < (1e-6 if container.extension == "ogg" else 2e-2)


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_a_file_without_frames_is_empty(name: str) -> None:
    muxer = CONTAINERS[name].muxer(stream(*(VORBIS if name == "ogg" else OPUS))[0].format)
    assert (muxer.container, muxer.codec) == (name, "vorbis" if name == "ogg" else "opus")
    assert muxer.head() == b""
    assert muxer.settle() == []
    assert muxer.finish() == (b"", [])
    assert (muxer.samples, muxer.packets) == (0, 0)
