"""Native FLAC streams: frames, byte for byte.

A frame does not say how long it is. It ends where the header of another frame begins (sync code, CRC-8) or another
stream does, and its CRC-16 is right up to there; so bytes inside of a frame that look like a header do no harm.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.codecs.base import Buffer
from agent.codecs.flac_crc import crc16
from agent.codecs.flac_frames import HEADER_MAX, FrameHeader, frame_header
from agent.codecs.flac_info import (
    BITS,
    MARKER,
    STREAMINFO_END,
    StreamInfo,
    recordable,
    setup_of,
    stream_head,
    stream_info,
)
from agent.codecs.flac_numbers import FlacNumbers, loss
from agent.codecs.together import Together
from agent.errors import CodecError
from agent.model import AudioFormat, Block, Frame, GapCause, Instant, Loss

_STARTS = (b"\xff\xf8", b"\xff\xf9", MARKER)
_LOOKED_AT_ONCE = 4096
_FOLLOWERS = 8
"""So many headers with numbers that go on, and none where this frame could have ended: it is damaged."""
_PASSED_MOST = 16
"""Nor does a frame hold so many headers of any kind, but where somebody wants to keep us busy."""
_JOINED_MOST = 64
"""One of the first headers of a stream is a frame's."""

_Start: TypeAlias = FrameHeader | StreamInfo | Literal["cut off"] | None


def _find_start(data: Buffer, at: int) -> tuple[int, _Start]:
    """Where something begins next, and what; `cut off` may become something, None is the end of the data."""
    rest = max(at, len(data) - len(MARKER) + 1)
    while at < len(data):
        stop = at + _LOOKED_AT_ONCE
        places = [pos for start in _STARTS if (pos := data.find(start, at, stop + 3)) >= 0]
        if not places:
            at = stop
            continue
        at = min(places)
        start = _start(data, at)
        if start is not None:
            return at, start
        at += 1
    return rest, None


def _start(data: Buffer, at: int) -> _Start:
    is_marker = bytes(data[at : at + 1]) == MARKER[:1]
    start = stream_head(data, at) if is_marker else frame_header(data, at)
    if start is None and len(data) - at < (STREAMINFO_END if is_marker else HEADER_MAX):
        return "cut off"
    return start


def begun_format(head: bytes) -> AudioFormat | None:
    """The format of a stream that begins with its marker; None while more bytes are needed.

    Raises CodecError where it cannot be recorded.
    """
    if len(head) < STREAMINFO_END:
        return None
    info = stream_head(head, 0)
    if info is None:
        raise CodecError("a FLAC stream whose head is damaged", hint="it will be tried again")
    return recordable(info)


def joined_format(head: bytes) -> AudioFormat | None:
    """The format of a stream that begins anywhere, by its first whole frame; None where there is none yet.

    Raises CodecError where the frames do not state it, or it cannot be recorded.
    """
    for at, header in _headers(head, 0, _JOINED_MOST):
        behind = _headers(head, at + header.length, _PASSED_MOST)
        follower = next((other for end, other in behind if not crc16(head[at:end])), None)
        if follower is not None:
            return recordable(_stated(header, follower))
    return None


def may_be_flac(head: bytes) -> bool:
    """Whether there is a frame header in it: a frame may be longer than all that has come."""
    return isinstance(_find_start(head, 0)[1], FrameHeader)


def _headers(head: bytes, at: int, most: int) -> Iterator[tuple[int, FrameHeader]]:
    """The first things from `at` on that look like a frame header, and where they are."""
    while most:
        at, start = _find_start(head, at)
        if start is None:
            return
        if isinstance(start, FrameHeader):
            yield at, start
            most -= 1
        at += 1


def _stated(header: FrameHeader, follower: FrameHeader) -> StreamInfo:
    if not header.sample_rate_hz or not header.bits:
        raise CodecError(
            "a FLAC stream in the middle, whose frames do not state sample rate and bits",
            hint="the server has to send the head of the stream first, or the encoder has to make streamable FLAC",
        )
    block = None if header.variable else max(header.samples, follower.samples)
    return StreamInfo(header.sample_rate_hz, header.channels, header.bits, block)


