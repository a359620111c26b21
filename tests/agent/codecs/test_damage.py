"""What is no audio in the middle of a stream: MP3 and AAC are damaged, cut and tagged, and their framers tell."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codecs import framer
from agent.model import AudioFormat, Frame, GapCause, Loss
from tests.agent.build import at, block, chunked, cut_places, real_mp3, singly
from tests.parts import adts, mp3

TRIALS, TRIALS_LONG = 500, 10_000
SONG = "aevalsrc='0.4*sin(2*PI*440*t)*(1+sin(2*PI*3*t))+0.2*(random(0)-0.5)':s=44100"


@dataclass(frozen=True)
class Stream:
    """A sound stream and where its packets lie."""

    format: AudioFormat
    data: bytes
    places: tuple[int, ...]
    samples: int

    @property
    def packets(self) -> list[bytes]:
        edges = (*self.places, len(self.data))
        return [self.data[low:high] for low, high in zip(edges, edges[1:], strict=False)]


@cache
def stream(name: str) -> Stream:
    codec, _, kind = name.partition(" ")
    if codec == "mp3":
        data = real_mp3(44100, 2, 4.0, variable=kind == "variable")
        return Stream(AudioFormat("mp3", 44100, 2), data, tuple(one.offset for one in mp3.frames(data)), 1152)
    rate, channels = (24000, 1) if kind == "mono" else (44100, 2)
    data = adts.encoded(
        rate, channels, 4.0, bit_rate="128k", sound=SONG if kind == "song" else "anoisesrc=a=0.3:seed=7"
    )
    return Stream(AudioFormat("aac", rate, channels), data, tuple(one.offset for one in adts.packets(data)), 1024)


STREAMS = ["mp3", "mp3 variable", "aac", "aac song", "aac mono"]


def framed(audio_format: AudioFormat, parts: Sequence[bytes]) -> tuple[list[bytes], list[Loss], list[Frame | Loss]]:
    """The packets, the losses, and all as it came."""
    one = framer(audio_format)
    units = [unit for number, part in enumerate(parts) for unit in one.push(block(part, number / 10))]
    kept = [unit for unit in units if isinstance(unit, Frame | Loss)]
    assert len(kept) == len(units)
    packets = [single.data for unit in kept if isinstance(unit, Frame) for single in singly(unit)]
    return packets, [unit for unit in kept if isinstance(unit, Loss)], kept


def pieces(data: bytes, moments: random.Random) -> list[bytes]:
    return chunked(data, [moments.randrange(1 << 24) for _ in range(moments.choice([0, 1, 5, 40]))])


def overwritten(data: bytes, begin: int, end: int, moments: random.Random) -> bytes:
    kind = moments.randrange(4)
    if kind == 0:
        return data[:begin] + bytes(end - begin) + data[end:]
    if kind == 1:
        return data[:begin] + moments.randbytes(end - begin) + data[end:]
    if kind == 2:
        return data[:begin] + b"\xff" * (end - begin) + data[end:]
    flipped = bytearray(data)
    for _ in range(moments.randrange(1, 6)):
        flipped[moments.randrange(begin, end)] ^= 1 << moments.randrange(8)
    return bytes(flipped)


def damaged_once(good: Stream, moments: random.Random) -> tuple[bytes, int, int]:
    """The stream with other bytes in the place of some, and where."""
    begin = moments.randrange(len(good.data) // 3, 2 * len(good.data) // 3)
    end = begin + moments.choice([1, 4, moments.randrange(1, 100), moments.randrange(1, 5000)])
    return overwritten(good.data, begin, end, moments), begin, end


def check_damage_that_keeps_the_byte_count(trials: range) -> None:
    for seed in trials:
        moments = random.Random(seed)
        good = stream(moments.choice(STREAMS))
        data, begin, end = damaged_once(good, moments)
        packets, losses, _ = framed(good.format, pieces(data, moments))
        before = [one for one, place in zip(good.packets, good.places, strict=True) if place + len(one) <= begin]
        behind = [one for one, place in zip(good.packets, good.places, strict=True) if place >= end]
        assert packets[: len(before)] == before, f"seed {seed}: a packet before the damage is missing"
        assert packets[len(packets) - len(behind) :] == behind, f"seed {seed}: a packet behind the damage is missing"
        told = len(packets) * good.samples + sum(loss.samples or 0 for loss in losses)
        off = told / good.samples - len(good.packets)
        # Where the damage hides that packets become five times as long, nobody can tell how many there were.
        assert abs(off) <= (4 if good is stream("mp3 variable") else 2), f"seed {seed}: {off} packets"


def check_damage_of_any_kind(trials: range) -> None:
    """Bytes changed, taken out and put in at several places: what lies well between them is not lost."""
    for seed in trials:
        moments = random.Random(seed)
        good = stream(moments.choice(STREAMS))
        data, kept, done = b"", [], 0
        for _ in range(moments.randrange(1, 5)):
            begin = moments.randrange(done, len(good.data) + 1)
            end = min(len(good.data), begin + moments.choice([0, 1, 200, moments.randrange(3000)]))
            put_in = moments.randbytes(moments.choice([0, end - begin, moments.randrange(2000)]))
            kept.append((done, begin))
            data += good.data[done:begin] + put_in
            done = end
        kept.append((done, len(good.data)))
        data += good.data[done:]
        parts = pieces(data, moments)
        packets, _, _ = framed(good.format, parts)
        found = set(packets)
        for low, high in kept:
            edges = zip(good.packets, good.places, strict=True)
            whole = [one for one, place in edges if low <= place and place + len(one) <= high]
            if len(parts) > 1:
                # A block may end exactly where a cut-off packet would: that one is given out, with the next one's head.
                whole = whole[1:]
            if len(whole) > 3:  # fewer are not enough to be sure that it is a stream
                assert found.issuperset(whole), f"seed {seed}: bytes {low} to {high}"


def test_other_bytes_in_the_place_of_some_cost_what_they_hold() -> None:
    check_damage_that_keeps_the_byte_count(range(TRIALS))


def test_whatever_happens_to_a_stream_the_rest_of_it_is_kept() -> None:
    check_damage_of_any_kind(range(TRIALS))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("check", [check_damage_that_keeps_the_byte_count, check_damage_of_any_kind])
def test_ten_thousand_damages(check: Callable[[range], None]) -> None:
    check(range(TRIALS, TRIALS_LONG))


# --- each kind by itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("count", [1, 2, 10])
def test_packets_whose_headers_are_gone_are_a_loss_in_their_place(name: str, count: int) -> None:
    good = stream(name)
    data = bytearray(good.data)
    for place in good.places[50 : 50 + count]:
        data[place] = 0
    packets, (loss,), units = framed(good.format, [bytes(data)])
    assert packets == good.packets[:50] + good.packets[50 + count :]
    assert loss.cause is GapCause.CORRUPT
    assert loss.at == at()
    assert loss.samples == pytest.approx(count * good.samples, abs=(count // 5) * good.samples)
    assert [type(unit) for unit in units] == [Frame, Loss, Frame]
    lost_bytes = sum(len(one) for one in good.packets[50 : 50 + count])
    assert str(lost_bytes) in loss.detail


@pytest.mark.parametrize("name", STREAMS)
def test_a_few_stray_bytes_cost_nothing(name: str) -> None:
    good = stream(name)
    begin = good.places[50]
    packets, losses, _ = framed(good.format, [good.data[:begin], b"stray", good.data[begin:]])
    assert packets == good.packets
    assert not losses


@pytest.mark.parametrize(("name", "at_byte", "wrong"), [("mp3", 2, b"\xd0"), ("aac", 3, b"\x90\xff")])
def test_a_packet_that_says_it_is_longer_swallows_nothing(name: str, at_byte: int, wrong: bytes) -> None:
    good = stream(name)
    place = good.places[50] + at_byte
    packets, (loss,), _ = framed(good.format, [good.data[:place] + wrong + good.data[place + len(wrong) :]])
    assert packets == good.packets[:50] + good.packets[51:]
    assert loss.samples == good.samples


@pytest.mark.parametrize(("name", "at_byte", "wrong"), [("mp3", 2, b"\x20"), ("aac", 3, b"\x80\x03")])
def test_a_packet_that_says_it_is_shorter_hides_nothing(name: str, at_byte: int, wrong: bytes) -> None:
    good = stream(name)
    place = good.places[50] + at_byte
    packets, losses, _ = framed(good.format, [good.data[:place] + wrong + good.data[place + len(wrong) :]])
    assert packets[:50] + packets[51:] == good.packets[:50] + good.packets[51:]
    assert len(losses) <= 1


def id3v2(size: int, *, footer: bool = False) -> bytes:
    length = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    head = b"ID3\x04\0" + (b"\x10" if footer else b"\0") + length
    picture = random.Random(size).randbytes(size)
    return head + picture + (b"3DI" + head[3:] if footer else b"")


def ape(size: int) -> bytes:
    fields = (2000).to_bytes(4, "little") + size.to_bytes(4, "little") + bytes(4)
    items = random.Random(size).randbytes(size - 32)
    return (
        b"APETAGEX" + fields + (0xA0000000).to_bytes(4, "little") + bytes(8)
        + items + b"APETAGEX" + fields + (0x80000000).to_bytes(4, "little") + bytes(8)
    )  # fmt: skip


TAGS = {
    "ID3v1": b"TAG" + bytes(range(125)),
    "extended ID3v1": b"TAG+" + bytes(223) + b"TAG" + bytes(125),
    "ID3v2": id3v2(3000),
    "ID3v2 with footer": id3v2(777, footer=True),
    "large ID3v2": id3v2(300_000),
    "APE": ape(5000),
    "several": b"TAG" + bytes(125) + id3v2(500) + id3v2(40) + ape(200),
}


@pytest.mark.parametrize("name", ["mp3", "aac"])
@pytest.mark.parametrize("tag", TAGS)
def test_tags_between_packets_are_no_loss_however_they_come(name: str, tag: str) -> None:
    good = stream(name)
    place = good.places[50]
    data = good.data[:place] + TAGS[tag] + good.data[place:]
    for parts in ([data], [data[low : low + 4096] for low in range(0, len(data), 4096)]):
        packets, losses, _ = framed(good.format, parts)
        assert packets == good.packets
        assert not losses
    bytewise = data[place - 400 : place + min(len(TAGS[tag]), 6000) + 2000]
    if len(TAGS[tag]) <= 6000:
        packets, losses, _ = framed(good.format, [good.data[: place - 400], *(bytes([one]) for one in bytewise)])
        assert packets == good.packets[: len(packets)]
        assert len(packets) > 51
        assert not losses


@given(st.sampled_from(["mp3", "aac"]), st.sampled_from(["ID3v2", "large ID3v2", "several"]), cut_places)
@settings(max_examples=40)
def test_a_tag_at_the_beginning_is_passed_over(name: str, tag: str, cuts: list[int]) -> None:
    good = stream(name)
    packets, losses, _ = framed(good.format, chunked(TAGS[tag] + good.data, cuts))
    assert packets == good.packets
    assert not losses


@pytest.mark.parametrize("name", ["mp3", "aac", "aac mono"])
@pytest.mark.parametrize("tag", [b"", TAGS["ID3v2"], TAGS["large ID3v2"]], ids=["bare", "tag", "large tag"])
def test_a_source_that_is_started_again_costs_its_cut_off_packet_at_most(name: str, tag: bytes) -> None:
    good = stream(name)
    for kept in (1, 5, 30, 100, 150):
        cut = good.data[: good.places[60] + kept]
        packets, losses, _ = framed(good.format, [cut + tag + good.data])
        assert packets == good.packets[:60] + good.packets
        assert len(losses) <= (kept > len(good.packets[60]) // 2)


def test_a_tag_that_says_it_is_endless_is_damage() -> None:
    good = stream("mp3")
    place = good.places[50]
    packets, losses, _ = framed(good.format, [good.data[:place] + b"ID3\4\0\0\x7f\x7f\x7f\x7f" + good.data[place:]])
    assert packets == good.packets
    assert not losses


def test_damage_is_told_when_the_stream_is_sound_again() -> None:
    good = stream("aac")
    one = framer(good.format)
    low, high = good.places[40], good.places[60]
    assert [type(unit) for unit in one.push(block(good.data[:low], 0))] == [Frame]
    assert list(one.push(block(bytes(high - low), 1))) == []
    loss, frame = one.push(block(good.data[high:], 2))
    assert isinstance(loss, Loss)
    assert loss.at == at(2)
    assert loss.samples == 20 * 1024
    assert isinstance(frame, Frame)
