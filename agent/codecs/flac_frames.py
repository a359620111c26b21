"""FLAC frames and stream information (RFC 9639) as they stand in a file, found and checked without decoding."""

from dataclasses import dataclass

from agent.codecs.base import Buffer
from agent.errors import CodecError
from agent.model import AudioFormat, SampleFormat

STREAMINFO_AT, STREAMINFO_END = 8, 42
_FRAME_MAX = 1 << 20
"""Longer than any frame of 8 channels, 24 bit and 4096 samples."""
_HEADER_MAX, _CRC_BYTES, _FRAME_MIN = 16, 2, 9


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What STREAMINFO (RFC 9639, 8.2) says, and where the audio begins."""

    format: AudioFormat
    block_samples: int
    audio_at: int


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a frame header (RFC 9639, 9.1) says; `number` counts frames of fixed block size."""

    number: int
    samples: int


def frame_header(data: Buffer, at: int) -> FrameHeader | None:
    """The frame header at `at`, None where there is none of a fixed-block-size stream."""
    head = bytes(data[at : at + 16])
    if len(head) < 6 or head[0] != 0xFF or head[1] != 0xF8 or head[3] & 1:
        return None
    block_code, rate_code = head[2] >> 4, head[2] & 15
    if block_code == 0 or rate_code == 15 or (head[3] >> 4) > 10:
        return None
    number, pos = _coded_number(head, 4)
    if number is None:
        return None
    block_extra = {6: 1, 7: 2}.get(block_code, 0)
    rate_extra = {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    end = pos + block_extra + rate_extra
    if end >= len(head) or crc8(head[:end]) != head[end]:
        return None
    if block_extra:
        samples = int.from_bytes(head[pos : pos + block_extra], "big") + 1
    elif block_code == 1:
        samples = 192
    else:
        samples = 576 << (block_code - 2) if block_code < 6 else 256 << (block_code - 8)
    return FrameHeader(number, samples)


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial 0x07 (RFC 9639, 9.1.8)."""
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def crc16(data: bytes) -> int:
    """CRC-16 with polynomial 0x8005 (RFC 9639, 9.3); 0 over a frame together with its own CRC."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def _crc_table(polynomial: int, bits: int) -> list[int]:
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for value in range(256):
        crc = value << (bits - 8)
        for _ in range(8):
            crc = ((crc << 1) ^ polynomial if crc & top else crc << 1) & mask
        table.append(crc)
    return table


_CRC8 = _crc_table(0x07, 8)
_CRC16 = _crc_table(0x8005, 16)


def _coded_number(head: bytes, at: int) -> tuple[int | None, int]:
    """A number coded as UTF-8 does, up to 36 bits, and the position behind it."""
    first = head[at]
    if first < 0x80:
        return first, at + 1
    follow = 0
    while follow < 7 and first & (0x40 >> follow):
        follow += 1
    if not 1 <= follow <= 6 or at + follow >= len(head):
        return None, at
    value = first & (0x3F >> follow)
    for byte in head[at + 1 : at + 1 + follow]:
        if byte & 0xC0 != 0x80:
            return None, at
        value = value << 6 | byte & 0x3F
    return value, at + 1 + follow


def stream_info(data: Buffer) -> StreamInfo | None:
    """None where the header is cut short; CodecError where it is no FLAC."""
    if len(data) < 4:
        return None
    if bytes(data[:4]) != b"fLaC":
        raise CodecError("no FLAC marker at the beginning")
    if len(data) < STREAMINFO_END:
        return None
    info = bytes(data[STREAMINFO_AT:STREAMINFO_END])
    packed = int.from_bytes(info[10:18], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    if not rate:
        raise CodecError("a FLAC header without a sample rate")
    layout = SampleFormat.S16_LE if bits <= 16 else SampleFormat.S24_3LE
    at = 4
    while True:
        block = bytes(data[at : at + 4])
        if len(block) < 4:
            return None
        at += 4 + int.from_bytes(block[1:], "big")
        if block[0] & 0x80:
            break
    return StreamInfo(AudioFormat.pcm(rate, channels, layout), int.from_bytes(info[0:2], "big"), at)


def frame_end(data: Buffer, at: int, number: int, *, checked: bool) -> int | None:
    """Where the next frame of the chain begins, or the last one ends; None where the frame at `at` is not whole.

    What looks like the next frame may stand inside this one; with `checked` the CRC-16 tells.
    """
    pos = at + 2
    limit = min(len(data), at + _FRAME_MAX)
    while (pos := data.find(b"\xff\xf8", pos, limit)) >= 0:
        header = frame_header(data, pos)
        if header is not None and header.number == number + 1 and not (checked and crc16(data[at:pos])):
            return pos
        pos += 1
    return last_end(data, at, limit)


def last_end(data: Buffer, at: int, end: int) -> int | None:
    """Where the frame at `at` ends, if nothing lies between there and `end` but zeros or the torn head of a frame.

    Zeros behind a frame (a file that had grown when the power went) leave its CRC-16 at 0.
    """
    frame = bytes(data[at:end])
    filled = len(frame.rstrip(b"\0"))
    ends = [filled, filled + 1, filled + 2] if len(frame) - filled > _CRC_BYTES else []
    ends += [pos for pos in range(max(_FRAME_MIN, len(frame) - _HEADER_MAX), len(frame)) if frame[pos] == 0xFF]
    return next((at + pos for pos in (*ends, len(frame)) if crc16(frame[:pos]) == 0), None) if filled else None


def last_frame(data: Buffer, audio_at: int, end: int) -> int | None:
    """Where the last thing before `end` begins that looks like a frame."""
    pos = end
    low = max(audio_at, end - _FRAME_MAX)
    while (pos := data.rfind(b"\xff\xf8", low, pos)) >= 0:
        if frame_header(data, pos) is not None:
            return pos
        pos += 1
    return None
