"""Ogg Vorbis (`.ogg`) and Ogg Opus (`.opus`) files of packets cut out of a stream.

A file has headers, a serial and granule positions of its own. Its first packets only make a decoder warm: Vorbis gives
no sample for the first packet, Opus skips what the pre-skip says. So a part is decoded as if it had not been cut.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from agent.codecs.base import Buffer, Patch, Whole
from agent.codecs.decoding import Samples, Span, from_first
from agent.codecs.ogg_mappings import OPUS, OPUS_TAGS, VORBIS, Mapping, Setup, opus_head, vorbis_headers
from agent.codecs.ogg_pages import CAPTURE, PageHead, PageReader, PageWriter, ended, is_sound, page_head
from agent.codecs.ogg_playback import frames_from
from agent.errors import CodecError
from agent.model import AudioFormat, Frame

_PAGE_BYTES = 4096
_PAGES_PER_S = 2
"""A page is as much as a crash may cost beside what was not synced, and what a player of a growing file waits for."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What sets one kind of file apart: the pages of its headers, for a decoder set-up and a pre-skip.

    FFmpeg loses samples of a Vorbis file whose first page of data is its last: it `ends_apart`.
    """

    extension: str
    mapping: Mapping
    headers: Callable[[bytes, int], list[list[bytes]]]
    ends_apart: bool = False

    def setup(self, audio_format: AudioFormat) -> Setup:
        """The set-up as its own headers would tell it. CodecError where the format has none."""
        if audio_format.codec != self.mapping.codec or not audio_format.setup:
            raise CodecError(f"an .{self.extension} file cannot hold {audio_format.codec}")
        packets = [packet for page in self.headers(audio_format.setup, 0) for packet in page]
        setup = self.mapping.setup(packets)
        if setup is None:
            raise CodecError(f"the {audio_format.codec} headers are not complete")
        return setup


def _vorbis_pages(setup: bytes, pre_skip: int) -> list[list[bytes]]:  # noqa: ARG001 - Vorbis needs none
    ident, comment, codebooks = vorbis_headers(setup)
    return [[ident], [comment, codebooks]]


def _opus_pages(setup: bytes, pre_skip: int) -> list[list[bytes]]:
    return [[opus_head(setup, pre_skip)], [OPUS_TAGS]]


class OggMuxer:
    """One Ogg file."""

    def __init__(self, kind: _Kind, audio_format: AudioFormat) -> None:
        self.container = kind.extension
        self.codec = kind.mapping.codec
        self.payload_offset = self.priming_packets = 0
        self._kind, self._format = kind, audio_format
        self._length = kind.setup(audio_format).length
        self._page_samples = audio_format.sample_rate_hz // _PAGES_PER_S
        self._writer: PageWriter | None = None
        self._granule = self._pre_skip = 0
        self._waiting: list[tuple[bytes, int]] = []
        self._waiting_bytes = self._packets = self._paged = 0

    @property
    def samples(self) -> int:
        """Samples in the pages so far."""
        return self._paged - self._pre_skip

    @property
    def packets(self) -> int:
        """Packets in the pages so far, priming apart."""
        return self._packets

    def head(self) -> bytes:
        """Nothing yet: the pre-skip is that of the packets that come before the first frame."""
        return b""

    def add(self, frame: Frame) -> bytes:
        """The pages that are full; before the first one, headers and priming packets."""
        data = []
        if self._writer is None:
            self._writer = PageWriter(zlib.crc32(frame.data))
            data.append(self._begin(self._writer, frame.priming))
        for packet, samples in frame.packets():
            if self._is_full(packet):
                data.append(self._page(self._writer))
            self._granule += samples
            self._waiting.append((packet, self._granule))
            self._waiting_bytes += len(packet)
        return b"".join(data)

    def settle(self) -> list[Patch]:
        """Nothing: every page is whole, and that there is a last one is for a salvage or a snapshot to say."""
        return []

    def finish(self) -> tuple[bytes, list[Patch]]:
        """The last page. There is always one: a page is only written when the packet behind it is there."""
        if self._writer is None:
            return b"", []
        if self._kind.ends_apart and not self._packets:
            return self._page(self._writer) + self._writer.end(self._granule), []
        return self._page(self._writer, is_last=True), []

    def _begin(self, writer: PageWriter, priming: tuple[bytes, ...]) -> bytes:
        before = None
        for packet in priming:
            self._granule += self._length(packet, before) or 0
            self._waiting.append((packet, self._granule))
            before = packet
        self.priming_packets = len(priming)
        self._pre_skip = self._paged = self._granule
        pages = self._kind.headers(self._format.setup, self._pre_skip)
        head = b"".join(writer.write([(packet, 0) for packet in page]) for page in pages)
        self.payload_offset = len(head)
        return head

    def _is_full(self, packet: bytes) -> bool:
        """Whether the page has to be written first. The first holds one packet, so that it is not the last."""
        waited = self._granule - self._paged
        if not self._packets:
            return waited > 0
        return waited >= self._page_samples or self._waiting_bytes + len(packet) > _PAGE_BYTES

    def _page(self, writer: PageWriter, *, is_last: bool = False) -> bytes:
        page = writer.write(self._waiting, is_last=is_last)
        self._packets += len(self._waiting) if self._packets else len(self._waiting) - self.priming_packets
        self._paged = self._granule
        self._waiting, self._waiting_bytes = [], 0
        return page


class OggFile:
    """Ogg files of one codec."""

    def __init__(self, kind: _Kind) -> None:
        self._kind = kind
        self.extension = kind.extension

    def muxer(self, audio_format: AudioFormat) -> OggMuxer:
        """A fresh file."""
        return OggMuxer(self._kind, audio_format)

    def whole(self, data: Buffer, *, safe_bytes: int = 0) -> Whole | None:
        """All pages that follow one another without a hole; checksums are looked at from `safe_bytes` on."""
        opened = _open(data, self._kind)
        if opened is None:
            return None
        setup, first, at = opened.setup, opened.page, opened.payload_offset
        priming, packets, sequence = _Priming(self._kind.mapping, setup), 0, opened.page.sequence + 1
        last: tuple[int, PageHead, int] | None = None
        while (head := page_head(data, at)) is not None and at + head.size <= len(data):
            if (head.serial, head.sequence) != (first.serial, sequence) or head.is_first:
                break
            if (at + head.size > safe_bytes or priming.counts) and not is_sound(page := data[at : at + head.size]):
                break
            if priming.counts:
                priming.push(page)
            sequence, packets, at = sequence + 1, packets + head.packets, at + head.size
            if (head.ends_whole or not head.lacing) and head.granule is not None:
                last = at, head, packets
            if head.is_last:
                break
        if last is None:
            return None
        end, head, packets = last
        samples = (head.granule or 0) - setup.pre_skip
        if samples <= 0:
            return None
        packets -= priming.packets
        stays_open = self._kind.ends_apart and head.sequence == first.sequence + 1 and not head.is_last
        patches = () if stays_open else (Patch(end - head.size, ended(data[end - head.size : end])),)
        return Whole(end, samples, packets, opened.payload_offset, setup.format, patches, priming.packets)

    def snapshot(self, data: Buffer) -> Whole | None:
        """The same, with no look at a checksum."""
        return self.whole(data, safe_bytes=len(data))

    def decoded(self, file: BinaryIO, whole: Whole, first: int, broken: list[Span] | None = None) -> Iterator[Samples]:
        """The samples, decoded packet by packet; some packets before `first` make the decoder warm."""
        from agent.codecs.packet_decoder import PacketDecoder  # noqa: PLC0415 - see codecs.decoder

        decoder = PacketDecoder(whole.format)
        for frame, start in frames_from(file, whole, self._setup_of(file, whole), first):
            if start + frame.samples > first:
                yield from_first(decoder, frame, start, first, broken)

    def _setup_of(self, file: BinaryIO, whole: Whole) -> Setup:
        file.seek(0)
        opened = _open(file.read(whole.payload_offset), self._kind)
        if opened is None:
            raise CodecError("the headers are not complete")
        return opened.setup


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the headers of a file tell; `page` is the last of their pages."""

    setup: Setup
    page: PageHead
    payload_offset: int


