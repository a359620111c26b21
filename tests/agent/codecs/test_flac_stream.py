import time
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent.codecs.detect import detect
from agent.codecs.flac_stream import FlacFramer
from agent.errors import CodecError
from agent.model import AudioFormat, Frame, GapCause, Loss
from tests.agent.build import at, block, chunked, cut_places, singly
from tests.parts import flac as judge

Made = tuple[int, int, int, str, tuple[str, ...]]
"""Rate, channels, bits, encoder, options."""
STREAMS: list[Made] = [
    (44100, 2, 16, "flac", ()),
    (48000, 1, 16, "flac", ("-b", "1152")),
    (96000, 2, 24, "flac", ("-8",)),
    (48000, 6, 24, "flac", ("-b", "576")),
    (44100, 8, 16, "flac", ("-b", "16", "--lax")),
    (8000, 2, 8, "flac", ("-b", "1152")),
    (37000, 2, 16, "flac", ("--lax", "-b", "17000")),
    (12345, 2, 24, "flac", ("--lax",)),
    (65540, 1, 16, "flac", ()),
    (44100, 2, 16, "ffmpeg", ()),
    (48000, 6, 24, "ffmpeg", ("-frame_size", "1024")),
    (96000, 1, 24, "ffmpeg", ("-frame_size", "8192")),
]


@cache
def wave(stream: Made) -> NDArray[np.int32]:
    """What is in it."""
    return judge.wave(15_000 if stream[1] > 2 else 60_000, stream[1], stream[2])


@cache
def made(stream: Made) -> bytes:
    """A real stream."""
    rate, _, bits, encoder, options = stream
    return (judge.encoded if encoder == "flac" else judge.by_ffmpeg)(wave(stream), rate, bits, *options)


@cache
def units(stream: Made) -> list[judge.Unit]:
    return judge.units(made(stream))


def variable(sizes: list[int], bits: int = 16, channels: int = 2, *, fixed: bool = False) -> list[bytes]:
    """Head and frames of a stream with these block sizes."""
    writer = judge.Writer(48000, channels, bits, variable=not fixed)
    values = judge.wave(sum(sizes), channels, bits)
    edges = np.cumsum([0, *sizes])
    parts = [writer.head()]
    parts += [writer.frame(values[low:high]) for low, high in zip(edges, edges[1:], strict=False)]
    return parts


def format_of(data: bytes) -> AudioFormat:
    found = detect(data)
    assert found is not None
    return found


def pushed(parts: list[bytes], audio_format: AudioFormat) -> list[Frame | Loss]:
    framer = FlacFramer(audio_format)
    return [item for number, part in enumerate(parts) for item in framer.push(block(part, number / 10))]


def framed(parts: list[bytes], audio_format: AudioFormat) -> list[Frame]:
    """Each frame on its own; nothing may be lost."""
    items = pushed(parts, audio_format)
    assert not [item for item in items if isinstance(item, Loss)]
    return [single for item in items if isinstance(item, Frame) for single in singly(item)]


@pytest.mark.parametrize("stream", STREAMS)
def test_real_streams_are_framed_as_an_independent_reader_does(stream: Made) -> None:
    data = made(stream)
    found, known = framed([data], format_of(data)), units(stream)
    assert len(known) > 2
    # Nothing tells that the last one is complete.
    assert [(frame.data, frame.samples) for frame in found] == [(unit.data, unit.samples) for unit in known[:-1]]
    rate, channels, bits, *_ = stream
    assert {(frame.format.codec, frame.format.sample_rate_hz, frame.format.channels) for frame in found} == {
        ("flac", rate, channels)
    }
    assert {(frame.format.bits, frame.format.sample_format) for frame in found} == {(bits, None)}
    assert {frame.format for frame in found} == {format_of(data)}


@given(cut_places, st.sampled_from(STREAMS))
@settings(max_examples=60)
def test_the_chunks_do_not_matter(cuts: list[int], stream: Made) -> None:
    data = made(stream)
    parts = chunked(data, cuts)
    found = framed(parts, format_of(data))
    assert [frame.data for frame in found] == [unit.data for unit in units(stream)[:-1]]


