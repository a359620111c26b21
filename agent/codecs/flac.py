"""FLAC (RFC 9639): encoding of PCM, and understanding of files that were cut short.

libsndfile encodes; it hands each frame to our own file object in one write, which only collects. What it rewrites of
the header at the end (frame sizes, total samples, MD5) comes out as a patch.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile

from agent.codecs.base import Buffer, Patch, Whole
from agent.errors import CodecError
from agent.model import AudioFormat, Frame, SampleFormat

_STREAMINFO_AT, _STREAMINFO_END = 8, 42
_FRAME_MAX = 1 << 20
"""Longer than any frame of 8 channels, 24 bit and 4096 samples."""
_HEADER_MAX, _CRC_BYTES, _FRAME_MIN = 16, 2, 9
_CHECKED_TAIL = 64
_FRAMES_BACK = 16
_CHANNELS_MAX = 8
_SUBTYPES = {SampleFormat.S16_LE: "PCM_16", SampleFormat.S24_3LE: "PCM_24", SampleFormat.S24_LE: "PCM_24"}


class FlacMuxer:
    """One FLAC file of 16 or 24 bit."""

    container = "flac"
    codec = "flac"

    def __init__(self, audio_format: AudioFormat) -> None:
        layout = audio_format.sample_format
        if layout not in _SUBTYPES:
            raise CodecError(f"FLAC cannot hold {layout or audio_format.codec}", hint="format: wav can")
        self._layout = layout
        self._channels = audio_format.channels
        self._collected = _Collected()
        rate = audio_format.sample_rate_hz
        if not is_storable(rate, self._channels):
            raise CodecError(f"FLAC cannot hold {self._channels} channels at {rate} Hz", hint="format: wav can")
        self._encoder = soundfile.SoundFile(
            self._collected, "w", rate, self._channels, _SUBTYPES[layout], format="FLAC"
        )
        self.payload_offset = 0
        self._samples = self._fed = 0

    @property
    def samples(self) -> int:
        """Samples per channel in whole FLAC frames so far."""
        return self._samples

    @property
    def packets(self) -> None:
        """What was recorded as PCM is counted in samples."""
        return

    def head(self) -> bytes:
        """Nothing yet: the encoder writes marker and metadata together with the first frame."""
        return b""

    def add(self, frame: Frame) -> bytes:
        """The FLAC frames that are complete now; the encoder keeps a part of a block to itself."""
        self._fed += frame.samples
        self._encoder.write(_as_array(frame.data, self._layout).reshape(-1, self._channels))
        return self._take()

    def settle(self) -> list[Patch]:
        """Nothing: without total samples the file is right FLAC, and a snapshot or a salvage fills them in."""
        return []

    def finish(self) -> tuple[bytes, list[Patch]]:
        """The last, shorter frame, and the header's frame sizes, total samples and MD5."""
        self._encoder.close()
        tail = self._take()
        if self._samples != self._fed:
            raise CodecError(f"{self._fed} samples were encoded, but {self._samples} came out")
        return tail, self._collected.patches

    def _take(self) -> bytes:
        chunks = self._collected.take()
        for chunk in chunks:
            header = frame_header(chunk, 0)
            if header is None:
                self.payload_offset += len(chunk)
            else:
                self._samples += header.samples
        return b"".join(chunks)


