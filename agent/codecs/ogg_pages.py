"""Ogg pages (RFC 3533): read from bytes that come in pieces, and written. Pure.

A packet is laced into segments of up to 255 bytes; up to 255 segments make a page, which has a checksum, the number
of its logical stream (serial), its number in it (sequence), and what its last packet leads up to (granule position).
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agent.codecs.base import Buffer

CAPTURE = b"OggS\0"
"""How each page begins: the capture pattern and the version."""
_HEAD_BYTES = 27
_CRC_AT = 22
_SEGMENTS_MOST = 255
_CONTINUED, _BOS, _EOS = 1, 2, 4
_NO_GRANULE = (1 << 64) - 1
_PACKET_MOST_BYTES = 1 << 20
"""A packet that is longer is no audio, and is not kept while it grows."""
_STREAMS_MOST = 32
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class PageHead:
    """The head of a page. `granule` is None where no packet ends on it (-1); `size` counts all bytes of the page."""

    flags: int
    granule: int | None
    serial: int
    sequence: int
    lacing: bytes
    size: int

    @property
    def is_continued(self) -> bool:
        """Whether it begins in the middle of a packet."""
        return bool(self.flags & _CONTINUED)

    @property
    def is_first(self) -> bool:
        """Whether a logical stream begins with it (BOS)."""
        return bool(self.flags & _BOS)

    @property
    def is_last(self) -> bool:
        """Whether its logical stream ends with it (EOS)."""
        return bool(self.flags & _EOS)

    @property
    def ends_whole(self) -> bool:
        """Whether its last packet ends on it."""
        return bool(self.lacing) and self.lacing[-1] < 255

    @property
    def packets(self) -> int:
        """How many packets end on it."""
        return len(self.lacing) - self.lacing.count(255)


@dataclass(frozen=True, slots=True)
class Page:
    """The packets that end on one page, each whole, wherever it began.

    `has_gap`: packets of this stream may be missing before the first of these. `granule` belongs to the last packet;
    it is a signed number, and None where the page tells none (-1).
    """

    serial: int
    sequence: int
    granule: int | None
    is_first: bool
    is_last: bool
    packets: tuple[bytes, ...]
    has_gap: bool = False


def page_head(data: Buffer, at: int) -> PageHead | None:
    """The head of the page that begins at `at`; None where there is none, or not all of it yet."""
    head = bytes(data[at : at + _HEAD_BYTES + _SEGMENTS_MOST])
    if len(head) < _HEAD_BYTES or not head.startswith(CAPTURE):
        return None
    lacing = head[_HEAD_BYTES : _HEAD_BYTES + head[26]]
    if len(lacing) < head[26]:
        return None
    granule = None if head[6:14] == b"\xff" * 8 else int.from_bytes(head[6:14], "little", signed=True)
    serial, sequence = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
    return PageHead(head[5], granule, serial, sequence, lacing, _HEAD_BYTES + len(lacing) + sum(lacing))


def is_sound(page: bytes) -> bool:
    """Whether a page, all of it, fits its checksum."""
    return checksum(page) == page[_CRC_AT : _CRC_AT + 4]


def checksum(page: bytes) -> bytes:
    """The checksum of a page as it stands in its head. It is zlib's with the order of the bits turned round."""
    blank = b"".join((page[:_CRC_AT], bytes(4), page[_CRC_AT + 4 :])).translate(_MIRRORED)
    return (zlib.crc32(blank, 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "big").translate(_MIRRORED)


def ended(page: bytes) -> bytes:
    """The head of this page as the last of its stream (EOS), up to and with its checksum."""
    marked = b"".join((page[:5], bytes((page[5] | _EOS,)), page[6:]))
    return marked[:_CRC_AT] + checksum(marked)


def packets_of(head: PageHead, body: bytes) -> tuple[list[bytes], bytes]:
    """The packets that end on a page, the first perhaps begun before it, and the beginning of one that goes on."""
    packets, begin, end = [], 0, 0
    for segment in head.lacing:
        end += segment
        if segment < 255:
            packets.append(body[begin:end])
            begin = end
    return packets, body[begin:end]


class PageReader:
    """Reads pages from bytes that come in pieces, of all logical streams there are.

    What is no page, or has a wrong checksum, is passed over up to the next good page. A packet whose beginning or end
    was never seen is dropped.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._streams: dict[int, _Stream] = {}
        self.skipped_bytes = 0

    def push(self, data: bytes) -> Iterator[Page]:
        """The pages that `data` completes."""
        data, at = self._rest + data, 0
        self._rest = b""
        while True:
            found = data.find(CAPTURE, at)
            page, waits = _next_page(data, found if found >= 0 else len(data))
            if page is None:
                break
            begin, head = page
            self.skipped_bytes += begin - at
            at = begin + head.size
            yield self._whole(head, data[at - sum(head.lacing) : at])
        keep = waits if waits is not None else max(at, len(data) - len(CAPTURE) + 1)
        self.skipped_bytes += keep - at
        self._rest = data[keep:]

    def _whole(self, head: PageHead, body: bytes) -> Page:
        if head.is_first:
            self._streams.pop(head.serial, None)
        stream = self._streams.get(head.serial)
        if stream is None:
            if len(self._streams) >= _STREAMS_MOST:
                del self._streams[next(iter(self._streams))]
            stream = self._streams[head.serial] = _Stream()
        return stream.page(head, body)


def _next_page(data: bytes, at: int) -> tuple[tuple[int, PageHead] | None, int | None]:
    """The first good page from `at` on. Where there is none, what may yet become one.

    A page that seems to go on for longer than there is data is not waited for where a good one follows inside of it.
    """
    waits = None
    while (at := data.find(CAPTURE, at)) >= 0:
        head = page_head(data, at)
        if head is None or at + head.size > len(data):
            waits = at if waits is None else waits
        elif is_sound(data[at : at + head.size]):
            return (at, head), None
        at += 1
    return None, waits


class _Stream:
    """One logical stream: what is known from its page before."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._begun: bytes | None = None
        self._has_gap = False

    def page(self, head: PageHead, body: bytes) -> Page:
        self._has_gap |= self._next not in (None, head.sequence)
        begun = None if self._has_gap else self._begun
        packets, rest = packets_of(head, body)
        goes_on = bool(head.lacing) and not head.ends_whole
        is_dropped = head.is_continued and begun is None
        self._has_gap |= is_dropped or (self._begun is not None and not head.is_continued)
        if head.is_continued and packets:
            packets[:1] = [] if begun is None else [begun + packets[0]]
        elif head.is_continued:
            rest = (begun or b"") + rest
            goes_on = not is_dropped and (goes_on or not head.lacing)
        self._begun = rest if goes_on and len(rest) <= _PACKET_MOST_BYTES else None
        self._next = (head.sequence + 1) & 0xFFFFFFFF
        has_gap, self._has_gap = self._has_gap, self._has_gap and not packets
        return Page(
            head.serial, head.sequence, head.granule, head.is_first, head.is_last, tuple(packets), has_gap=has_gap
        )


class PageWriter:
    """Writes the pages of one logical stream, numbered from 0; its first page is marked as such (BOS)."""

    def __init__(self, serial: int) -> None:
        self._serial = serial
        self._sequence = 0

    def write(self, packets: Iterable[tuple[bytes, int]], *, is_last: bool = False) -> bytes:
        """The pages of these packets, each given with the granule position behind it; the last packet ends a page."""
        pages: list[tuple[list[int], list[bytes], int, bool]] = [([], [], _NO_GRANULE, False)]
        for packet, granule in packets:
            lacing, bodies, _, continued = pages[-1]
            at = 0
            while True:
                if len(lacing) == _SEGMENTS_MOST:
                    lacing, bodies, continued = [], [], at > 0
                    pages.append((lacing, bodies, _NO_GRANULE, continued))
                segments = min((len(packet) - at) // 255, _SEGMENTS_MOST - len(lacing))
                lacing += [255] * segments
                bodies.append(packet[at : at + 255 * segments])
                at += 255 * segments
                if len(packet) - at < 255 and len(lacing) < _SEGMENTS_MOST:
                    lacing.append(len(packet) - at)
                    bodies.append(packet[at:])
                    break
            pages[-1] = (lacing, bodies, granule, continued)
        last = len(pages) - 1
        return b"".join(
            self._page(lacing, bodies, granule, continued=continued, is_last=is_last and number == last)
            for number, (lacing, bodies, granule, continued) in enumerate(pages)
        )

    def end(self, granule: int) -> bytes:
        """A last page without a packet."""
        return self._page([], [], granule, continued=False, is_last=True)

    def _page(self, lacing: list[int], bodies: list[bytes], granule: int, *, continued: bool, is_last: bool) -> bytes:
        flags = _CONTINUED * continued | _BOS * (self._sequence == 0) | _EOS * is_last
        head = b"".join(
            (
                CAPTURE,
                bytes((flags,)),
                granule.to_bytes(8, "little"),
                self._serial.to_bytes(4, "little"),
                self._sequence.to_bytes(4, "little"),
                bytes(4),
                bytes((len(lacing), *lacing)),
            )
        )
        self._sequence += 1
        page = b"".join((head, *bodies))
        return b"".join((page[:_CRC_AT], checksum(page), page[_CRC_AT + 4 :]))