@pytest.mark.parametrize("size", [7, 700, 1400])
def test_a_frame_comes_as_soon_as_the_next_begins_and_is_stamped_with_its_own_last_byte(size: int) -> None:
    data, known = made(STREAMS[1]), units(STREAMS[1])
    parts = [data[low : low + size] for low in range(0, len(data), size)]
    framer = FlacFramer(format_of(data))
    found: list[Frame] = []
    for number, part in enumerate(parts):
        for item in framer.push(block(part, number / 10)):
            assert isinstance(item, Frame)
            for single in singly(item):
                unit = known[len(found)]
                last, head = (unit.offset + len(unit.data) - 1) // size, (unit.offset + len(unit.data) + 15) // size
                assert number <= head
                assert single.received_at == at(last / 10) or item.borders
                found.append(single)
    assert len(found) == len(known) - 1


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("lost", [1, 3000, 20_000])
def test_a_stream_is_joined_in_its_middle(stream: Made, lost: int) -> None:
    data, known = made(stream), units(stream)
    lost += known[0].offset
    rate, channels, bits, *_ = stream
    expected = [unit for unit in known[:-1] if unit.offset >= lost]
    if len(expected) < 2:
        return
    found = detect(data[lost:])
    assert found == format_of(data)
    assert [frame.data for frame in framed([data[lost:]], found)] == [unit.data for unit in expected]
    assert (found.sample_rate_hz, found.channels, found.bits) == (rate, channels, bits)


@given(st.lists(st.integers(1, 700), min_size=3, max_size=12), st.sampled_from([8, 12, 16, 20, 24]), st.integers(1, 3))
@settings(max_examples=30)
def test_blocks_of_any_size(sizes: list[int], bits: int, channels: int) -> None:
    head, *frames = variable(sizes, bits, channels)
    found = framed([head, *frames], format_of(head))
    assert [(frame.data, frame.samples) for frame in found] == list(zip(frames, sizes, strict=True))[:-1]
    assert {frame.format for frame in found} == {format_of(head)}
    assert found[0].format.bits == bits


def test_frames_that_leave_rate_and_bits_to_the_head() -> None:
    writer = judge.Writer(48000, 2, 20, variable=False, stated=False)
    values = judge.wave(6 * 256, 2, 20)
    head, frames = writer.head(256, 256), [writer.frame(values[n * 256 : n * 256 + 256]) for n in range(6)]
    data = head + b"".join(frames)
    assert [frame.data for frame in framed([data], format_of(data))] == frames[:-1]
    with pytest.raises(CodecError, match="do not state") as caught:
        detect(b"".join(frames))
    assert caught.value.hint


@pytest.mark.parametrize("begun", [True, False])
def test_32_bit_is_refused(begun: bool) -> None:
    writer = judge.Writer(48000, 1, 32, variable=False)
    values = judge.wave(1024, 1, 24)
    data = b"".join(
        [writer.head() if begun else b"", *(writer.frame(values[n : n + 256]) for n in range(0, 1024, 256))]
    )
    with pytest.raises(CodecError, match="32 bit") as caught:
        detect(data)
    assert caught.value.hint


def test_a_head_that_is_damaged_is_refused() -> None:
    assert detect(b"fLaC" + bytes(37)) is None
    with pytest.raises(CodecError, match="head is damaged"):
        detect(b"fLaC" + bytes(38))


def test_headers_inside_of_a_frame_do_no_harm() -> None:
    """Samples are stored as they are, so whole frames can stand in them, with fitting numbers."""
    small = judge.Writer(48000, 1, 8, variable=False)
    values = judge.wave(4 * 16, 1, 8)
    small.number = 1
    inside = b"".join(small.frame(values[n * 16 : n * 16 + 16]) for n in range(4))
    large = judge.Writer(48000, 1, 8, variable=False)
    filled = judge.wave(5 * 1000, 1, 8)
    for number in range(5):
        begin = number * 1000 + 300
        filled[begin : begin + len(inside), 0] = np.frombuffer(inside, np.int8)
    frames = [large.frame(filled[n * 1000 : n * 1000 + 1000]) for n in range(5)]
    assert inside in frames[0]
    head = large.head(1000, 1000)
    for size in (100, 400, 1300, 10_000):
        data = head + b"".join(frames)
        found = framed([data[low : low + size] for low in range(0, len(data), size)], format_of(data))
        assert [frame.data for frame in found] == frames[:-1]


