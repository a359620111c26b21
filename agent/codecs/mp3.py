"""MPEG-1/2/2.5 audio layer III (ISO/IEC 11172-3, 13818-3): frames as they are, an own Xing frame at the head.

A cut in mid-stream has no head that tells a player its length. A bare Xing/Info frame (frame count, byte count, seek
table; no LAME extension, which would make players drop real samples) does, and every decoder then gives exactly
frames x samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from agent.codecs.base import Buffer, Patch, Whole
from agent.codecs.decoding import Samples, Span
from agent.codecs.header_framing import HeaderFramer, HeaderFraming
from agent.errors import CodecError
from agent.model import AudioFormat, Frame

_BITRATES_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_HEADER_BYTES = 4
_XING_BYTES = 4 + 4 + 4 + 4 + 100
_RESERVOIR_PACKETS = 12
"""The main data of a packet may begin up to 511 bytes, so up to ten of the smallest packets, before it."""
_TOC_POINTS = 400


@dataclass(frozen=True, slots=True)
class Header:
    """What the four bytes of a frame header say."""

    version: int
    rate: int
    channels: int
    samples: int
    length: int
    crc: bool

    def fits(self, other: "Header") -> bool:
        """Whether both can be frames of one stream (a bit rate may change, a sample rate not)."""
        return (self.version, self.rate, self.channels) == (other.version, other.rate, other.channels)

    @property
    def format(self) -> AudioFormat:
        """The stream's format."""
        return AudioFormat("mp3", self.rate, self.channels)


def header(data: Buffer, at: int) -> Header | None:
    """The layer III header at `at`; None for anything else, free format and reserved values included."""
    return _parsed(bytes(data[at : at + 4]))


@lru_cache(maxsize=1024)  # a stream has a handful of headers, and one for each packet
def _parsed(head: bytes) -> Header | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3 or head[3] & 3 == 2:
        return None
    samples = 1152 if version == 3 else 576
    kbps = (_BITRATES_V1 if version == 3 else _BITRATES_V2)[bitrate]
    rate_hz = _RATES[version][rate]
    length = samples // 8 * kbps * 1000 // rate_hz + padding
    return Header(version, rate_hz, 1 if head[3] >> 6 == 3 else 2, samples, length, not head[1] & 1)


FRAMING = HeaderFraming(header, _HEADER_BYTES)
find_stream = FRAMING.find


class Mp3Framer(HeaderFramer[Header]):
    """MP3 frames, byte for byte."""

    def __init__(self, audio_format: AudioFormat) -> None:  # noqa: ARG002 - each frame says it again
        super().__init__(FRAMING)


class Mp3Muxer:
    """One MP3 file: our own first frame, then the stream's."""

    container = "mp3"
    codec = "mp3"
    priming_packets = 0

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._first: bytes | None = None
        self._table = _FrameTable()
        self.payload_offset = 0

    @property
    def samples(self) -> int:
        """Samples by the frame headers, our own frame apart."""
        return self._table.samples

    @property
    def packets(self) -> int:
        """Frames of the stream so far."""
        return self._table.frames

    def head(self) -> bytes:
        """Nothing yet: our first frame is made in the image of the stream's first."""
        return b""

    def add(self, frame: Frame) -> bytes:
        """The packets; before the first one, our own with room for the counts."""
        lead = b""
        if self._first is None:
            self._first = frame.data[:4]
            lead = xing_frame(self._first, None)
            self.payload_offset = len(lead)
        for packet, samples in frame.packets():
            self._table.add(len(packet), samples, packet[2] >> 4)
        return lead + frame.data

    def settle(self) -> list[Patch]:
        """The counts as they are now."""
        return [] if self._first is None else [Patch(0, xing_frame(self._first, self._table))]

    def finish(self) -> tuple[bytes, list[Patch]]:
        """The counts as they have become."""
        return b"", self.settle()


