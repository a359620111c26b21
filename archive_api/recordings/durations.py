"""How long audio is that has no sidecar, from its own header. Pure, but for the reader that is handed in."""

from collections.abc import Callable
from typing import TypeAlias

from agent.codecs import mp3

Reader: TypeAlias = Callable[[int, int], bytes]
"""`(offset, length)` to bytes; fewer at the end of the file."""

_HEAD_BYTES = 64 << 10
_LAST_PAGE_BYTES = 2 * 65307
"""Two pages of the largest size: the last one begins in there."""
_WAV_CHUNKS_MOST = 64
_WAV_MARKS = (b"RIFF", b"RF64")
_WAV_OPEN_SIZES = (0, 0xFFFFFFFF)
"""Data sizes that a recorder leaves behind which never closed its file: the data goes on to the end."""


def duration_s(extension: str, read: Reader, size: int) -> float | None:
    """Seconds of a file of `size` bytes; None where its header does not tell."""
    return _BY_EXTENSION[extension](read, size)


def is_audio(extension: str, read: Reader, size: int) -> bool:
    """Whether a file begins as audio of its kind does, whether or not its header tells its length."""
    if extension == "mp3":
        start = _after_id3(read(0, 10))
        head = read(start, _HEAD_BYTES)
        return mp3.find_stream(head, complete=start + len(head) >= size) is not None
    return _IS[extension](read(0, 12))


def _flac_s(read: Reader, _size: int) -> float | None:
    """STREAMINFO (RFC 9639, 8.2): 20 bits of sample rate, 36 bits of total samples (0: unknown)."""
    head = read(0, 42)
    if len(head) < 42 or head[:4] != b"fLaC" or head[4] & 0x7F:
        return None
    packed = int.from_bytes(head[18:26], "big")
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    return samples / rate if rate and samples else None


def _wav_s(read: Reader, size: int) -> float | None:
    """The chunks `fmt ` and `data`; beyond 4 GiB `ds64` (EBU Tech 3306) has the size of the data."""
    head = read(0, 12)
    if head[:4] not in _WAV_MARKS or head[8:12] != b"WAVE":
        return None
    at, bytes_per_s, long_bytes = 12, 0, None
    for _ in range(_WAV_CHUNKS_MOST):
        chunk = read(at, 36)
        if len(chunk) < 8:
            return None
        name, length = chunk[:4], int.from_bytes(chunk[4:8], "little")
        if name == b"ds64":
            long_bytes = int.from_bytes(chunk[16:24], "little")
        elif name == b"fmt ":
            bytes_per_s = int.from_bytes(chunk[16:20], "little")
        elif name == b"data":
            there = size - at - 8
            said = there if length in _WAV_OPEN_SIZES and long_bytes is None else long_bytes or length
            return min(said, there) / bytes_per_s if bytes_per_s else None
        at += 8 + length + (length & 1)
    return None


def _mp3_s(read: Reader, size: int) -> float | None:
    """The frame count of a Xing or Info frame; without one, a constant bit rate is taken for the whole file."""
    start = _after_id3(read(0, 10))
    head = read(start, _HEAD_BYTES)
    found = mp3.find_stream(head, complete=start + len(head) >= size)
    if found is None:
        return None
    at, first = found
    side = (17 if first.channels == 1 else 32) if first.version == 3 else (9 if first.channels == 1 else 17)
    tag = head[at + 4 + side : at + 16 + side]
    if tag[:4] in (b"Xing", b"Info") and tag[7:8] and tag[7] & 1:
        frames = int.from_bytes(tag[8:12], "big")
        return frames * first.samples / first.rate if frames else None
    return _constant_rate_s(head[at:], first, size - start - at)


def _ogg_s(read: Reader, size: int) -> float | None:
    """The granule position of the last page (RFC 3533, 6), at the rate that the first page tells.

    Vorbis I, 4.2.2; RFC 7845, 4 (48 kHz whatever was recorded, less the samples that only prime). A chain of streams
    has no length of its own.
    """
    head = read(0, 64)
    end = read(max(0, size - _LAST_PAGE_BYTES), _LAST_PAGE_BYTES)
    last = end.rfind(b"OggS")
    if head[:4] != b"OggS" or last < 0 or end[last + 14 : last + 18] != head[14:18]:
        return None
    granule = int.from_bytes(end[last + 6 : last + 14], "little", signed=True)
    if head[28:35] == b"\x01vorbis":
        rate, before = int.from_bytes(head[40:44], "little"), 0
    elif head[28:36] == b"OpusHead":
        rate, before = 48000, int.from_bytes(head[38:40], "little")
    else:
        return None
    return (granule - before) / rate if rate and granule > before else None


def _unknown_s(_read: Reader, _size: int) -> float | None:
    """ADTS has no place for a length, and its packets differ in size."""
    return None


def _constant_rate_s(head: bytes, first: mp3.Header, audio_bytes: int) -> float | None:
    at = frames = 0
    while (here := mp3.header(head, at)) is not None and here.fits(first) and at + here.length <= len(head):
        if abs(here.length - first.length) > 1:  # more than the padding: the bit rate varies
            return None
        at, frames = at + here.length, frames + 1
    return audio_bytes / (at / frames) * first.samples / first.rate if frames else None


def _after_id3(head: bytes) -> int:
    """Where an ID3v2 tag ends that the file may begin with; its size has 7 bits in a byte."""
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + size + (10 if head[5] & 0x10 else 0)


_BY_EXTENSION: dict[str, Callable[[Reader, int], float | None]] = {
    "aac": _unknown_s,
    "flac": _flac_s,
    "mp3": _mp3_s,
    "ogg": _ogg_s,
    "opus": _ogg_s,
    "wav": _wav_s,
}
_IS: dict[str, Callable[[bytes], bool]] = {
    "aac": lambda head: len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0,  # ISO/IEC 13818-7, 6.2
    "flac": lambda head: head[:4] == b"fLaC",
    "ogg": lambda head: head[:4] == b"OggS",
    "opus": lambda head: head[:4] == b"OggS",
    "wav": lambda head: head[:4] in _WAV_MARKS and head[8:12] == b"WAVE",
}
"""How a file of each kind begins; MP3 has to be looked for."""
