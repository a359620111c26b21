"""Decodes a whole file of a known container: WAV, FLAC, MP3, Ogg, AAC (ADTS).

The container is told from the first bytes, never guessed by FFmpeg: among its formats are playlists, which open other
files and addresses.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from agent.codecs import mp3
from agent.errors import CodecError

_HEAD_BYTES = 64 << 10
_ID3_BYTES = 10
_RATES_HZ = (1000, 768_000)
_CHANNELS_MOST = 32
_BLOCK_SAMPLES = 1 << 16
_WAV_CHUNKS_MOST = 64
_WAV_OPEN_SIZES = (0, 0xFFFFFFFF)
"""Data sizes that a recorder leaves behind which never closed its file: the data goes on to the end."""

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DecodedFile:
    """`blocks` yields (channels, samples), full scale 1.0; it raises CodecError. `duration_s` is the header's word."""

    sample_rate_hz: int
    channels: int
    duration_s: float | None
    blocks: Iterator[Samples]


@dataclass(frozen=True, slots=True)
class CountedFile:
    """What a player gets out of a file: `samples` per channel, and how many packets it has to pass over."""

    sample_rate_hz: int
    channels: int
    samples: int
    broken_packets: int


def count_file(file: Path | int, heard: Callable[[int], None], *, priming_packets: int = 0) -> CountedFile:
    """Decode a file only to see how long it is; `heard` is called with the samples so far. Errors as decode_file.

    For a broken one of the first `priming_packets` as much of what follows is not played; it is counted all the same,
    because none of the file's own packets is broken.
    """
    samples = broken = 0
    with _opened(file) as (container, stream):
        try:
            for number, packet in enumerate(container.demux(stream)):
                try:
                    frames = packet.decode()
                except av.error.EOFError:
                    continue
                except av.FFmpegError:  # each decoder has errors of its own for data that is not right
                    if number < priming_packets:
                        samples += packet.duration or 0
                    else:
                        broken += 1
                    continue
                for frame in frames:
                    samples += frame.samples
                    if (frame.sample_rate, frame.layout.nb_channels) != (stream.rate, stream.channels):
                        raise CodecError("the sample rate or the channels change within the file")
                heard(samples)
        except av.FFmpegError as error:
            raise CodecError(f"this file cannot be read to its end: {error.strerror}") from error
        return CountedFile(stream.rate, stream.channels, samples, broken)


@contextlib.contextmanager
def decode_file(file: Path | int) -> Iterator[DecodedFile]:
    """Decode a file, or an open descriptor from its beginning on, which stays open.

    Raises CodecError where it holds no audio that is known. Packets that cannot be decoded are passed over, as players
    do; OSError where the file cannot be read.
    """
    with _opened(file) as (opened, stream):
        seconds = None if opened.duration is None else opened.duration / av.time_base
        yield DecodedFile(stream.rate, stream.channels, seconds, _blocks(opened, stream))


@contextlib.contextmanager
def _opened(file: Path | int) -> Iterator[tuple[InputContainer, AudioStream]]:
    with contextlib.ExitStack() as resources:
        reader = resources.enter_context(open(file, "rb", closefd=not isinstance(file, int)))
        reader.seek(0)
        container = _container_of(reader.fileno())
        end = _wav_end(reader.fileno()) if container == "wav" else os.fstat(reader.fileno()).st_size
        try:
            opened = av.open(_Bounded(reader, end), "r", format=container, metadata_errors="ignore")
            resources.callback(opened.close)
            stream = _audio_stream(opened)
        except av.FFmpegError as error:
            raise CodecError(f"this {container} file cannot be opened: {error.strerror}") from error
        yield opened, stream


class _Bounded:
    """The first `length` bytes of a file, for FFmpeg."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._length = file, length
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        """At most so many bytes, from where it stands."""
        return self._file.read(max(0, min(size, self._length - self._file.tell())))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's."""
        if whence == os.SEEK_END:
            return self._file.seek(max(0, self._length + offset))
        return self._file.seek(offset, whence)


def _wav_end(descriptor: int) -> int:
    """Where the data of a WAV ends. FFmpeg is not shown what follows: it would look for chunks in all of it."""
    size, at, long_bytes = os.fstat(descriptor).st_size, 12, None
    for _ in range(_WAV_CHUNKS_MOST):
        chunk = os.pread(descriptor, 24, at)
        if len(chunk) < 8:
            break
        length = int.from_bytes(chunk[4:8], "little")
        if chunk[:4] == b"ds64":  # EBU Tech 3306
            long_bytes = int.from_bytes(chunk[16:24], "little")
        elif chunk[:4] == b"data":
            is_told = length not in _WAV_OPEN_SIZES
            said = length if is_told else long_bytes
            return size if not said else min(size, at + 8 + said)
        at += 8 + length + (length & 1)
    raise CodecError("this WAV file holds no audio")


def _container_of(descriptor: int) -> str:
    head = os.pread(descriptor, _HEAD_BYTES, 0)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    for magic, name in ((b"fLaC", "flac"), (b"OggS", "ogg")):
        if head.startswith(magic):
            return name
    if head[:3] == b"ID3" and len(head) >= _ID3_BYTES:
        return "mp3"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # ADTS: layer bits are 0 (ISO/IEC 13818-7, 6.2)
        return "aac"
    if mp3.find_stream(head, complete=len(head) < _HEAD_BYTES) is not None:
        return "mp3"
    raise CodecError("this is no WAV, FLAC, MP3, Ogg or AAC file")


def _audio_stream(container: InputContainer) -> AudioStream:
    streams = container.streams.audio
    if not streams:
        raise CodecError("there is no audio in this file")
    stream = streams[0]
    if not _RATES_HZ[0] <= (stream.rate or 0) <= _RATES_HZ[1]:
        raise CodecError(f"a sample rate of {stream.rate} Hz is none that can be read")
    if not 1 <= stream.channels <= _CHANNELS_MOST:
        raise CodecError(f"{stream.channels} channels are more than the {_CHANNELS_MOST} that can be read")
    return stream


def _blocks(container: InputContainer, stream: AudioStream) -> Iterator[Samples]:
    """Frames of a few thousand samples, put together because every step over them has its cost."""
    held: list[Samples] = []
    for frame in _floats(container, stream):
        held.append(frame)
        if sum(one.shape[1] for one in held) >= _BLOCK_SAMPLES:
            yield np.concatenate(held, axis=1)
            held = []
    if held:
        yield np.concatenate(held, axis=1)


def _floats(container: InputContainer, stream: AudioStream) -> Iterator[Samples]:
    rate, channels = stream.rate, stream.channels
    resampler = av.AudioResampler(format="fltp")  # the same rate and layout: it only turns integers into floats
    try:
        for packet in container.demux(stream):
            for frame in _frames(packet):
                if (frame.sample_rate, frame.layout.nb_channels) != (rate, channels):
                    raise CodecError("the sample rate or the channels change within the file")
                for same in resampler.resample(frame):
                    yield same.to_ndarray().astype(np.float32, copy=False)
    except av.FFmpegError as error:
        raise CodecError(f"this file cannot be read to its end: {error.strerror}") from error


def _frames(packet: "av.Packet[AudioStream]") -> list[AudioFrame]:
    try:
        return packet.decode()
    except av.FFmpegError:  # each decoder has errors of its own for data that is not right
        return []
