"""WAV: RIFF/WAVE (Multimedia Programming Interface 1.0, 1991), RF64 beyond 4 GiB (EBU Tech 3306).

The header keeps 28 bytes free in a JUNK chunk; a file that outgrows RIFF becomes RF64 by turning them into `ds64`.
Sizes are brought up to date at every sync, so that the file can be read at any moment.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from agent.codecs.base import Buffer, Patch, Whole
from agent.codecs.decoding import Samples, Span, pcm_samples
from agent.errors import CodecError
from agent.model import AudioFormat, Frame, SampleFormat

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_AT_ONCE = 1 << 16
_HEAD = struct.Struct("<4sI4s4sI28s4sIHHIIHHHHI16s4sI")
"""RIFF size WAVE, JUNK 28 …, fmt (40 bytes, extensible), data size."""

_SUBTYPE_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_SIZE_MAX = 0xFFFFFFFF
_LAYOUTS = {
    (_PCM, 16): SampleFormat.S16_LE,
    (_PCM, 24): SampleFormat.S24_3LE,
    (_PCM, 32): SampleFormat.S32_LE,
    (_FLOAT, 32): SampleFormat.FLOAT_LE,
}


class WavMuxer:
    """One WAV file. 24-bit samples in four bytes are packed into three."""

    container = "wav"
    codec = "pcm"
    priming_packets = 0
    payload_offset = _HEAD.size

    def __init__(self, audio_format: AudioFormat) -> None:
        if audio_format.sample_format is None or audio_format.bits is None:
            raise CodecError(f"WAV cannot hold {audio_format.codec}")
        self._format = audio_format
        self._packed = audio_format.sample_format is SampleFormat.S24_LE
        self._width = audio_format.channels * (3 if self._packed else audio_format.sample_format.bytes_per_sample)
        self._samples = 0

    @property
    def samples(self) -> int:
        """Samples per channel so far."""
        return self._samples

    @property
    def packets(self) -> None:
        """PCM has no packets."""
        return

    def head(self) -> bytes:
        """The whole header, for a file without samples."""
        return _header(self._format, self._width, 0)

    def add(self, frame: Frame) -> bytes:
        """The samples of the frame, as they are stored."""
        self._samples += frame.samples
        if not self._packed:
            return frame.data
        return np.frombuffer(frame.data, np.uint8).reshape(-1, 4)[:, :3].tobytes()

    def settle(self) -> list[Patch]:
        """The header with the sizes of now."""
        return [Patch(0, _header(self._format, self._width, self._samples))]

    def finish(self) -> tuple[bytes, list[Patch]]:
        """A pad byte where the data is of odd length (chunks are word-aligned), and the final header."""
        return b"\0" * (self._samples * self._width & 1), self.settle()


class Wav:
    """WAV files."""

    extension = "wav"

    def muxer(self, audio_format: AudioFormat) -> WavMuxer:
        """A fresh WAV file."""
        return WavMuxer(audio_format)

    def whole(self, data: Buffer, *, safe_bytes: int = 0) -> Whole | None:  # noqa: ARG002 - PCM has nothing to check
        """All whole samples behind a header of ours."""
        return self.snapshot(data)

    def snapshot(self, data: Buffer) -> Whole | None:
        """All whole samples behind a header of ours."""
        if len(data) < _HEAD.size:
            return None
        riff, _, wave, *_, fmt, _, tag, channels, rate, byte_rate, width, _, _, bits, _, subtype, _, _ = _HEAD.unpack(
            data[: _HEAD.size]
        )
        layout = _LAYOUTS.get((subtype[0], bits))
        if riff not in (b"RIFF", b"RF64") or (wave, fmt, tag) != (b"WAVE", b"fmt ", _EXTENSIBLE) or layout is None:
            raise CodecError("no WAV header of this program")
        audio_format = AudioFormat.pcm(rate, channels, layout)
        if not rate or not width or width != audio_format.bytes_per_sample or byte_rate != rate * width:
            raise CodecError("no WAV header of this program")
        samples = (len(data) - _HEAD.size) // width
        if not samples:
            return None
        length = _HEAD.size + samples * width
        patches = (Patch(0, _header(audio_format, width, samples)),)
        return Whole(length, samples, None, _HEAD.size, audio_format, patches, pad_bytes=length & 1)

    def decoded(
        self,
        file: BinaryIO,
        whole: Whole,
        first: int,
        broken: list[Span] | None = None,  # noqa: ARG002 - there are no packets
    ) -> Iterator[Samples]:
        """The samples, straight out of the file."""
        width, layout = whole.format.bytes_per_sample, whole.format.sample_format
        assert width is not None
        assert layout is not None
        file.seek(whole.payload_offset + first * width)
        for start in range(first, whole.samples, _AT_ONCE):
            data = file.read(min(_AT_ONCE, whole.samples - start) * width)
            yield pcm_samples(data, layout, whole.format.channels)


def _header(audio_format: AudioFormat, width: int, samples: int) -> bytes:
    bits = audio_format.bits or 0
    kind = _FLOAT if audio_format.sample_format is SampleFormat.FLOAT_LE else _PCM
    data_bytes = samples * width
    riff_bytes = _HEAD.size - 8 + data_bytes + (data_bytes & 1)
    large = riff_bytes > _SIZE_MAX
    ds64 = struct.pack("<QQQI", riff_bytes, data_bytes, samples, 0) if large else bytes(28)
    return _HEAD.pack(
        b"RF64" if large else b"RIFF",
        _SIZE_MAX if large else riff_bytes,
        b"WAVE",
        b"ds64" if large else b"JUNK",
        28,
        ds64,
        b"fmt ",
        40,
        _EXTENSIBLE,
        audio_format.channels,
        audio_format.sample_rate_hz,
        audio_format.sample_rate_hz * width,
        width,
        width // audio_format.channels * 8,
        22,
        bits,
        0,  # no speaker positions: a recorder does not know where its microphones stand
        struct.pack("<H", kind) + _SUBTYPE_TAIL,
        b"data",
        _SIZE_MAX if large else data_bytes,
    )
