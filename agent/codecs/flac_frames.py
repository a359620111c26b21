"""FLAC frames (RFC 9639, 9) as they stand in a file or a stream, found and checked without decoding."""

from dataclasses import dataclass

from agent.codecs.base import Buffer
from agent.codecs.flac_crc import crc8, crc16

HEADER_MAX = 16
_FRAME_MAX = 1 << 21
"""Longer than any frame of 8 channels, 24 bit and 65535 samples."""
_CRC_BYTES, _FRAME_MIN = 2, 9
_FIXED, _VARIABLE = b"\xff\xf8", b"\xff\xf9"
_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_BITS = {0: 0, 1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a frame header says. `number` counts frames, or samples where `variable`; 0 Hz and 0 bits are not stated.

    `number_bytes` long the number stands behind four bytes; the whole header has `length`.
    """

    number: int
    samples: int
    variable: bool
    sample_rate_hz: int
    channels: int
    bits: int
    number_bytes: int
    length: int

    @property
    def next_number(self) -> int:
        """What the frame behind it says."""
        return self.number + (self.samples if self.variable else 1)


def frame_header(data: Buffer, at: int) -> FrameHeader | None:
    """The frame header at `at`; None where there is none, or not all of it yet."""
    head = bytes(data[at : at + HEADER_MAX])
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    block_code, rate_code = head[2] >> 4, head[2] & 15
    bits = _BITS.get(head[3] >> 1 & 7)
    if block_code == 0 or rate_code == 15 or (head[3] >> 4) > 10 or bits is None:
        return None
    number, pos = _coded_number(head, 4)
    if number is None:
        return None
    rate_at = pos + {6: 1, 7: 2}.get(block_code, 0)
    end = rate_at + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if end >= len(head) or crc8(head[: end + 1]) != 0:
        return None
    samples = _block_samples(block_code, head[pos:rate_at])
    rate_hz = _rate_hz(rate_code, head[rate_at:end])
    channels = min(2, (head[3] >> 4) - 6) if head[3] >> 4 > 7 else (head[3] >> 4) + 1
    return FrameHeader(number, samples, bool(head[1] & 1), rate_hz, channels, bits, pos - 4, end + 1)


def _block_samples(code: int, stated: bytes) -> int:
    if stated:
        return int.from_bytes(stated, "big") + 1
    if code == 1:
        return 192
    return 576 << (code - 2) if code < 6 else 256 << (code - 8)


def _rate_hz(code: int, stated: bytes) -> int:
    return int.from_bytes(stated, "big") * {12: 1000, 13: 1, 14: 10}[code] if stated else _RATES[code]


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


def coded_number(number: int) -> bytes:
    """The same the other way round."""
    if number < 0x80:
        return bytes((number,))
    follow = 1
    while number >> (5 * follow + 6):
        follow += 1
    tail = (0x80 | number >> 6 * place & 0x3F for place in range(follow - 1, -1, -1))
    return bytes((0xFF << (7 - follow) & 0xFF | number >> 6 * follow, *tail))


def frame_end(data: Buffer, at: int, header: FrameHeader, *, checked: bool) -> int | None:
    """Where the next frame of the chain begins, or the last one ends; None where the frame at `at` is not whole.

    What looks like the next frame may stand inside this one; with `checked` the CRC-16 tells.
    """
    pos = at + 2
    limit = min(len(data), at + _FRAME_MAX)
    while (pos := data.find(_VARIABLE if header.variable else _FIXED, pos, limit)) >= 0:
        behind = frame_header(data, pos)
        if behind is not None and behind.number == header.next_number and not (checked and crc16(data[at:pos])):
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
    ends += [pos for pos in range(max(_FRAME_MIN, len(frame) - HEADER_MAX), len(frame)) if frame[pos] == 0xFF]
    return next((at + pos for pos in (*ends, len(frame)) if crc16(frame[:pos]) == 0), None) if filled else None


def last_frame(data: Buffer, audio_at: int, end: int) -> int | None:
    """Where the last thing before `end` begins that looks like a frame of the same kind as the first."""
    first = frame_header(data, audio_at)
    if first is None:
        return None
    pos = end
    low = max(audio_at, end - _FRAME_MAX)
    while (pos := data.rfind(_VARIABLE if first.variable else _FIXED, low, pos)) >= 0:
        if frame_header(data, pos) is not None:
            return pos
        pos += 1
    return None
