"""Ogg streams as they come from a server: whole, joined in the middle, chained, damaged."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codecs import decoder
from agent.codecs.detect import detect
from agent.codecs.ogg_pages import PageReader
from agent.errors import CodecError
from agent.model import AudioFormat, Frame, GapCause, Loss, Title
from tests.agent.build import at, chunked, cut_places, singly
from tests.agent.codecs.ogg_material import (
    OPUS,
    STREAMS,
    VORBIS,
    format_of,
    frames_of,
    oggenc,
    packets_by_ffmpeg,
    packets_of,
    page,
    paged,
    pages_of,
    real_ogg,
    units_of,
)

PRIMING = {"vorbis": 1, "opus": 4}


def head_pages(data: bytes) -> int:
    """How many pages hold the headers."""
    reader, pages, packets, number = PageReader(), pages_of(data), list[bytes](), 0
    while len(packets) < (3 if b"vorbis" in data[:60] else 2):
        packets += [packet for found in reader.push(pages[number]) for packet in found.packets]
        number += 1
    return number


def split_at(data: bytes) -> tuple[bytes, list[bytes]]:
    """The headers, and the pages of audio."""
    pages, count = pages_of(data), head_pages(data)
    return b"".join(pages[:count]), pages[count:]


def truth(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Where each packet begins and ends, from FFmpeg's packets and the lengths of the undamaged stream."""
    (start, frames) = 0, frames_of(data)
    places = {}
    for single in (single for frame in frames for single in singly(frame)):
        places[single.data] = (start, start + single.samples)
        start += single.samples
    assert set(places) <= set(packets_by_ffmpeg(data))
    return places


@pytest.mark.parametrize(("codec", "rate", "channels"), STREAMS)
def test_real_streams_are_framed_as_an_independent_reader_does(codec: str, rate: int, channels: int) -> None:
    data = real_ogg(codec, rate, channels)
    name = codec.removeprefix("lib")
    frames = frames_of(data)
    # A stream from its beginning: one packet primes, and is in no frame.
    assert [*frames[0].priming, *packets_of(frames)] == packets_by_ffmpeg(data)
    assert len(frames[0].priming) == 1
    assert {frame.format.plain for frame in frames} == {AudioFormat(name, rate, channels)}
    assert {frame.format for frame in frames} == {detect(data)}


@pytest.mark.parametrize(("codec", "rate", "channels"), STREAMS)
def test_the_lengths_are_those_of_the_granule_positions(codec: str, rate: int, channels: int) -> None:
    pages = split_at(real_ogg(codec, rate, channels))[1]
    reader, start = PageReader(), None
    lengths = {single.data: single.samples for f in frames_of(real_ogg(codec, rate, channels)) for single in singly(f)}
    for found in [found for data in pages for found in reader.push(data)][:-1]:  # the last one is clipped
        assert found.granule is not None
        if start is not None:
            assert found.granule - start == sum(lengths[packet] for packet in found.packets)
        start = found.granule


@pytest.mark.parametrize(
    ("ms", "options"),
    [(2.5, ""), (5, ""), (10, ""), (20, ""), (40, ""), (60, ""), (20, "-b:a 8k"), (60, "-b:a 12k"), (10, "-b:a 24k")],
)
def test_every_kind_of_opus_packet_has_its_length(ms: float, options: str) -> None:
    """CELT, SILK and hybrid, one frame in a packet or several."""
    application = "voip" if options else "audio"
    data = real_ogg("libopus", 48000, 1, extra=f"-frame_duration {ms} -application {application} {options}")
    frames = frames_of(data)
    assert {single.samples for frame in frames for single in singly(frame)} == {round(48 * ms)}
    meter = decoder(frames[0].format)
    for frame in frames:
        samples = meter.push(frame)
        assert samples.shape == (1, frame.samples)
        assert not (samples != samples).any()


@pytest.mark.parametrize("quality", [-1, 0, 4, 10])
def test_the_pages_of_the_reference_encoder(quality: int) -> None:
    data = oggenc(quality)
    units = units_of([data])
    assert units[0] == Title("Wind - Lärm", at(0))
    frames = [unit for unit in units if isinstance(unit, Frame)]
    assert len(frames) == len(units) - 1
    assert [*frames[0].priming, *packets_of(frames)] == packets_by_ffmpeg(data)