class Mp3:
    """MP3 files."""

    extension = "mp3"

    def muxer(self, audio_format: AudioFormat) -> Mp3Muxer:
        """A fresh MP3 file."""
        return Mp3Muxer(audio_format)

    def whole(self, data: Buffer, *, safe_bytes: int = 0) -> Whole | None:  # noqa: ARG002 - all headers are walked
        """All frames that follow one another without a hole."""
        return self.snapshot(data)

    def snapshot(self, data: Buffer) -> Whole | None:
        """All frames that follow one another without a hole."""
        own = header(data, 0)
        if own is None:
            if len(data) >= 4:
                raise CodecError("no MP3 frame at the beginning")
            return None
        end = own.length
        if end > len(data):
            return None
        table = _FrameTable()
        first = bytes(data[end : end + _HEADER_BYTES])
        for at, here in FRAMING.walk(data, end, own):
            table.add(here.length, here.samples, data[at + 2 : at + 3][0] >> 4)
            end = at + here.length
        if not table.frames:
            return None
        patches = (Patch(0, xing_frame(first, table)),)
        return Whole(end, table.samples, table.frames, own.length, own.format, patches)

    def decoded(self, file: BinaryIO, whole: Whole, first: int, broken: list[Span] | None = None) -> Iterator[Samples]:
        """The samples, decoded packet by packet; some packets before `first` fill the decoder's bit reservoir."""
        return FRAMING.decoded(file, whole, first, broken, warm_up_packets=_RESERVOIR_PACKETS)


class _FrameTable:
    """Counts frames and remembers where some of them begin, for the seek table: at most 800 of them, evenly spread."""

    def __init__(self) -> None:
        self.frames = self.samples = self.bytes = 0
        self.variable = False
        self._positions: list[int] = []
        self._stride = 1
        self._bitrate: int | None = None

    def add(self, length: int, samples: int, bitrate_code: int) -> None:
        if self.frames % self._stride == 0:
            self._positions.append(self.bytes)
            if len(self._positions) >= 2 * _TOC_POINTS:
                self._positions, self._stride = self._positions[::2], 2 * self._stride
        self.variable |= self._bitrate not in (None, bitrate_code)
        self._bitrate = bitrate_code
        self.frames += 1
        self.samples += samples
        self.bytes += length

    def toc(self, own_bytes: int) -> bytes:
        """For each of 100 parts of the duration, where it begins, in 256ths of the file."""
        total = own_bytes + self.bytes
        points = []
        for percent in range(100):
            index = min(len(self._positions) - 1, percent * self.frames // 100 // self._stride)
            points.append(min(255, (own_bytes + self._positions[index]) * 256 // total))
        return bytes(points)


def xing_frame(first: bytes, table: _FrameTable | None) -> bytes:
    """A silent frame like the one that begins with the bytes `first`, which carries the counts of `table`.

    Layout as every player reads it: after the side information `Xing` (variable bit rate) or `Info`, flags, frames,
    bytes, 100 seek points. Protection is off and the bit rate the smallest that has room.
    """
    version_bits = first[1] >> 3 & 3
    mono = first[3] >> 6 == 3
    side_bytes = {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}[version_bits == 3, mono]
    for bitrate in range(1, 15):
        head = bytes((0xFF, first[1] | 1, bitrate << 4 | first[2] & 0x0C, first[3]))
        parsed = header(head, 0)
        if parsed is not None and parsed.length >= 4 + side_bytes + _XING_BYTES:
            break
    else:
        raise CodecError("no bit rate has room for a Xing frame")
    body = bytes(_XING_BYTES)
    if table is not None:
        total = parsed.length + table.bytes
        counts = table.frames.to_bytes(4, "big") + (total & 0xFFFFFFFF).to_bytes(4, "big")
        tag = b"Xing" if table.variable else b"Info"
        body = tag + (7).to_bytes(4, "big") + counts + table.toc(parsed.length)
    return (head + bytes(side_bytes) + body).ljust(parsed.length, b"\0")
