"""What audio is made of, and when something happened."""

from dataclasses import dataclass, field, replace
from enum import StrEnum


class SampleFormat(StrEnum):
    """Layouts of a PCM sample, by the names that ALSA gives them."""

    S16_LE = "S16_LE"
    S24_3LE = "S24_3LE"
    S24_LE = "S24_LE"
    S32_LE = "S32_LE"
    FLOAT_LE = "FLOAT_LE"

    @property
    def bytes_per_sample(self) -> int:
        """Bytes that one sample of one channel takes."""
        return {"S16_LE": 2, "S24_3LE": 3}.get(self.value, 4)

    @property
    def bits(self) -> int:
        """Bits that carry the signal."""
        return {"S16_LE": 16, "S24_3LE": 24, "S24_LE": 24}.get(self.value, 32)


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What a source delivers. `bits` is None for a lossy stream, `sample_format` for every stream.

    `setup` is what a decoder has to know before the first packet, in the layout of FFmpeg's extradata: the headers of
    Vorbis with Xiph lacing, OpusHead, the STREAMINFO of FLAC. Streams with different ones never share a file.
    """

    codec: str
    sample_rate_hz: int
    channels: int
    bits: int | None = None
    sample_format: SampleFormat | None = None
    setup: bytes = field(default=b"", repr=False)

    @property
    def plain(self) -> "AudioFormat":
        """The format without `setup`: what is said of it to others."""
        return replace(self, setup=b"") if self.setup else self

    @staticmethod
    def pcm(sample_rate_hz: int, channels: int, sample_format: SampleFormat) -> "AudioFormat":
        """The format of raw samples in the given layout."""
        return AudioFormat("pcm", sample_rate_hz, channels, sample_format.bits, sample_format)

    @property
    def bytes_per_sample(self) -> int | None:
        """Bytes of one sample of all channels; None where a unit of this codec cannot be divided."""
        return None if self.sample_format is None else self.channels * self.sample_format.bytes_per_sample


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on the three clocks of the machine, in nanoseconds.

    `wall_ns` is UTC and may step; `boottime_ns` counts through a suspend, `monotonic_ns` does not.
    """

    wall_ns: int
    boottime_ns: int
    monotonic_ns: int