def test_what_comes_together_is_one_frame() -> None:
    data, known = made(STREAMS[0]), units(STREAMS[0])
    (frame,) = pushed([data], format_of(data))
    assert isinstance(frame, Frame)
    assert frame.data == b"".join(unit.data for unit in known[:-1])
    assert [single.samples for single in singly(frame)] == [unit.samples for unit in known[:-1]]


# --- damage ----------------------------------------------------------------------------------------------------------


def assert_told(items: list[Frame | Loss], known: list[judge.Unit]) -> set[int]:
    """Everything that came is right, and what did not is told, sample by sample; which frames came."""
    places = {unit.data: number for number, unit in enumerate(known)}
    starts = [0, *np.cumsum([unit.samples for unit in known]).tolist()]
    position: int | None = None
    came = set()
    for item in items:
        if isinstance(item, Loss):
            assert item.cause is GapCause.CORRUPT
            assert item.samples
            assert position is not None
            position += item.samples
            continue
        for single in singly(item):
            number = places[single.data]
            assert number not in came
            came.add(number)
            assert position in (None, starts[number])
            position = starts[number] + single.samples
    return came


def damaged(data: bytes, first: int, seed: int) -> tuple[bytes, list[tuple[int, int]]]:
    """The data with up to four things done to it behind `first`; what was touched, as ranges of the original."""
    random = np.random.default_rng(seed)
    places = sorted(random.integers(first, len(data), random.integers(1, 5)).tolist())
    result, done, touched = b"", 0, []
    for place in places:
        if place < done:
            continue
        size = int(random.integers(1, 4000))
        kind = random.integers(5)
        result += data[done:place]
        end = min(len(data), place + size)
        if kind == 0:  # a bit
            end = place + 1
            result += bytes([data[place] ^ 1 << int(random.integers(8))])
        elif kind == 1:  # rubbish instead
            result += random.bytes(end - place)
        elif kind == 2:  # zeros instead
            result += bytes(end - place)
        elif kind == 3:  # rubbish between
            end = place
            result += random.bytes(size)
        touched.append((place, end))  # or nothing instead
        done = end
    return result + data[done:], touched


def check_damage(seed: int) -> None:
    stream = STREAMS[seed % len(STREAMS)]
    data, known = made(stream), units(stream)
    broken, touched = damaged(data, known[1].offset, seed)
    random = np.random.default_rng(seed)
    parts = chunked(broken, random.integers(0, len(broken), random.integers(0, 30)).tolist())
    items = pushed(parts, format_of(data))
    came = assert_told(items, known)
    for number, unit in enumerate(known[:-1]):
        low, high = unit.offset, unit.offset + len(unit.data)
        # A frame whose neighbour's header is gone cannot be told from one that is cut off.
        hurt = any(start <= high + 16 and end >= low for start, end in touched)
        assert hurt or number in came or _is_held_back(number, came, touched, known), (seed, number)


def _is_held_back(number: int, came: set[int], touched: list[tuple[int, int]], known: list[judge.Unit]) -> bool:
    """Whether nothing came after it at all, because the stream ended while damage was still being weighed."""
    hurt = max(index for index, unit in enumerate(known) if any(end >= unit.offset - 16 for _, end in touched))
    return number > max(came, default=-1) and len(known) - hurt <= 10


@pytest.mark.parametrize("batch", range(5))
def test_damage_costs_what_is_damaged_and_is_told_to_the_sample(batch: int) -> None:
    for seed in range(100 * batch, 100 * batch + 100):
        check_damage(seed)


@pytest.mark.long
@pytest.mark.parametrize("batch", range(20))
def test_ten_thousand_damages(batch: int) -> None:
    for seed in range(1000 + 500 * batch, 1500 + 500 * batch):
        check_damage(seed)


def test_headers_without_frames_keep_nobody_busy() -> None:
    head = units(STREAMS[0])[1].data[:6]
    begin = time.process_time()
    for data in (head * 8000, b"".join(unit.data[:6] for unit in units(STREAMS[0])[:9]) * 900):
        assert pushed(chunked(data, list(range(0, len(data), 4096))), format_of(made(STREAMS[0]))) == []
        assert detect(data) is None
    assert time.process_time() - begin < 20


