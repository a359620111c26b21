"""Packets that each begin with a header that tells their length, without anything around them: MP3 and ADTS.

A header is short, and audio may look like one. So a stream is believed where three headers that fit each other follow
one another, and from there on each packet leads to the next.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Generic, Protocol, Self, TypeVar

from agent.codecs.base import Buffer, Whole
from agent.codecs.decoding import Samples, Span, from_first
from agent.codecs.tags import HEAD_MOST, find_tag, tag_bytes
from agent.errors import CodecError
from agent.model import AudioFormat, Block, Frame, GapCause, Instant, Loss

_CONFIRM = 3
"""Headers in a row that have to fit before bytes are taken for a stream."""

_NEIGHBOURS = 16
"""How long lost packets were is taken from so many before them and so many behind them."""


class PacketHeader(Protocol):
    """What the header of one packet says."""

    @property
    def length(self) -> int:
        """Bytes of the packet, header included."""
        ...

    @property
    def samples(self) -> int:
        """Samples per channel."""
        ...

    @property
    def format(self) -> AudioFormat:
        """The stream's format."""
        ...

    def fits(self, other: Self) -> bool:
        """Whether both can be headers of one stream."""
        ...


H = TypeVar("H", bound=PacketHeader)


@dataclass(frozen=True, slots=True)
class HeaderFraming(Generic[H]):
    """How the packets of one codec are told apart. `header` reads the header at a place, None where there is none."""

    header: Callable[[Buffer, int], H | None]
    header_bytes: int

    def find(self, data: Buffer, start: int = 0, *, complete: bool = False) -> tuple[int, H] | None:
        """Where the first packet of a stream begins: three fitting headers, each where the one before says.

        With `complete` the data ends where it ends, and fewer headers are enough if they lead exactly there; without,
        what may yet become a stream is waited for, because the bodies of its packets may hold anything.
        """
        found = self.scan(data, start, len(data), complete=complete)
        return None if found is None or found[1] is None else (found[0], found[1])

    def scan(self, data: Buffer, start: int, end: int, *, complete: bool = False) -> tuple[int, H | None] | None:
        """The same for a stream that begins before `end`; without a header where it may begin there, if more comes."""
        at = start
        while (at := data.find(b"\xff", at, end)) >= 0:
            first = self.header(data, at)
            leads_on = False if first is None else self._leads_on(data, at, first, complete=complete)
            if leads_on is not False:
                return at, first if leads_on else None
            at += 1
        return None

    def find_more(self, data: Buffer, start: int, end: int, stream: H) -> int | None:
        """Where, before `end`, three headers of this stream begin; what may become another one is not waited for."""
        at = start
        while (at := data.find(b"\xff", at, end)) >= 0:
            first = self.header(data, at)
            if first is not None and first.fits(stream) and self._leads_on(data, at, first, complete=False):
                return at
            at += 1
        return None

    def _leads_on(self, data: Buffer, at: int, first: H, *, complete: bool) -> bool | None:
        """Whether three fitting headers begin at `at`; None where the data ends too early to tell."""
        pos = at
        for _ in range(_CONFIRM):
            if len(data) - pos < self.header_bytes:
                return pos == len(data) if complete else None
            here = self.header(data, pos)
            if here is None or not here.fits(first):
                return False
            pos += here.length
        return True

    def walk(self, data: Buffer, at: int, stream: H) -> Iterator[tuple[int, H]]:
        """The whole packets of the stream that follow one another from `at` on, each with its place."""
        while (here := self.header(data, at)) is not None and here.fits(stream) and at + here.length <= len(data):
            yield at, here
            at += here.length

    def decoded(
        self, file: BinaryIO, whole: Whole, first: int, broken: list[Span] | None, *, warm_up_packets: int
    ) -> Iterator[Samples]:
        """As Container.decoded; `warm_up_packets` before `first` bring the decoder to where it would be."""
        from agent.codecs.packet_decoder import PacketDecoder  # noqa: PLC0415 - see codecs.decoder

        decoder = PacketDecoder(whole.format)
        file.seek(whole.payload_offset)
        start = 0
        while start < whole.samples:
            head = file.read(self.header_bytes)
            found = self.header(head, 0)
            if found is None:
                raise CodecError(f"no {whole.format.codec} packet at sample {start}")
            data = head + file.read(found.length - self.header_bytes)
            end = start + found.samples
            if end > first - warm_up_packets * found.samples:
                frame = Frame(data, found.samples, whole.format, Instant(0, 0, 0))
                samples = from_first(decoder, frame, start, first, broken)
                if end > first:
                    yield samples
            start = end


