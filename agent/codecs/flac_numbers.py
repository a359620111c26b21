"""Where the frames of a FLAC stream stand in its audio: what was lost between them, and what format they have."""

from collections.abc import Iterator
from functools import lru_cache

from agent.codecs.flac_frames import FrameHeader
from agent.codecs.flac_info import BITS, StreamInfo
from agent.model import AudioFormat, GapCause, Instant, Loss

_LOSS_MOST_S = 60
"""No server keeps a connection on which nothing came for longer: numbers further apart are those of another stream."""


class FlacNumbers:
    """The numbering of one stream after the other. `stated` is what the head of the first says.

    Frames of a fixed block size are counted, and so they are in a file, in which only the last may be shorter. Where
    another one follows the shorter one, the format is that of a variable block size from there on, and files count
    samples.
    """

    def __init__(self, stated: StreamInfo) -> None:
        self._stated = stated
        self._irregular = False
        self._block = stated.block_samples or 0
        self._last: FrameHeader | None = None
        self._expected: int | None = None
        self._reached = 0
        self._fresh = True

    def begin(self, stated: StreamInfo) -> int:
        """Another stream begins. How many samples of the one before are known to be missing at its end."""
        missing = self._reached - (self._expected or 0)
        if stated != self._stated:
            self._stated, self._irregular, self._last = stated, False, None
        self._block = stated.block_samples or 0
        self._expected, self._reached, self._fresh = None, 0, True
        return missing

    def holds(self, header: FrameHeader) -> bool:
        """Whether frames like this one can be recorded."""
        return BITS[0] <= (header.bits or self._stated.bits) <= BITS[1]

    def broken(self, header: FrameHeader) -> None:
        """A frame was there, and cannot be used."""
        start = self._start(header)
        if self._expected is None and start == 0:
            self._expected = 0
        if self._expected is not None and 0 <= start - self._reached <= self._loss_most(header):
            self._reached = start + header.samples

    def whole(self, header: FrameHeader, *, damaged: bool) -> int | None:
        """A frame came. How many samples are missing before it; None where some are, and the numbers do not tell."""
        last, self._last = self._last, header
        fresh, self._fresh = self._fresh, False
        if last is None:
            self._block = self._block or header.samples
        elif _kind(last) != _kind(header):
            self._irregular, self._block, self._expected = False, header.samples, None
        elif not header.variable:
            self._irregular |= last.samples != self._block or header.samples > self._block
            self._block = max(self._block, header.samples)
        start, expected = self._start(header), self._expected
        self._expected = self._reached = start + header.samples
        if expected is not None and 0 <= start - expected <= self._loss_most(header):
            return start - expected
        return None if damaged and not fresh else 0

    def format(self, header: FrameHeader) -> AudioFormat:
        """The format of the frame that came last."""
        block = None if header.variable or self._irregular else self._block
        rate_hz, bits = header.sample_rate_hz or self._stated.sample_rate_hz, header.bits or self._stated.bits
        return _format(rate_hz, header.channels, bits, block)

    def most_bytes(self, header: FrameHeader) -> int:
        """No encoder makes a longer frame: twice what the bare samples take."""
        bits = header.bits or self._stated.bits
        return 2 * (header.length + header.channels * (header.samples * (bits + 1) // 8 + 16))

    def _start(self, header: FrameHeader) -> int:
        return header.number if header.variable else header.number * (self._block or header.samples)

    def _loss_most(self, header: FrameHeader) -> int:
        return _LOSS_MOST_S * (header.sample_rate_hz or self._stated.sample_rate_hz)


def _kind(header: FrameHeader) -> tuple[int, int, int, bool]:
    return header.sample_rate_hz, header.channels, header.bits, header.variable


@lru_cache(maxsize=64)
def _format(sample_rate_hz: int, channels: int, bits: int, block_samples: int | None) -> AudioFormat:
    return StreamInfo(sample_rate_hz, channels, bits, block_samples).format()


def loss(missing: int | None, at: Instant) -> Iterator[Loss]:
    """What is to be told of so many missing samples; None is some."""
    if missing is None:
        yield Loss(GapCause.CORRUPT, "damaged FLAC; the frame numbers do not tell how much is missing", at)
    elif missing:
        yield Loss(GapCause.CORRUPT, f"damaged FLAC: {missing} samples are missing by the frame numbers", at, missing)
