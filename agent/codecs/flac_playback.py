"""The frames of a FLAC file that holds those of a stream, decoded one by one: a broken one costs itself alone."""

import mmap
from collections.abc import Iterator
from typing import BinaryIO

from agent.codecs.base import Whole
from agent.codecs.decoding import Samples, Span, from_first
from agent.codecs.flac_frames import frame_end, frame_header
from agent.errors import CodecError
from agent.model import Frame, Instant


def frames_decoded(file: BinaryIO, whole: Whole, first: int, broken: list[Span] | None) -> Iterator[Samples]:
    """As Container.decoded."""
    from agent.codecs.packet_decoder import PacketDecoder  # noqa: PLC0415 - see codecs.decoder

    decoder = PacketDecoder(whole.format)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at, start = whole.payload_offset, 0
        while start < whole.samples:
            header = frame_header(data, at)
            end = None if header is None else frame_end(data, at, header, checked=True)
            if header is None or end is None:
                raise CodecError(f"no FLAC frame at sample {start}")
            if start + header.samples > first:
                frame = Frame(data[at:end], header.samples, whole.format, Instant(0, 0, 0))
                yield from_first(decoder, frame, start, first, broken)
            at, start = end, start + header.samples