class _Collected:
    """The file object that libsndfile writes to. Each of its writes is one FLAC frame or one piece of the header."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = self._position = 0
        self.patches: list[Patch] = []

    def write(self, data: bytes | memoryview) -> int:
        chunk = bytes(data)
        if self._position < self._size:
            self.patches.append(Patch(self._position, chunk))
        else:
            self._chunks.append(chunk)
            self._size += len(chunk)
        self._position += len(chunk)
        return len(chunk)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def take(self) -> list[bytes]:
        chunks, self._chunks = self._chunks, []
        return chunks


class Flac:
    """FLAC files."""

    extension = "flac"

    def muxer(self, audio_format: AudioFormat) -> FlacMuxer:
        """A fresh FLAC file."""
        return FlacMuxer(audio_format)

    def whole(self, data: Buffer, *, safe_bytes: int = 0) -> Whole | None:
        """All frames that follow one another without a hole.

        The chain of frame headers (sync code, CRC-8, consecutive numbers) is followed through the whole file; the
        CRC-16 of a frame is checked from `safe_bytes` on, and always for the last 64 frames.
        """
        info = _stream_info(data)
        if info is None:
            return None
        edges: list[tuple[int, int]] = []  # (end of a frame, samples up to there)
        at, samples, number = info.audio_at, 0, 0
        while (header := frame_header(data, at)) is not None and header.number == number:
            end = _frame_end(data, at, number, checked=at >= safe_bytes)
            if end is None:
                break
            samples, number, at = samples + header.samples, number + 1, end
            edges.append((end, samples))
        starts = [info.audio_at, *(end for end, _ in edges)]
        for index in range(max(0, len(edges) - _CHECKED_TAIL), len(edges)):
            if crc16(data[starts[index] : edges[index][0]]) != 0:
                edges = edges[:index]
                break
        return _whole(data, info, *edges[-1]) if edges else None

    def snapshot(self, data: Buffer) -> Whole | None:
        """All frames up to the last whole one, found from the end: frames are numbered and of one size but the last."""
        info = _stream_info(data)
        if info is None:
            return None
        end = len(data)
        for _ in range(_FRAMES_BACK):
            at = _last_frame(data, info.audio_at, end)
            if at is None:
                return None
            header, whole_end = frame_header(data, at), _last_end(data, at, end)
            if header is not None and whole_end is not None:
                return _whole(data, info, whole_end, header.number * info.block_samples + header.samples)
            end = at
        return None


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


def is_storable(sample_rate_hz: int, channels: int) -> bool:
    """Whether the encoder takes that: 8 channels, and rates that a frame header can state (RFC 9639, 9.1.2)."""
    return channels <= _CHANNELS_MAX and (sample_rate_hz <= 0xFFFF or sample_rate_hz % 10 == 0)


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


def crc16(data: Buffer) -> int:
    """CRC-16 with polynomial 0x8005 (RFC 9639, 9.3); 0 over a frame together with its own CRC."""
    crc = 0
    for byte in bytes(data):
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


def _stream_info(data: Buffer) -> StreamInfo | None:
    """None where the header is cut short; CodecError where it is no FLAC."""
    if len(data) < 4:
        return None
    if bytes(data[:4]) != b"fLaC":
        raise CodecError("no FLAC marker at the beginning")
    if len(data) < _STREAMINFO_END:
        return None
    info = bytes(data[_STREAMINFO_AT:_STREAMINFO_END])
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


def _frame_end(data: Buffer, at: int, number: int, *, checked: bool) -> int | None:
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
    return _last_end(data, at, limit)


def _last_end(data: Buffer, at: int, end: int) -> int | None:
    """Where the frame at `at` ends, if nothing lies between there and `end` but zeros or the torn head of a frame.

    Zeros behind a frame (a file that had grown when the power went) leave its CRC-16 at 0.
    """
    frame = bytes(data[at:end])
    filled = len(frame.rstrip(b"\0"))
    ends = [filled, filled + 1, filled + 2] if len(frame) - filled > _CRC_BYTES else []
    ends += [pos for pos in range(max(_FRAME_MIN, len(frame) - _HEADER_MAX), len(frame)) if frame[pos] == 0xFF]
    return next((at + pos for pos in (*ends, len(frame)) if crc16(frame[:pos]) == 0), None) if filled else None


def _last_frame(data: Buffer, audio_at: int, end: int) -> int | None:
    """Where the last thing before `end` begins that looks like a frame."""
    pos = end
    low = max(audio_at, end - _FRAME_MAX)
    while (pos := data.rfind(b"\xff\xf8", low, pos)) >= 0:
        if frame_header(data, pos) is not None:
            return pos
        pos += 1
    return None


def _whole(data: Buffer, info: StreamInfo, length: int, samples: int) -> Whole:
    """STREAMINFO with frame sizes and MD5 unset ("unknown") and the true total of samples."""
    patched = bytearray(data[_STREAMINFO_AT:_STREAMINFO_END])
    patched[4:10] = bytes(6)
    packed = int.from_bytes(patched[10:18], "big")
    patched[10:18] = (packed >> 36 << 36 | samples & (1 << 36) - 1).to_bytes(8, "big")
    patched[18:34] = bytes(16)
    patches = (Patch(_STREAMINFO_AT, bytes(patched)),)
    return Whole(length, samples, None, info.audio_at, info.format, patches)


def _as_array(data: bytes, layout: SampleFormat) -> npt.NDArray[np.int16] | npt.NDArray[np.int32]:
    """Samples as libsndfile takes them: 16 bit as they are, 24 bit in the upper bytes of 32."""
    if layout is SampleFormat.S16_LE:
        return np.frombuffer(data, "<i2")
    if layout is SampleFormat.S24_LE:
        return np.frombuffer(data, "<i4") << 8
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.reshape(-1).view("<i4")