@pytest.mark.parametrize(("codec", "rate", "channels"), [VORBIS, OPUS])
def test_a_decoder_gives_the_samples_of_each_frame(codec: str, rate: int, channels: int) -> None:
    units = units_of(chunked(real_ogg(codec, rate, channels), list(range(0, 300000, 4096))))
    frames = [unit for unit in units if isinstance(unit, Frame)]
    assert len(frames) > 5
    meter = decoder(frames[0].format)
    for frame in frames:
        samples = meter.push(frame)
        assert samples.shape == (channels, frame.samples)
        assert not (samples != samples).any()


@given(cut_places, st.sampled_from([VORBIS, OPUS]))
@settings(max_examples=40, deadline=None)
def test_the_chunks_do_not_matter(cuts: list[int], stream: tuple[str, int, int]) -> None:
    data = real_ogg(*stream)
    parts = chunked(data, cuts)
    units = units_of(parts)
    frames = [unit for unit in units if isinstance(unit, Frame)]
    assert len(frames) == len(units)
    assert packets_of(frames) == packets_of(frames_of(data))
    before = [*frames[0].priming]
    for frame in frames:
        assert tuple(before[len(before) - len(frame.priming) :]) == frame.priming
        assert len(frame.priming) >= min(PRIMING[frame.format.codec], len(before))
        before += packets_of([frame])
    # A frame is stamped with the block that brought the last byte of its page.
    ends = [sum(map(len, parts[: number + 1])) for number in range(len(parts))]
    page_ends = [sum(map(len, pages_of(data)[: number + 1])) for number in range(len(pages_of(data)))]
    for frame in frames:
        behind = next(end for end in page_ends if end >= data.find(packets_of([frame])[-1][-200:]) + 1)
        assert frame.received_at == at(next(number for number, end in enumerate(ends) if end >= behind) / 10)