class HeaderFramer(Generic[H]):
    """Packets, byte for byte. Tags are passed over; damage of at least a packet's length is a Loss.

    A cut-off beginning is no loss, and neither are a few stray bytes: no audio is missing there. How many packets were
    lost is what their bytes would have held at the mean length of the packets before and behind.
    """

    def __init__(self, framing: HeaderFraming[H]) -> None:
        self._framing = framing
        self._rest = b""
        self._stream: H | None = None
        self._known: H | None = None  # the stream that the last packets were of
        self._at_edge = True  # what comes now should be a packet or a tag
        self._tag_bytes = 0  # of a tag that goes on in what is still to come
        self._before: deque[int] = deque(maxlen=_NEIGHBOURS)  # lengths of the last packets, in bytes
        self._usual_bytes: float = math.inf  # what is longer is looked into
        self._missing_bytes = 0
        self.skipped_bytes = 0

    def push(self, block: Block) -> Iterator[Frame | Loss]:
        """The packets that the block completes; those that follow one another without a hole make one frame."""
        data, at = self._rest + block.data, 0
        while True:
            at, stream = self._seek(data, at)
            if stream is None:
                break
            ends, goes_on = self._sound(data, at, stream)
            if ends:
                yield from self._lost(ends, block)
                size, samples = ends[-1]
                frame = Frame(data[at : at + size], samples, stream.format, block.received_at, tuple(ends[:-1]))
                self._known = stream
                self._before.extend(_lengths(ends[-_NEIGHBOURS - 1 :])[-_NEIGHBOURS:])
                self._usual_bytes = 2 * max(self._before)
                at += size
                yield frame
            elif goes_on is not None:
                self._skip(goes_on - at)
                at = goes_on
            else:
                break
        self._rest = data[at:]

    def _sound(self, data: bytes, at: int, stream: H) -> tuple[list[tuple[int, int]], int | None]:
        """Where the packets end that can be relied on; without one, where it goes on, None if more bytes are needed."""
        ends = self._ends(data, at, stream)
        if not ends:
            return [], self._hidden(data, at, stream)
        if self._is_doubtful(data, at + ends[-1][0], stream):
            last = at + (ends[-2][0] if len(ends) > 1 else 0)
            sound_from = self._sound_from(data, last, at + ends[-1][0], stream)
            if sound_from != last:
                return ends[:-1], sound_from
        return ends, None

    def _ends(self, data: bytes, at: int, stream: H) -> list[tuple[int, int]]:
        """How many bytes and samples there are from `at` to the end of each whole packet that follows."""
        ends, samples = [], 0
        for place, packet in self._framing.walk(data, at, stream):
            if packet.length > self._usual_bytes and self._hidden(data, place, stream) is not None:
                break
            samples += packet.samples
            ends.append((place + packet.length - at, samples))
        return ends

    def _hidden(self, data: bytes, at: int, stream: H) -> int | None:
        """Where the stream goes on inside of a packet that says it is much longer than its neighbours; else None."""
        packet = self._framing.header(data, at)
        if packet is None or packet.length <= self._usual_bytes:
            return None
        return self._framing.find_more(data, at + 1, at + packet.length, stream)

    def _is_doubtful(self, data: bytes, end: int, stream: H) -> bool:
        """Whether what follows a packet speaks against its length: it is no packet of the stream and no tag."""
        here = self._framing.header(data, end)
        if here is not None:
            return not here.fits(stream)
        if len(data) - end < self._framing.header_bytes and data[end : end + 1] in (b"", b"\xff"):
            return False  # a packet is not kept waiting for a few bytes of the next
        return tag_bytes(data, end) == 0

    def _sound_from(self, data: bytes, at: int, end: int, stream: H) -> int | None:
        """Where the first packet or tag is that can be relied on: `at` where the doubtful one there is none the less.

        Its length is wrong, or it was cut off, where another stream or a tag begins inside of it. None: more bytes are
        needed.
        """
        found = self._framing.scan(data, at + 1, end)
        tag = find_tag(data, at + 1, end if found is None else found[0])
        if tag >= 0:
            return tag
        if found is None:
            return at
        if found[1] is not None:
            return found[0]
        more = self._framing.find_more(data, found[0], len(data), stream)
        return at if more is not None and more >= end else more

    def _seek(self, data: bytes, at: int) -> tuple[int, H | None]:
        """Where the next packet begins, and its stream; None where that needs more bytes, from the place given on."""
        while True:
            passed = min(self._tag_bytes, len(data) - at)
            at += passed
            self._tag_bytes -= passed
            self.skipped_bytes += passed
            if self._at_edge:
                here = self._framing.header(data, at)
                if here is not None and self._stream is not None and here.fits(self._stream):
                    return at, self._stream
                tag = tag_bytes(data, at)
                if tag is None or (tag == 0 and len(data) - at < self._framing.header_bytes):
                    return at, None
                if tag:
                    self._tag_bytes = tag
                    continue
                self._at_edge, self._stream = False, None  # damage, or a stream of another format
            at, self._at_edge = self._search(data, at)
            if not self._at_edge:
                return at, None

    def _search(self, data: bytes, at: int) -> tuple[int, bool]:
        """The nearest beginning of a stream or a tag; without one, from where on there may come to be one."""
        found = self._framing.scan(data, at, len(data))
        tag = find_tag(data, at, len(data) if found is None else found[0])
        place, stream = found or (max(at, len(data) - HEAD_MOST), None)
        if stream is None and self._known is not None:
            more = self._framing.find_more(data, place, len(data), self._known)
            place, stream = (place, None) if more is None else (more, self._known)
        if tag >= 0:
            place = tag
        else:
            self._stream = stream
        self._skip(place - at)
        return place, tag >= 0 or stream is not None

    def _skip(self, size: int) -> None:
        self.skipped_bytes += size
        self._missing_bytes += size

    def _lost(self, ends: list[tuple[int, int]], block: Block) -> Iterator[Loss]:
        """What is missing between the packets before and those that end where `ends` says."""
        missing, self._missing_bytes = self._missing_bytes, 0
        if self._known is not None and missing:
            behind = _lengths(ends[:_NEIGHBOURS])
            mean_bytes = (sum(self._before) / len(self._before) + sum(behind) / len(behind)) / 2
            packets = round(missing / mean_bytes)
            if packets:
                detail = f"{missing} bytes that are no audio, in the place of about {packets} packets"
                yield Loss(GapCause.CORRUPT, detail, block.received_at, packets * self._known.samples)


def _lengths(ends: list[tuple[int, int]]) -> list[int]:
    """How long each packet is; the first one counts from the place that all ends are counted from."""
    return [end - begin for (begin, _), (end, _) in zip([(0, 0), *ends], ends, strict=False)]
