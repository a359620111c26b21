"""FLAC in Ogg (FLAC-to-Ogg mapping 1.0; RFC 9639, 10.1): a packet is a frame, or a block of metadata. Pure.

Files are native FLAC. Streams are chained, mostly with a shorter frame at the end of each song, so the format is that
of a variable block size: its files count samples.
"""

from collections.abc import Sequence
from dataclasses import replace

from agent.codecs.flac_crc import crc16
from agent.codecs.flac_frames import frame_header
from agent.codecs.flac_info import MARKER, StreamInfo, recordable, stream_head
from agent.codecs.ogg_mappings import Length, Mapping, Setup, title_of
from agent.errors import CodecError
from agent.model import AudioFormat

_MAGIC = b"\x7fFLAC"
_MARKER_AT = 9
_COMMENT, _LAST = 4, 0x80


def in_ogg(audio_format: AudioFormat) -> AudioFormat:
    """The format of a run out of Ogg; where it is FLAC, this one tells it from native FLAC."""
    return replace(audio_format, setup=_MAGIC + audio_format.setup) if audio_format.codec == "flac" else audio_format


def is_in_ogg(audio_format: AudioFormat) -> bool:
    """Whether this is the format of FLAC out of Ogg."""
    return audio_format.setup.startswith(_MAGIC)


def _setup(headers: Sequence[bytes]) -> Setup | None:
    first, blocks = headers[0], headers[1:]
    info = stream_head(first, _MARKER_AT) if first[_MARKER_AT : _MARKER_AT + 4] == MARKER else None
    if info is None:
        raise CodecError("an Ogg FLAC stream with a header that is none")
    info = replace(info, block_samples=None)
    audio_format = recordable(info)
    expected = int.from_bytes(first[7:9], "big")
    is_last = (blocks[-1][:1] if blocks else first[_MARKER_AT + 4 : _MARKER_AT + 5]) >= bytes((_LAST,))
    if not is_last and (not expected or len(blocks) < expected):
        return None
    comments = next((block[4:] for block in blocks if block[:1] and block[0] & ~_LAST == _COMMENT), b"")
    return Setup(audio_format, title_of(comments), _length_in(info))


def _length_in(info: StreamInfo) -> Length:
    def length(packet: bytes, before: bytes | None) -> int | None:  # noqa: ARG001 - a packet tells for itself
        header = frame_header(packet, 0)
        if header is None or header.channels != info.channels or crc16(packet):
            return None
        is_alike = header.bits in (0, info.bits) and header.sample_rate_hz in (0, info.sample_rate_hz)
        return header.samples if is_alike else None

    return length


FLAC = Mapping("flac", _MAGIC, _setup)
