"""FLAC files with the frames of a stream, never encoded again: only the numbers in their headers are new.

A file whose frames do not begin at number 0 cannot be sought in by libsndfile. With the number the two checksums of a
frame change; the CRC-16 by the difference of the headers alone, because a CRC is linear.
"""

from agent.codecs.base import Patch
from agent.codecs.flac_crc import crc8, crc16, crc16_moved
from agent.codecs.flac_frames import FrameHeader, coded_number, frame_header
from agent.codecs.flac_info import (
    ANY_BLOCK,
    MARKER,
    STREAMINFO_AT,
    STREAMINFO_END,
    StreamInfo,
    setup_of,
    stream_info,
    stream_setup,
)
from agent.errors import CodecError
from agent.model import AudioFormat, Frame

_FRAME_BYTES_MOST = (1 << 24) - 1


class FlacCopyMuxer:
    """One FLAC file. It counts frames where the set-up states one block size for all, samples everywhere else."""

    container = "flac"
    codec = "flac"
    priming_packets = 0
    payload_offset = STREAMINFO_END

    def __init__(self, audio_format: AudioFormat) -> None:
        info = stream_info(setup_of(audio_format))
        if info is None:
            raise CodecError("the set-up of a FLAC stream is not its STREAMINFO")
        self._info: StreamInfo = info
        self._samples = self._packets = 0
        self._block_sizes: tuple[int, int] | None = None
        self._frame_sizes = (_FRAME_BYTES_MOST, 0)

    @property
    def samples(self) -> int:
        """Samples per channel by the frame headers."""
        return self._samples

    @property
    def packets(self) -> int:
        """Frames so far."""
        return self._packets

    def head(self) -> bytes:
        """Marker and STREAMINFO, the only metadata."""
        return MARKER + b"\x80\0\0\x22" + self._stream_info()

    def add(self, frame: Frame) -> bytes:
        """The frames with their places in this file; CodecError where there is none."""
        return b"".join([self._placed(packet) for packet, _ in frame.packets()])

    def settle(self) -> list[Patch]:
        """The sizes and the total as they are now."""
        return [Patch(STREAMINFO_AT, self._stream_info())]

    def finish(self) -> tuple[bytes, list[Patch]]:
        """The sizes and the total as they have become."""
        return b"", self.settle()

    def _placed(self, packet: bytes) -> bytes:
        header = frame_header(packet, 0)
        if header is None:
            raise CodecError("no FLAC frame header at the beginning of a packet")
        variable = self._info.block_samples is None
        placed = renumbered(packet, header, self._samples if variable else self._packets, variable=variable)
        self._samples += header.samples
        self._packets += 1
        if variable:
            low, high = self._block_sizes or (ANY_BLOCK[1], ANY_BLOCK[0])
            self._block_sizes = max(ANY_BLOCK[0], min(low, header.samples)), max(high, header.samples)
        self._frame_sizes = min(self._frame_sizes[0], len(placed)), max(self._frame_sizes[1], len(placed))
        return placed

    def _stream_info(self) -> bytes:
        info = self._info
        blocks = (info.block_samples,) * 2 if info.block_samples else self._block_sizes or ANY_BLOCK
        frames = self._frame_sizes if self._packets and self._frame_sizes[1] <= _FRAME_BYTES_MOST else (0, 0)
        return stream_setup(info.sample_rate_hz, info.channels, info.bits, blocks, frames, self._samples)


def renumbered(packet: bytes, header: FrameHeader, number: int, *, variable: bool) -> bytes:
    """The frame with another number, of samples where `variable`, else of frames."""
    behind = 4 + header.number_bytes
    lead = bytes((0xFF, 0xF9 if variable else 0xF8)) + packet[2:4] + coded_number(number)
    lead += packet[behind : header.length - 1]
    lead += bytes((crc8(lead),))
    body = packet[header.length : -2]
    moved = crc16_moved(crc16(lead) ^ crc16(packet[: header.length]), len(body))
    return lead + body + (int.from_bytes(packet[-2:], "big") ^ moved).to_bytes(2, "big")
