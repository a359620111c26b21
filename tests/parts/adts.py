"""A judge for AAC streams, written apart from the product's own code: ADTS walker, encoder, HE-AAC by hand."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.parts.process import program

_RATES = {3: 48000, 4: 44100, 5: 32000, 6: 24000, 7: 22050, 8: 16000, 11: 8000}


class Packet(NamedTuple):
    """One packet, header included, at its place in the data."""

    offset: int
    data: bytes
    samples: int


class Fields(NamedTuple):
    """The fixed and the variable header of ISO/IEC 13818-7, table 8 and 9, as one number reads them."""

    syncword: int
    mpeg_2: int
    layer: int
    no_crc: int
    profile: int
    rate_index: int
    channels: int
    length: int
    blocks: int


def fields(head: bytes) -> Fields:
    """Take the 56 bits apart."""
    bits = f"{int.from_bytes(head[:7], 'big'):056b}"
    widths = (12, 1, 2, 1, 2, 4, 1, 3, 1, 1, 1, 1, 13, 11, 2)
    values, at = [], 0
    for width in widths:
        values.append(int(bits[at : at + width], 2))
        at += width
    sync, mpeg_2, layer, no_crc, profile, rate, _, channels, _, _, _, _, length, _, blocks = values
    return Fields(sync, mpeg_2, layer, no_crc, profile, rate, channels, length, blocks + 1)


def packets(data: bytes) -> list[Packet]:
    """The packets of sound data; AssertionError where there is anything else between them."""
    found, at = [], 0
    while at < len(data):
        here = fields(data[at : at + 7])
        assert (here.syncword, here.layer) == (0xFFF, 0), f"no packet at byte {at}"
        found.append(Packet(at, data[at : at + here.length], 1024 * here.blocks))
        at += here.length
    return found


@cache
def encoded(
    sample_rate_hz: int = 44100,
    channels: int = 2,
    seconds: float = 2.0,
    *,
    bit_rate: str = "64k",
    sound: str = "anoisesrc=a=0.3:seed=7",
    mpeg_2: bool = False,
) -> bytes:
    """AAC-LC as ffmpeg makes it, without noise substitution, which no two decoders fill alike."""
    command = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi", "-i", sound, "-t", str(seconds)]
    command += ["-ac", str(channels), "-ar", str(sample_rate_hz), "-c:a", "aac", "-aac_pns", "0", "-b:a", bit_rate]
    command += ["-write_mpeg2", str(int(mpeg_2)), "-f", "adts", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def decoded_samples(path: Path) -> int:
    """Samples per channel that ffmpeg decodes; it must have nothing to complain about."""
    command = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-f", "aac", "-i", str(path)]
    done = subprocess.run([*command, "-ac", "1", "-f", "s16le", "-"], capture_output=True, check=True)
    assert not done.stderr, done.stderr
    return len(done.stdout) // 2


def with_length(head: bytes, body: bytes) -> bytes:
    """The packet of this header and this body, its length put right."""
    length = len(head) + len(body)
    middle = bytes([head[3] & 0xFC | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | head[5] & 0x1F])
    return head[:3] + middle + head[6:] + body


def with_crc(packet: bytes, crc: int = 0x1234) -> bytes:
    """The packet with a checksum behind its header, a wrong one: nothing here looks at it."""
    return with_length(packet[:1] + bytes([packet[1] & 0xFE]) + packet[2:7] + crc.to_bytes(2, "big"), packet[7:])


def joined(parts: list[bytes]) -> bytes:
    """The raw data blocks of up to four packets in one, without a checksum."""
    head = parts[0][:6] + bytes([parts[0][6] & 0xFC | len(parts) - 1])
    return with_length(head, b"".join(part[7:] for part in parts))


def with_sbr(packet: bytes) -> bytes:
    """The packet as HE-AAC: the smallest SBR extension that there is, put before the end mark of its data block.

    A fill element (id 6) of one byte holds extension type 13 (SBR data) without settings: decoders double the rate.
    """
    bits = f"{int.from_bytes(packet[7:], 'big'):0{8 * len(packet[7:])}b}".rstrip("0")
    assert bits.endswith("111"), "the data block does not end with its end mark"
    bits = bits[:-3] + "110" + "0001" + "1101" + "0000" + "111"
    bits += "0" * (-len(bits) % 8)
    return with_length(packet[:7], int(bits, 2).to_bytes(len(bits) // 8, "big"))
