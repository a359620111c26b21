"""STREAMINFO (RFC 9639, 8.2): what stands at the head of a FLAC file or stream."""

from dataclasses import dataclass

from agent.codecs.base import Buffer
from agent.errors import CodecError
from agent.model import AudioFormat, SampleFormat

MARKER = b"fLaC"
STREAMINFO_AT, STREAMINFO_END = 8, 42
SETUP_BYTES = STREAMINFO_END - STREAMINFO_AT
ANY_BLOCK = (16, 65535)
"""The smallest and the largest block that STREAMINFO can state."""
BITS = (4, 24)
_COPY_HEAD = MARKER + b"\x80\0\0\x22"
"""STREAMINFO and nothing else: what an encoder writes has its name in it."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What STREAMINFO says. Without a fixed block size `block_samples` is None."""

    sample_rate_hz: int
    channels: int
    bits: int
    block_samples: int | None

    def format(self) -> AudioFormat:
        """The format of such a stream; equal streams have equal ones, wherever they were joined."""
        block = (self.block_samples,) * 2 if self.block_samples else ANY_BLOCK
        setup = stream_setup(self.sample_rate_hz, self.channels, self.bits, block)
        return AudioFormat("flac", self.sample_rate_hz, self.channels, self.bits, setup=setup)


@dataclass(frozen=True, slots=True)
class FileHead:
    """What a FLAC file says of itself, and where its audio begins. A copy holds the frames of a stream."""

    format: AudioFormat
    block_samples: int
    audio_at: int
    copied: bool


def stream_setup(
    sample_rate_hz: int,
    channels: int,
    bits: int,
    blocks: tuple[int, int],
    frames: tuple[int, int] = (0, 0),
    total: int = 0,
) -> bytes:
    """STREAMINFO without an MD5. `blocks` and `frames` are the smallest and largest sizes, in samples and bytes; 0 is
    unknown, and so is a `total` of 0 samples."""
    packed = sample_rate_hz << 44 | channels - 1 << 41 | bits - 1 << 36 | total & (1 << 36) - 1
    sizes = [size.to_bytes(2, "big") for size in blocks] + [size.to_bytes(3, "big") for size in frames]
    return b"".join(sizes) + packed.to_bytes(8, "big") + bytes(16)


def stream_info(setup: bytes) -> StreamInfo | None:
    """What the 34 bytes say; None where they cannot be STREAMINFO."""
    packed = int.from_bytes(setup[10:18], "big")
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    smallest, largest = int.from_bytes(setup[0:2], "big"), int.from_bytes(setup[2:4], "big")
    if len(setup) < SETUP_BYTES or not rate or bits < BITS[0] or not ANY_BLOCK[0] <= smallest <= largest:
        return None
    return StreamInfo(rate, channels, bits, smallest if smallest == largest else None)


def setup_of(audio_format: AudioFormat) -> bytes:
    """The set-up of a FLAC stream, also where nobody has kept it; CodecError where the format is none of one."""
    if audio_format.codec != "flac" or audio_format.bits is None:
        raise CodecError(f"{audio_format.codec} is no FLAC stream")
    info = StreamInfo(audio_format.sample_rate_hz, audio_format.channels, audio_format.bits, None)
    return audio_format.setup or info.format().setup


def recordable(info: StreamInfo) -> AudioFormat:
    """The format of a stream that says this of itself; CodecError where it cannot be recorded."""
    if not BITS[0] <= info.bits <= BITS[1]:
        raise CodecError(
            f"a FLAC stream of {info.bits} bit cannot be recorded",
            hint=f"{BITS[0]} to {BITS[1]} bit can: change it at the encoder",
        )
    return info.format()


def stream_head(data: Buffer, at: int) -> StreamInfo | None:
    """What the stream says of itself whose marker stands at `at`; None where no STREAMINFO follows."""
    if bytes(data[at + 5 : at + 8]) != b"\0\0\x22" or bytes(data[at + 4 : at + 5]) not in (b"\0", b"\x80"):
        return None
    return stream_info(bytes(data[at + STREAMINFO_AT : at + STREAMINFO_END]))


def file_head(data: Buffer) -> FileHead | None:
    """None where the header is cut short; CodecError where it is no FLAC."""
    if len(data) < 4:
        return None
    if bytes(data[:4]) != MARKER:
        raise CodecError("no FLAC marker at the beginning")
    if len(data) < STREAMINFO_END:
        return None
    setup = bytes(data[STREAMINFO_AT:STREAMINFO_END])
    info = stream_info(setup)
    if info is None:
        raise CodecError("a FLAC header without a sample rate")
    copied = bytes(data[: len(_COPY_HEAD)]) == _COPY_HEAD
    layout = SampleFormat.S16_LE if info.bits <= 16 else SampleFormat.S24_3LE
    at = 4
    while True:
        block = bytes(data[at : at + 4])
        if len(block) < 4:
            return None
        at += 4 + int.from_bytes(block[1:], "big")
        if block[0] & 0x80:
            break
    audio_format = info.format() if copied else AudioFormat.pcm(info.sample_rate_hz, info.channels, layout)
    return FileHead(audio_format, int.from_bytes(setup[0:2], "big"), at, copied)