@given(st.binary(max_size=2000), cut_places)
def test_any_bytes_are_passed_over(data: bytes, cuts: list[int]) -> None:
    assert pushed(chunked(data, cuts), format_of(made(STREAMS[0]))) == []


def test_damage_in_silence_is_known_a_few_frames_later() -> None:
    """A frame of silence takes some bytes: nobody waits for as many as a loud one would take."""
    frames = [unit.data for unit in judge.units(judge.encoded(np.zeros((60 * 4096, 2), np.int32), 48000, 16))]
    assert max(len(frame) for frame in frames) < 20
    head = format_of(made((48000, 2, 16, "flac", ())))
    framer, came = FlacFramer(head), 0
    for number, frame in enumerate(frames):
        data = bytearray(frame)
        if number == 20:
            data[-1] ^= 1
        for item in framer.push(block(bytes(data), number / 10)):
            if isinstance(item, Loss):
                assert (item.samples, came, number) == (4096, 20, 28)
            else:
                came += len(singly(item))
    assert came == len(frames) - 2


# --- streams that change ---------------------------------------------------------------------------------------------


def test_a_stream_that_starts_again_goes_on() -> None:
    data, known = made(STREAMS[9]), [unit.data for unit in units(STREAMS[9])]
    found = framed([data, data, data], format_of(data))
    assert [frame.data for frame in found] == (3 * known)[:-1]
    formats = list(dict.fromkeys(frame.format for frame in found))
    # The last frame of a song is shorter, and a file of frames that are counted cannot hold one in its middle.
    assert len(formats) == 2
    assert [frame.format for frame in found].index(formats[1]) == len(known)
    assert len({audio_format.plain for audio_format in formats}) == 1


def test_a_stream_that_changes_goes_on() -> None:
    parts = [made(STREAMS[number]) for number in (0, 2, 1, 0)]
    known = [unit.data for number in (0, 2, 1, 0) for unit in units(STREAMS[number])]
    found = framed(parts, format_of(parts[0]))
    assert [frame.data for frame in found] == known[:-1]
    changes = [number for number in range(1, len(found)) if found[number].format != found[number - 1].format]
    assert [found[number].format for number in [0, *changes]] == [format_of(part) for part in parts]


def test_other_numbers_without_damage_are_another_stream() -> None:
    data, known = made(STREAMS[0]), [unit.data for unit in units(STREAMS[0])[:-1]]
    assert [frame.data for frame in framed([data[: -len(units(STREAMS[0])[-1].data)], *known], format_of(data))] == (
        2 * known
    )[:-1]


def test_frames_that_the_server_left_out_are_told() -> None:
    data, known = made(STREAMS[1]), units(STREAMS[1])
    gone = known[5].offset, known[9].offset
    items = pushed([data[: gone[0]] + data[gone[1] :]], format_of(data))
    (lost,) = [item for item in items if isinstance(item, Loss)]
    assert lost.samples == 4 * 1152
    assert len(assert_told(items, known)) == len(known) - 5


def test_a_damaged_end_of_a_song_is_told() -> None:
    data, known = made(STREAMS[0]), units(STREAMS[0])
    broken = bytearray(data)
    broken[-10] ^= 4
    items = pushed([bytes(broken), data], format_of(data))
    (lost,) = [item for item in items if isinstance(item, Loss)]
    assert lost.samples == known[-1].samples


def test_a_song_of_32_bit_in_between_is_told() -> None:
    data = made(STREAMS[0])
    writer = judge.Writer(48000, 1, 32, variable=False)
    values = judge.wave(4096, 1, 24)
    song = writer.head() + b"".join(writer.frame(values[n : n + 256]) for n in range(0, 4096, 256))
    items = pushed([data, song, data], format_of(data))
    losses = [item for item in items if isinstance(item, Loss)]
    assert "32 bit" in losses[0].detail
    samples = sum(item.samples for item in items if isinstance(item, Frame))
    assert samples == 2 * 60_000 - units(STREAMS[0])[-1].samples
