"""Packets that are well framed and cannot be decoded, in real streams of every codec: to order, and by chance."""

import random
from collections.abc import Mapping

from agent.codecs.decode_file import count_file
from agent.codecs.flac_crc import crc16
from agent.codecs.flac_frames import frame_header
from agent.codecs.ogg_pages import checksum, page_head
from agent.model import FinishedSegment
from tests.agent.codecs.test_contract import frames, stream

BREAKABLE = ("mp3", "aac", "opus", "oggflac", "flac")
"""Of Vorbis, what the decoder refuses is no audio for the framer either: a loss."""
_HEADER_BYTES = {"mp3": 4, "aac": 7, "opus": 1}
_CRC_AT = 22


def numbers_of(codec: str) -> list[int]:
    """One alone and three in a row; FLAC has few frames, long ones."""
    return [20, 30, 31, 32] if codec in ("flac", "oggflac") else [40, 120, 121, 122]


def broken(codec: str, number: int) -> bytes:
    """The packet as a decoder refuses it, header and length as they were."""
    packet = frames(codec)[number].data
    if codec == "mp3":  # the side information says more big values than a granule has
        return packet[:4] + b"\xff" * 32 + packet[36:]
    if codec == "aac":  # an end without an element before it, or elements that end too late
        return packet[:7] + (b"\xff" if number % 2 else b"\x1f") * (len(packet) - 7)
    if codec == "opus":  # more padding than there is packet
        return bytes([packet[0] | 3, 0x41]) + b"\xff" * (len(packet) - 2)
    header = frame_header(packet, 0)
    assert header is not None
    reserved = packet[: header.length] + b"\x04" + packet[header.length + 1 : -2]  # a type of subframe that is none
    return reserved + crc16(reserved).to_bytes(2, "big")


def by_chance(codec: str, number: int, moments: random.Random) -> bytes:
    """The packet with other bytes in it, behind what frames it."""
    sound = frames(codec)[number].data
    packet = bytearray(sound)
    begin, end = _HEADER_BYTES.get(codec, 1), len(packet)
    if codec in ("flac", "oggflac"):
        header = frame_header(sound, 0)
        assert header is not None
        begin, end = header.length, end - 2
    kind = moments.randrange(3)
    if kind == 0:
        packet[begin:end] = moments.randbytes(end - begin)
    else:
        last = end if kind == 1 else min(end, begin + 20)
        for _ in range(moments.randrange(1, 6)):
            packet[moments.randrange(begin, last)] ^= 1 << moments.randrange(8)
    if codec in ("flac", "oggflac"):
        packet[-2:] = crc16(bytes(packet[:-2])).to_bytes(2, "big")
    return bytes(packet)


def damaged(codec: str, packets: Mapping[int, bytes]) -> bytes:
    """The stream with these packets in the place of its own, as long as they were."""
    data = stream(codec)
    bodies = _bodies(data) if data.startswith(b"OggS") else [(0, len(data))]
    payload, at = bytearray(b"".join(data[low:high] for low, high in bodies)), 0
    for number, frame in enumerate(frames(codec)):
        at = payload.find(frame.data, at)
        assert at >= 0
        if number in packets:
            assert len(packets[number]) == len(frame.data)
            payload[at : at + len(frame.data)] = packets[number]
        at += len(frame.data)
    if not data.startswith(b"OggS"):
        return bytes(payload)
    pages, begin, done = [], 0, 0
    for low, high in bodies:
        page = data[begin:low] + payload[done : done + high - low]
        pages.append(page[:_CRC_AT] + checksum(page) + page[_CRC_AT + 4 :])
        begin, done = high, done + high - low
    return b"".join(pages)


def _bodies(data: bytes) -> list[tuple[int, int]]:
    """Where the bodies of the pages lie."""
    found, at = [], 0
    while (head := page_head(data, at)) is not None:
        found.append((at + 27 + data[at + 26], at + head.size))
        at += head.size
    return found


def lost_by_a_player(finished: FinishedSegment) -> int:
    """Samples that a player does not get of those that the headers tell."""
    found = count_file(finished.path, lambda _: None, priming_packets=finished.segment.priming_packets)
    segment = finished.segment
    return segment.samples - found.samples * segment.format.sample_rate_hz // found.sample_rate_hz