@pytest.mark.parametrize(("codec", "rate", "channels"), STREAMS)
@pytest.mark.parametrize("segments", [1, 3, 7, 100, 255])
def test_packets_that_go_on_from_page_to_page(codec: str, rate: int, channels: int, segments: int) -> None:
    data = real_ogg(codec, rate, channels, seconds=10.0)
    head, _ = split_at(data)
    serial = int.from_bytes(data[14:18], "little")
    frames = frames_of(data)
    packets, position = [(frames[0].priming[0], 0)], 0
    for single in (single for frame in frames for single in singly(frame)):
        position += single.samples
        packets.append((single.data, position))
    pages = paged(packets, segments_each=segments, serial=serial, first=head_pages(data))
    again = frames_of(head + b"".join(pages))
    assert packets_of(again) == packets_of(frames)
    # Joined on a page that begins in the middle of a packet: that packet is dropped, the next ones prime.
    joined = frames_of(head + b"".join(pages[len(pages) // 2 :]))
    assert packets_of(joined) == packets_of(frames)[-len(packets_of(joined)) :]
    assert len(joined[0].priming) == PRIMING[frames[0].format.codec]
    behind = segments * (len(pages) // 2)
    begins = [sum(len(packet) // 255 + 1 for packet, _ in packets[:number]) for number in range(len(packets))]
    assert len(packets_of(joined)) == sum(begin >= behind for begin in begins) - len(joined[0].priming)


@pytest.mark.parametrize(("codec", "rate", "channels"), [VORBIS, OPUS])
def test_a_server_lets_us_in_at_any_place(codec: str, rate: int, channels: int) -> None:
    """Icecast: the headers, then the pages from now on. What primes is in no frame, and nothing is lost."""
    head, pages = split_at(real_ogg(codec, rate, channels))
    all_packets = packets_by_ffmpeg(real_ogg(codec, rate, channels))
    for first in range(1, len(pages) - 1):
        frames = frames_of(head + b"".join(pages[first:]))
        packets = [*frames[0].priming, *packets_of(frames)]
        assert packets == all_packets[-len(packets) :]
        assert len(frames[0].priming) == PRIMING[frames[0].format.codec]


# --- chained ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "rate", "channels"), [VORBIS, OPUS])
def test_songs_with_the_same_set_up_follow_in_one_format(codec: str, rate: int, channels: int) -> None:
    songs = [
        real_ogg(codec, rate, channels, seconds=2.0, seed=seed, tags=f"artist=A{seed}|title=Lied {seed} ♪")
        for seed in range(3)
    ]
    units = units_of([b"".join(songs)])
    assert not any(isinstance(unit, Loss) for unit in units)
    assert [unit.text for unit in units if isinstance(unit, Title)] == [f"A{n} - Lied {n} ♪" for n in range(3)]
    frames = [unit for unit in units if isinstance(unit, Frame)]
    assert len({frame.format for frame in frames}) == 1
    expected = [packet for song in songs for packet in packets_by_ffmpeg(song)]
    assert [*frames[0].priming, *packets_of(frames)] == expected
    # Each title stands before the first packet of its song.
    kinds = [type(unit) for unit in units]
    assert kinds[0] is Title
    second = units[kinds.index(Title, 1) :]
    first_frame = next(unit for unit in second if isinstance(unit, Frame))
    assert packets_of([first_frame])[0] == packets_by_ffmpeg(songs[1])[0]
    assert decoder(frames[0].format).push(frames[0]).shape[1] == frames[0].samples


def test_a_song_with_another_set_up_has_another_format() -> None:
    one, other = real_ogg(*VORBIS, seconds=2.0), oggenc(8, 2.0)
    opus = real_ogg(*OPUS, seconds=2.0)
    units = units_of([one + other + opus + one])
    assert not any(isinstance(unit, Loss) for unit in units)
    frames = [unit for unit in units if isinstance(unit, Frame)]
    formats = list(dict.fromkeys(frame.format for frame in frames))
    assert formats == [format_of(one), format_of(other), format_of(opus)]
    assert [unit.text for unit in units if isinstance(unit, Title)] == ["Wind - Lärm", ""]
    for begin, end in pairwise(frames):
        if begin.format != end.format:
            assert end.priming[-1] not in packets_of([begin])
    assert frames[-1].format == format_of(one)
    assert sum(len(packets_of([frame])) for frame in frames) == sum(
        len(packets_by_ffmpeg(song)) - 1 for song in (one, other, opus, one)
    )


def test_a_server_may_change_to_the_middle_of_another_stream() -> None:
    """A fallback mount: new headers, then pages whose granule positions begin anywhere."""
    one = real_ogg(*OPUS, seconds=2.0)
    head, pages = split_at(real_ogg(*OPUS, seconds=4.0, seed=9))
    units = units_of([one + head + b"".join(pages[9:])])
    assert not any(isinstance(unit, Loss) for unit in units)
    assert (
        packets_of([unit for unit in units if isinstance(unit, Frame)])[-1]
        == packets_by_ffmpeg(real_ogg(*OPUS, seconds=4.0, seed=9))[-1]
    )


def skeleton(flags: int, sequence: int, body: bytes) -> bytes:
    return page(4711, sequence, [body], 0, flags)


def test_other_streams_beside_the_audio_are_ignored() -> None:
    head, pages = split_at(real_ogg(*VORBIS))
    first, *others = pages_of(head)
    theora = page(99, 0, [b"\x80theora" + bytes(35)], 0, 2)
    data = skeleton(2, 0, b"fishead\0" + bytes(56)) + theora + first + skeleton(0, 1, b"fisbone\0" + bytes(44))
    data += b"".join(others)
    for number, own in enumerate(pages):
        data += own + page(99, number + 1, [bytes([number]) * 200], number, 0)
    assert format_of(data) == format_of(real_ogg(*VORBIS))
    assert packets_of(frames_of(data)) == packets_of(frames_of(real_ogg(*VORBIS)))


def test_of_two_audio_streams_side_by_side_the_first_is_taken() -> None:
    one, two = real_ogg(*OPUS), real_ogg(*VORBIS)
    firsts = pages_of(one)[0] + pages_of(two)[0]
    rest = b"".join(a + b for a, b in zip(pages_of(one)[1:], pages_of(two)[1:], strict=False))
    rest += b"".join(pages_of(one)[len(pages_of(two)) :])
    assert format_of(firsts + rest) == format_of(one)
    assert packets_of(frames_of(firsts + rest)) == packets_of(frames_of(one))


# --- losses ----------------------------------------------------------------------------------------------------------


def check_against_truth(units: list[Frame | Title | Loss], places: dict[bytes, tuple[int, int]]) -> set[bytes]:
    """Samples and losses give every packet the place that it has in the whole stream; the packets."""
    position, seen = None, set[bytes]()
    for unit in units:
        if isinstance(unit, Loss):
            assert unit.cause is GapCause.CORRUPT
            assert position is not None, "a loss before the first frame"
            assert unit.samples is not None
            position += unit.samples
        elif isinstance(unit, Frame):
            for single in singly(unit):
                begin, end = places[single.data]
                assert single.samples == end - begin
                assert position in (None, begin)
                position = end
                seen.add(single.data)
    return seen


def without_last_page(data: bytes) -> bytes:
    return b"".join(pages_of(data)[:-1])


@pytest.mark.parametrize(("codec", "rate", "channels"), STREAMS)
def test_a_lost_page_is_a_loss_of_its_length(codec: str, rate: int, channels: int) -> None:
    data = real_ogg(codec, rate, channels)
    places = truth(data)
    head, pages = split_at(without_last_page(data))
    order = list(places)
    for lost in range(1, len(pages) - 1):
        units = units_of([head + b"".join(pages[:lost] + pages[lost + 1 :])])
        seen = check_against_truth(units, places)
        losses = [unit for unit in units if isinstance(unit, Loss)]
        assert len(losses) == 1
        (on_page,) = [found.packets for found in PageReader().push(pages[lost])]
        behind = order.index(on_page[-1]) + 1
        missing = [packet for packet in order if packet not in seen and places[packet][1] <= places[order[-1]][1]]
        warm = order[behind : behind + PRIMING[format_of(data).codec]]
        tail = [packet for found in PageReader().push(pages_of(data)[-1]) for packet in found.packets]
        assert [packet for packet in missing if packet not in tail] == [*on_page, *warm]
        after = [unit for unit in units[units.index(losses[0]) :] if isinstance(unit, Frame)]
        assert after[0].priming == tuple(warm)


def test_a_hole_in_the_granule_positions_is_a_loss() -> None:
    """The encoder's own: no page is missing, but the clock of the stream has moved on."""
    head, pages = split_at(without_last_page(real_ogg(*OPUS)))
    serial, moved = int.from_bytes(head[14:18], "little"), []
    for number, found in enumerate(found for data in pages for found in PageReader().push(data)):
        granule = (found.granule or 0) + (48000 if number >= 5 else 0)
        packets = [(packet, granule) for packet in found.packets]
        moved += paged(packets, segments_each=255, serial=serial, first=found.sequence)
    units = units_of([head + b"".join(moved)])
    assert [unit.samples for unit in units if isinstance(unit, Loss)] == [48000]
    frames = [unit for unit in units if isinstance(unit, Frame)]
    assert packets_of(frames) == packets_of(frames_of(without_last_page(real_ogg(*OPUS))))


@pytest.mark.parametrize(("codec", "rate", "channels"), [VORBIS, OPUS])
def test_a_song_whose_headers_are_damaged_is_a_loss(codec: str, rate: int, channels: int) -> None:
    songs = [real_ogg(codec, rate, channels, seconds=2.0, seed=seed) for seed in range(3)]
    for number in range(head_pages(songs[1])):
        for without in (True, False):
            pages = pages_of(songs[1])
            pages[number] = b"" if without else pages[number][:40] + b"\0\0" + pages[number][42:]
            units = units_of([songs[0], *pages, songs[2]])
            (loss,) = [unit for unit in units if isinstance(unit, Loss)]
            assert loss.samples is None  # the clock will tell
            place = units.index(loss)
            before = [unit for unit in units[:place] if isinstance(unit, Frame)]
            behind = [unit for unit in units[place:] if isinstance(unit, Frame)]
            assert packets_of(before) == packets_of(frames_of(songs[0]))
            assert packets_of(behind) == packets_of(frames_of(songs[2]))


@pytest.mark.parametrize(("codec", "rate", "channels"), [VORBIS, OPUS])
def test_damage_between_two_songs_is_a_loss(codec: str, rate: int, channels: int) -> None:
    songs = [real_ogg(codec, rate, channels, seconds=2.0, seed=seed) for seed in range(2)]
    one, (head, pages) = pages_of(songs[0]), split_at(songs[1])
    rubbish = b"?" * 300
    # The end of a song: how much is missing, nobody can know.
    units = units_of([*one[:-2], rubbish, head, *pages])
    assert [unit.samples for unit in units if isinstance(unit, Loss)] == [None]
    # The beginning of one: its granule positions begin with 0.
    units = units_of([*one, head, rubbish, *pages[2:]])
    (loss,) = [unit for unit in units if isinstance(unit, Loss)]
    seen = next(unit for unit in units[units.index(loss) :] if isinstance(unit, Frame))
    places = truth(songs[1])
    first = places[packets_of([seen])[0]][0]
    assert loss.samples == first + (0 if codec == "libvorbis" else 960)  # with the packet that only primes
    # Rubbish where nothing is missing is none.
    units = units_of([*one, rubbish, head, rubbish, *pages[:3], rubbish, *pages[3:]])
    assert not any(isinstance(unit, Loss) for unit in units)


def test_the_last_page_may_be_empty() -> None:
    """Its packets may all have been lost before; then the next song has a loss before it."""
    songs = [real_ogg(*OPUS, seconds=2.0, seed=seed) for seed in range(2)]
    pages = pages_of(songs[0])
    serial = int.from_bytes(pages[0][14:18], "little")
    for lost, losses in ((0, []), (1, [None])):
        empty = page(serial, len(pages) - 1, [], 95000, 4)
        units = units_of([*pages[: len(pages) - 1 - lost], empty, songs[1]])
        assert [unit.samples for unit in units if isinstance(unit, Loss)] == losses


@pytest.mark.parametrize("granules", ["none", "backwards", "huge", "negative", "standing", "random"])
@pytest.mark.parametrize(("codec", "rate", "channels"), [VORBIS, OPUS])
def test_granule_positions_that_are_none_break_nothing(codec: str, rate: int, channels: int, granules: str) -> None:
    data = without_last_page(real_ogg(codec, rate, channels))
    head, pages = split_at(data)
    serial, rng, moved = int.from_bytes(head[14:18], "little"), random.Random(1), []
    for number, found in enumerate(found for one in pages for found in PageReader().push(one)):
        wrong = {
            "none": -1,
            "backwards": 1 << 40,
            "huge": (1 << 62) * (number % 2) + number,
            "negative": -5 - number,
            "standing": 1000,
            "random": rng.randrange(-(1 << 63), 1 << 63),
        }[granules]
        wrong -= 50000 * number if granules == "backwards" else 0
        packets = [(packet, wrong) for packet in found.packets]
        moved += paged(packets, segments_each=255, serial=serial, first=found.sequence)
    units = units_of([head + b"".join(moved)])
    frames = [unit for unit in units if isinstance(unit, Frame)]
    assert packets_of(frames) == packets_of(frames_of(data))
    for unit in units:
        if isinstance(unit, Loss):
            assert unit.samples is None or unit.samples <= 60 * rate
    if granules not in ("huge", "random"):
        assert len(frames) == len(units)


def damaged(data: bytes, rng: random.Random) -> tuple[bytes, set[int]]:
    """The stream with a few places flipped, cut out or filled in, and which of its pages that has hit."""
    pages, hit = pages_of(data), set[int]()
    for _ in range(rng.randint(1, 4)):
        number = rng.randrange(len(pages))
        hit.add(number)
        old = pages[number]
        place = rng.randrange(len(old)) if old else 0
        kind = rng.randrange(4)
        if kind == 0 and old:
            pages[number] = old[:place] + bytes([old[place] ^ rng.randrange(1, 256)]) + old[place + 1 :]
        elif kind == 1:
            pages[number] = old[:place]
        elif kind == 2:
            pages[number] = old[:place] + rng.randbytes(rng.randint(1, 400)) + old[place:]
        else:
            pages[number] = b""
    return b"".join(pages), hit


def survives_damage(seed: int) -> None:
    rng = random.Random(seed)
    stream = rng.choice([VORBIS, OPUS, STREAMS[1], STREAMS[5]])
    data = without_last_page(real_ogg(*stream))
    places, priming = truth(data), PRIMING[format_of(data).codec]
    head, pages = split_at(data)
    bad, hit = damaged(b"".join(pages), rng)
    chunks = chunked(head + bad, [rng.randrange(1 << 24) for _ in range(rng.choice([0, 3, 30]))])
    units = units_of(chunks, format_of(data))
    seen = check_against_truth(units, places)
    owed, cold = [], len(frames_of(data)[0].priming) if 0 not in hit else priming
    for number, one in enumerate(pages):
        packets = [packet for found in PageReader().push(one) for packet in found.packets]
        if number in hit:
            cold = priming
            continue
        owed += packets[cold:]
        cold = max(0, cold - len(packets))
    # A truncation may have cut off nothing, and what was filled in may stand before a page: more is no fault.
    assert not [packet for packet in owed if packet in places and packet not in seen]


@pytest.mark.parametrize("seed", range(0, 500, 100))
def test_damage_costs_only_what_is_damaged(seed: int) -> None:
    for number in range(seed, seed + 100):
        survives_damage(number)


@pytest.mark.long
def test_damage_costs_only_what_is_damaged_ten_thousand_times() -> None:
    for number in range(500, 10_500):
        survives_damage(number)


def test_damage_anywhere_headers_too_raises_nothing() -> None:
    songs = [real_ogg(*stream, seconds=2.0) for stream in (VORBIS, OPUS)]
    known = {packet for song in songs for packet in packets_by_ffmpeg(song)}
    for seed in range(200):
        rng = random.Random(seed)
        bad, _ = damaged(b"".join(rng.choice(songs) for _ in range(3)), rng)
        for unit in units_of([bad], format_of(songs[0])):
            if isinstance(unit, Frame):
                assert known.issuperset(packets_of([unit]))
                assert unit.samples > 0


@given(st.binary(max_size=300), st.integers(0, 1 << 20), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_any_packets_have_a_length_or_none(rubbish: bytes, seed: int, size: int) -> None:
    """Pages in order, with packets that are none: passed over, or decoded as far as they go."""
    rng = random.Random(seed)
    stream = rng.choice([VORBIS, OPUS])
    head = split_at(real_ogg(*stream))[0]
    packets = [(rng.randbytes(rng.randrange(0, 4 * size)) + rubbish[:n], 1000 * n) for n in range(20)]
    pages = paged(packets, segments_each=5, serial=int.from_bytes(head[14:18], "little"), first=head_pages(head))
    for unit in units_of([head + b"".join(pages)]):
        if isinstance(unit, Frame):
            assert decoder(unit.format).push(unit).shape == (unit.format.channels, unit.samples)


# --- recognising -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "rate", "channels"), STREAMS)
def test_it_is_known_when_the_headers_are_there(codec: str, rate: int, channels: int) -> None:
    data = real_ogg(codec, rate, channels)
    head, _ = split_at(data)
    known = [length for length in range(4, len(head) + 200, 13) if detect(data[:length]) is not None]
    assert known
    assert known[0] >= len(head)
    assert known[0] < len(head) + 13
    found = detect(data)
    assert found is not None
    assert found.plain == AudioFormat(codec.removeprefix("lib"), rate, channels)


@pytest.mark.parametrize(
    ("magic", "name"), [(b"\x80theora", "Theora"), (b"Speex   ", "Speex"), (b"\x7fABCD", "an unknown codec")]
)
def test_another_codec_is_named(magic: bytes, name: str) -> None:
    data = page(1, 0, [magic + bytes(60)], 0, 2) + page(1, 1, [bytes(100)], 0, 0)
    with pytest.raises(CodecError, match=name) as caught:
        detect(data)
    assert caught.value.hint


def test_headers_without_end_are_given_up() -> None:
    first, *_ = pages_of(real_ogg(*VORBIS))
    serial = int.from_bytes(first[14:18], "little")
    flood = b"".join(page(serial, number, [b"x" * 255] * 200, -1, number > 1) for number in range(1, 4))
    assert detect(first + flood) is None
    with pytest.raises(CodecError, match="256 KiB"):
        detect(first + flood + bytes(256 << 10))


@pytest.mark.parametrize("channels", [0, 9, 255])
def test_channels_that_cannot_be_recorded_are_refused(channels: int) -> None:
    head = b"OpusHead\1" + bytes([channels]) + bytes(2) + (48000).to_bytes(4, "little") + bytes(3)
    data = page(1, 0, [head], 0, 2) + page(1, 1, [b"OpusTags" + bytes(8)], 0, 0)
    with pytest.raises(CodecError):
        detect(data)


@given(st.binary(max_size=200))
def test_any_comments_have_a_title_or_none(comments: bytes) -> None:
    head = b"OpusHead\1\2" + bytes(2) + (48000).to_bytes(4, "little") + bytes(3)
    tags = b"OpusTags" + comments
    segments = [tags[low : low + 255] for low in range(0, len(tags) + 1, 255)]
    assert detect(page(1, 0, [head], 0, 2) + page(1, 1, segments, 0, 0)) is not None
