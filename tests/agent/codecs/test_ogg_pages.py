"""Ogg pages, against pages that libogg (oggenc, ffmpeg) wrote."""

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codecs.ogg_pages import CAPTURE, Page, PageReader, PageWriter, checksum, ended, is_sound, page_head
from tests.agent.build import chunked, cut_places

packet_sizes = st.lists(
    st.one_of(st.integers(0, 600), st.sampled_from([255, 510, 65024, 65025, 65026, 130050, 200000])), max_size=30
)


def read(parts: list[bytes]) -> list[Page]:
    reader = PageReader()
    return [page for part in parts for page in reader.push(part)]


def packets_in(pages: list[Page]) -> list[bytes]:
    return [packet for page in pages for packet in page.packets]


def some_packets(sizes: list[int]) -> list[bytes]:
    rng = random.Random(sum(sizes))
    return [rng.randbytes(size) for size in sizes]


def stream(packets: list[bytes], *, serial: int = 7, pages_of: int = 5) -> bytes:
    writer = PageWriter(serial)
    numbered = [(packet, number) for number, packet in enumerate(packets, 1)]
    groups = [numbered[low : low + pages_of] for low in range(0, len(numbered), pages_of)] or [[]]
    return b"".join(writer.write(group, is_last=group is groups[-1]) for group in groups)


def page_starts(data: bytes) -> list[int]:
    at, starts = 0, []
    while (head := page_head(data, at)) is not None:
        starts.append(at)
        at += head.size
    assert at == len(data)
    return starts


@given(packet_sizes, cut_places)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_whatever_the_chunks(sizes: list[int], cuts: list[int]) -> None:
    packets = some_packets(sizes)
    data = stream(packets)
    pages = read(chunked(data, cuts))
    assert packets_in(pages) == packets
    assert [page.sequence for page in pages] == list(range(len(pages)))
    assert [page.is_first for page in pages] == [True] + [False] * (len(pages) - 1)
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert not any(page.has_gap for page in pages)
    done = 0
    for page in pages:
        done += len(page.packets)
        assert page.granule == (done if page.packets else None)


@pytest.mark.parametrize("codec", ["libvorbis", "libopus", "flac"])
def test_pages_that_others_wrote_fit_their_checksum(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.ogg"
    source = "anoisesrc=r=48000:d=3:a=0.2"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-c:a", codec, "-f", "ogg", path], check=True)
    data = path.read_bytes()
    starts = page_starts(data)
    for low, high in zip(starts, [*starts[1:], len(data)], strict=True):
        assert is_sound(data[low:high])
    reader = PageReader()
    pages = list(reader.push(data))
    assert len(pages) == len(starts)
    assert reader.skipped_bytes == 0
    assert not any(page.has_gap for page in pages)


@given(packet_sizes, st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_page_costs_its_packets_and_no_others(sizes: list[int], data: st.DataObject) -> None:
    packets = some_packets([*sizes, 10])
    good = stream(packets)
    starts = page_starts(good)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    found = read(chunked(bytes(bad), data.draw(cut_places)))
    hit = max(number for number, start in enumerate(starts) if start <= place)
    kept = [page for page in read([good]) if page.sequence != hit]
    whole_before = [packet for page in kept if page.sequence < hit for packet in page.packets]
    assert packets_in(found)[: len(whole_before)] == whole_before
    behind = [page for page in found if page.sequence > hit]
    assert [page.sequence for page in found] == [page.sequence for page in kept]
    for page, untouched in zip(behind, kept[len(kept) - len(behind) :], strict=True):
        # The first packet behind the damage may have begun on the lost page; nothing else is missing.
        assert page.packets in (untouched.packets, untouched.packets[1:])
    with_packets = [page for page in behind if page.packets]
    if hit and with_packets:
        assert [page.has_gap for page in with_packets] == [True] + [False] * (len(with_packets) - 1)


def test_a_packet_whose_beginning_was_never_seen_is_dropped() -> None:
    packets = some_packets([300, 70000, 20, 30])
    data = stream(packets, pages_of=4)
    starts = page_starts(data)
    assert len(starts) == 2
    (page,) = read([data[starts[1] :]])
    assert page.packets == tuple(packets[2:])
    assert page.has_gap


def test_a_packet_whose_end_was_never_seen_is_dropped() -> None:
    packets = some_packets([300, 70000, 20, 30])
    first, second = stream(packets, pages_of=4), PageWriter(7)
    second.write([(b"", 0)])
    data = first[: page_starts(first)[1]] + second.write([(b"new", 9)])
    pages = read([data])
    assert [page.packets for page in pages] == [(packets[0],), (b"new",)]
    assert [page.has_gap for page in pages] == [False, True]


def test_streams_that_are_interleaved_are_told_apart() -> None:
    one, two = some_packets([100] * 20), some_packets([50] * 20)
    writers = {1: PageWriter(1), 2: PageWriter(2)}
    data = b""
    for a, b in zip(one, two, strict=True):
        data += writers[1].write([(a, 1)]) + writers[2].write([(b, 1)])
    pages = read([data])
    assert packets_in([page for page in pages if page.serial == 1]) == one
    assert packets_in([page for page in pages if page.serial == 2]) == two
    assert not any(page.has_gap for page in pages)


def test_a_serial_that_begins_anew_has_no_gap() -> None:
    pages = read([stream(some_packets([10] * 12)) + stream(some_packets([10] * 12))])
    assert not any(page.has_gap for page in pages)


def test_a_false_page_does_not_hold_up_the_good_ones_behind_it() -> None:
    packets = some_packets([100] * 10)
    false = CAPTURE + bytes(21) + b"\xff" + b"\xff" * 255
    reader = PageReader()
    pages = list(reader.push(false + stream(packets)))
    assert packets_in(pages) == packets
    assert reader.skipped_bytes == len(false)


def test_a_packet_without_end_is_given_up() -> None:
    writer, reader = PageWriter(1), PageReader()
    pages = list(reader.push(writer.write([(bytes(3 << 20), 1)]) + writer.write([(b"next", 2)])))
    assert packets_in(pages) == [b"next"]
    assert [page.has_gap for page in pages if page.packets] == [True]


def test_the_last_page_can_be_marked_later() -> None:
    writer = PageWriter(1)
    page = writer.write([(b"abc", 5)])
    marked = ended(page) + page[len(ended(page)) :]
    assert is_sound(marked)
    (found,) = read([marked])
    assert found.is_last
    assert found.granule == 5


def test_the_checksum_is_that_of_the_standard() -> None:
    """CRC-32 with the polynomial 0x04c11db7, straight, without any inversion, bit by bit."""
    page = PageWriter(3).write([(b"hello", 1)])
    register = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register >> 31 else 0)) & 0xFFFFFFFF
    assert checksum(page) == register.to_bytes(4, "little")


@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([CAPTURE, CAPTURE + bytes(30)]))), cut_places)
def test_any_bytes_are_passed_over(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    packets = some_packets([30] * 7)
    found = packets_in(read(chunked(data + stream(packets) + bytes(70000), cuts)))
    assert found == packets
