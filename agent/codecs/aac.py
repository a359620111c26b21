"""AAC in ADTS (ISO/IEC 13818-7, 6.2; 14496-3, 1.A.2): packets as they are, and nothing else.

ADTS has no place for a file's length: it is in the sidecar only. Each packet leans on the one before it, so the first
1024 samples of a file that begins in mid-stream are faded in. HE-AAC is AAC of half the rate (and, with parametric
stereo, of one channel) that brings along how to restore the rest; its headers do not tell. `samples`, rate and
channels are those of the headers.
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

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
_HEADER_BYTES = 7
_CRC_BYTES = 2
_SAMPLES_PER_BLOCK = 1024
_WARM_UP_PACKETS = 24
"""The overlap needs one; the settings of SBR come only every half second or so."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the seven bytes of an ADTS header say. `kind` is what stays the same in one stream."""

    kind: tuple[int, int, int, int]
    rate: int
    channels: int
    samples: int
    length: int

    def fits(self, other: "Header") -> bool:
        """Whether both can be packets of one stream."""
        return self.kind == other.kind

    @property
    def format(self) -> AudioFormat:
        """The stream's format."""
        return AudioFormat("aac", self.rate, self.channels)


def any_header(data: Buffer, at: int) -> Header | None:
    """The ADTS header at `at`; None for anything else. `channels` is 0 where the audio itself describes them."""
    return _parsed(bytes(data[at : at + _HEADER_BYTES]))


def header(data: Buffer, at: int) -> Header | None:
    """The same, but None where the header does not tell the channels: that is not recorded."""
    found = _parsed(bytes(data[at : at + _HEADER_BYTES]))
    return found if found is not None and found.channels else None


@lru_cache(maxsize=4096)  # a header holds the length of its packet, and at constant bit rate a changing fullness
def _parsed(head: bytes) -> Header | None:
    if len(head) < _HEADER_BYTES or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    mpeg_2, no_crc = head[1] >> 3 & 1, head[1] & 1
    profile, rate, channels = head[2] >> 6, head[2] >> 2 & 15, (head[2] & 1) << 2 | head[3] >> 6
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    blocks = (head[6] & 3) + 1
    # With a CRC, the places of all blocks but the first stand before it, and each block has one of its own.
    overhead = _HEADER_BYTES if no_crc else _HEADER_BYTES + _CRC_BYTES * (1 if blocks == 1 else 2 * blocks)
    if rate >= len(_RATES) or length < overhead + blocks:
        return None
    kind = (mpeg_2, profile, rate, channels)
    return Header(kind, _RATES[rate], _CHANNELS[channels], _SAMPLES_PER_BLOCK * blocks, length)


FRAMING = HeaderFraming(header, _HEADER_BYTES)
find_stream = FRAMING.find


def describes_itself(data: Buffer) -> bool:
    """Whether the data holds a stream whose headers leave the channels to the audio (a program config element)."""
    found = HeaderFraming(any_header, _HEADER_BYTES).find(data)
    return found is not None and not found[1].channels


class AacFramer(HeaderFramer[Header]):
    """ADTS packets, byte for byte."""

    def __init__(self, audio_format: AudioFormat) -> None:  # noqa: ARG002 - each packet says it again
        super().__init__(FRAMING)


class AacMuxer:
    """One AAC file: the stream's packets."""

    container = "aac"
    codec = "aac"
    payload_offset = 0
    priming_packets = 0

    def __init__(self) -> None:
        self.samples = self.packets = 0

    def head(self) -> bytes:
        """Nothing: there is no head."""
        return b""

    def add(self, frame: Frame) -> bytes:
        """The packets."""
        self.samples += frame.samples
        self.packets += len(frame.borders) + 1
        return frame.data

    def settle(self) -> list[Patch]:
        """Nothing: the file is right at each packet's end."""
        return []

    def finish(self) -> tuple[bytes, list[Patch]]:
        """Nothing more."""
        return b"", []


class Aac:
    """AAC files."""

    extension = "aac"

    def muxer(self, audio_format: AudioFormat) -> AacMuxer:  # noqa: ARG002 - each packet says it again
        """A fresh AAC file."""
        return AacMuxer()

    def whole(self, data: Buffer, *, safe_bytes: int = 0) -> Whole | None:  # noqa: ARG002 - all headers are walked
        """All packets that follow one another without a hole."""
        return self.snapshot(data)

    def snapshot(self, data: Buffer) -> Whole | None:
        """All packets that follow one another without a hole."""
        first = header(data, 0)
        if first is None:
            if len(data) >= _HEADER_BYTES:
                raise CodecError("no AAC packet at the beginning")
            return None
        end = samples = packets = 0
        for at, packet in FRAMING.walk(data, 0, first):
            end, samples, packets = at + packet.length, samples + packet.samples, packets + 1
        return Whole(end, samples, packets, 0, first.format, ()) if packets else None

    def decoded(self, file: BinaryIO, whole: Whole, first: int, broken: list[Span] | None = None) -> Iterator[Samples]:
        """The samples, decoded packet by packet; some packets before `first` warm the decoder up."""
        return FRAMING.decoded(file, whole, first, broken, warm_up_packets=_WARM_UP_PACKETS)