@dataclass(slots=True)
class _Open:
    """A frame that has begun at `at`. Its end is not before `searched`; `followers` of it were seen in a row."""

    at: int
    header: FrameHeader
    searched: int
    followers: int = 0
    passed: int = 0
    next_number: int = -1

    @property
    def is_damaged(self) -> bool:
        """Whether it should have ended by now."""
        return self.followers >= _FOLLOWERS or self.passed >= _PASSED_MOST

    def holds(self, other: FrameHeader) -> None:
        """A header is inside of it, or it is damaged."""
        self.passed += 1
        self.followers = self.followers + 1 if other.number == self.next_number else 1
        self.next_number = other.next_number


class FlacFramer:
    """The frames of one run. The last one stays behind: nothing tells that it is complete."""

    def __init__(self, audio_format: AudioFormat) -> None:
        info = stream_info(setup_of(audio_format))
        if info is None:
            raise CodecError("the set-up of a FLAC stream is not its STREAMINFO")
        self._numbers = FlacNumbers(info)
        self._data = b""
        self._open: _Open | None = None
        self._arrivals: list[tuple[int, Instant]] = []
        self._damaged = False

    def push(self, block: Block) -> Iterator[Frame | Loss]:
        """The frames that are known to be whole now; those that follow one another without a hole are one."""
        self._data += block.data
        self._arrivals.append((len(self._data), block.received_at))
        together = Together()
        at = 0
        while (step := self._step(at)) is not None:
            end, what = step
            if isinstance(what, FrameHeader):
                missing = self._numbers.whole(what, damaged=self._damaged)
                audio_format = self._numbers.format(what)
                if missing != 0 or audio_format != together.format:
                    yield from together.take()
                    yield from loss(missing, block.received_at)
                together.add(self._data[at:end], what.samples, audio_format, self._arrived(end))
            elif what is not None:
                yield from together.take()
                yield from self._begun(what, block.received_at)
            self._damaged = what is None
            at = end
        yield from together.take()
        self._drop(at)

    def _step(self, at: int) -> tuple[int, FrameHeader | StreamInfo | None] | None:
        """What lies between `at` and the place that is given: a frame, the head of a stream, or bytes that are neither.

        None where more bytes are needed to tell.
        """
        if self._open is None:
            pos, start = _find_start(self._data, at)
            if pos > at:
                return pos, None
            if isinstance(start, StreamInfo):
                return at + STREAMINFO_END, start
            if not isinstance(start, FrameHeader):
                return None
            if not self._numbers.holds(start):
                return at + 1, None
            self._open = _Open(at, start, at + start.length)
        here = self._open
        end = self._end(here)
        if end is not None:
            self._open = None
            return end, here.header
        if here.is_damaged or len(self._data) - at > self._numbers.most_bytes(here.header):
            self._open = None
            self._numbers.broken(here.header)
            return at + 1, None
        return None

    def _end(self, here: _Open) -> int | None:
        """Where the frame ends, if that can be told by now."""
        most = here.at + self._numbers.most_bytes(here.header)
        while here.searched <= most and not here.is_damaged:
            here.searched, start = _find_start(self._data, here.searched)
            if start is None or start == "cut off":
                return None
            if crc16(self._data[here.at : here.searched]) == 0:
                return here.searched
            if isinstance(start, FrameHeader):
                here.holds(start)
            here.searched += 1
        return None

    def _begun(self, info: StreamInfo, at: Instant) -> Iterator[Loss]:
        missing = self._numbers.begin(info)
        if self._damaged or missing:
            yield from loss(missing or None, at)
        if not BITS[0] <= info.bits <= BITS[1]:
            yield Loss(GapCause.CORRUPT, f"a FLAC stream of {info.bits} bit cannot be recorded", at)

    def _arrived(self, end: int) -> Instant:
        """When the last byte before `end` was read."""
        return next(instant for position, instant in self._arrivals if position >= end)

    def _drop(self, count: int) -> None:
        self._data = self._data[count:]
        self._arrivals = [(end - count, instant) for end, instant in self._arrivals if end > count]
        if self._open is not None:
            self._open.at -= count
            self._open.searched -= count