def _open(data: Buffer, kind: _Kind) -> _Opened | None:
    """Read the headers; None where they are cut off. CodecError where the file is of another kind."""
    start = bytes(data[: len(CAPTURE)])
    if not CAPTURE.startswith(start):
        raise CodecError("no Ogg page at the beginning")
    reader, packets, at = PageReader(), list[bytes](), 0
    while (head := page_head(data, at)) is not None and at + head.size <= len(data):
        pages = list(reader.push(data[at : at + head.size]))
        if not pages or pages[0].has_gap:
            raise CodecError("the headers are damaged")
        at += head.size
        for packet in pages[0].packets:
            packets.append(packet)
            if not packets[0].startswith(kind.mapping.magic):
                raise CodecError(f"no {kind.mapping.codec} in this Ogg file")
            setup = kind.mapping.setup(packets)
            if setup is not None:
                return _Opened(setup, head, at)
    return None


class _Priming:
    """How many packets at the head of a file are for the decoder only."""

    def __init__(self, mapping: Mapping, setup: Setup) -> None:
        self._setup = setup
        self._missing_packets, self._missing_samples = mapping.priming_packets, setup.pre_skip
        self._reader = PageReader()
        self._before: bytes | None = None
        self.packets = 0

    @property
    def counts(self) -> bool:
        """Whether there may be more."""
        return self._missing_packets > 0 or self._missing_samples > 0

    def push(self, page: bytes) -> None:
        """Look at the packets of the next page."""
        for packet in (packet for found in self._reader.push(page) for packet in found.packets):
            if self.counts:
                self._missing_packets -= 1
                self._missing_samples -= self._setup.length(packet, self._before) or 0
                self._before = packet
                self.packets += 1


OGG = OggFile(_Kind("ogg", VORBIS, _vorbis_pages, ends_apart=True))
OPUS_FILES = OggFile(_Kind("opus", OPUS, _opus_pages))
