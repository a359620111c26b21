"""The last packets of finished files, as the framer of such a stream gives them, and how one packet is known again.

Pure. The frames of FLAC are numbered anew in a file: all but their numbers and checksums is as it came.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType

from agent.codecs import aac, mp3
from agent.codecs.base import Buffer
from agent.codecs.flac_frames import frame_header, last_end, last_frame
from agent.codecs.ogg_files import OGG, OPUS_FILES, OggFile
from agent.codecs.ogg_pages import PageReader
from agent.errors import CodecError

_CRC_BYTES = 2
_LOOKED_AT_BYTES = 512 << 10
"""Of a file's end: 13 s at the highest bit rate of MP3, more than half a minute at usual ones."""


def tail(container: str, data: Buffer, payload_offset: int) -> list[bytes]:
    """The last packets of a file whose audio begins at `payload_offset`, oldest first: as many as are found quickly,
    and none where the container does not tell (PCM)."""
    return _TAILS[container](data, payload_offset) if container in _TAILS else []


def _by_headers(kind: ModuleType, data: Buffer, payload_offset: int) -> list[bytes]:
    base = max(payload_offset, len(data) - _LOOKED_AT_BYTES)
    end, start = data[base : len(data)], 0
    while (found := kind.find_stream(end, start, complete=True)) is not None:
        at, packets = found[0], []
        while (here := kind.header(end, at)) is not None and at + here.length <= len(end):
            packets.append(end[at : at + here.length])
            at += here.length
        if at == len(end):
            return packets
        start = found[0] + 1  # No packet begins there: from one to the next they lead to the end of the file.
    return []


def _ogg(kind: OggFile, data: Buffer, payload_offset: int) -> list[bytes]:
    base = max(payload_offset, len(data) - _LOOKED_AT_BYTES)
    packets: list[bytes] = []
    for page in PageReader().push(data[base : len(data)]):
        packets = [*([] if page.has_gap else packets), *(packet for packet in page.packets if packet)]
    if base > payload_offset:
        return packets
    try:
        whole = kind.whole(data)
    except CodecError:
        return []
    return [] if whole is None else packets[whole.priming_packets :]


def _flac(data: Buffer, payload_offset: int) -> list[bytes]:
    base, end = max(payload_offset, len(data) - _LOOKED_AT_BYTES), len(data)
    packets: list[bytes] = []
    while end > base and (at := last_frame(data, payload_offset, end)) is not None and last_end(data, at, end) == end:
        packets.insert(0, data[at:end])
        end = at
    return packets


def fingerprint(packet: bytes, codec: str) -> int:
    """The same number for the same packet, from a stream or from a file."""
    header = frame_header(packet, 0) if codec == "flac" else None
    return hash(packet if header is None else packet[header.length : -_CRC_BYTES])


_TAILS: dict[str, Callable[[Buffer, int], list[bytes]]] = {
    "aac": partial(_by_headers, aac),
    "flac": _flac,
    "mp3": partial(_by_headers, mp3),
    "ogg": partial(_ogg, OGG),
    "opus": partial(_ogg, OPUS_FILES),
}
