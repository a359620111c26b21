"""FLAC (RFC 9639): encoding of PCM, and understanding of files that were cut short.

libsndfile encodes; it hands each frame to our own file object in one write, which only collects. What it rewrites of
the header at the end (frame sizes, total samples, MD5) comes out as a patch.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from agent.codecs.base import Buffer, Patch, Whole
from agent.codecs.decoding import Samples, Span
from agent.codecs.flac_copy import FlacCopyMuxer
from agent.codecs.flac_crc import crc16
from agent.codecs.flac_frames import frame_end, frame_header, last_end, last_frame
from agent.codecs.flac_info import ANY_BLOCK, STREAMINFO_AT, STREAMINFO_END, FileHead, file_head
from agent.codecs.flac_playback import frames_decoded
from agent.errors import CodecError
from agent.model import AudioFormat, Frame, SampleFormat

_AT_ONCE = 1 << 16
_CHECKED_TAIL = 64
_FRAMES_BACK = 16
_CHANNELS_MAX = 8
_SUBTYPES = {SampleFormat.S16_LE: "PCM_16", SampleFormat.S24_3LE: "PCM_24", SampleFormat.S24_LE: "PCM_24"}


class FlacMuxer:
    """One FLAC file of 16 or 24 bit."""

    container = "flac"
    codec = "flac"
    priming_packets = 0

    def __init__(self, audio_format: AudioFormat) -> None:
        layout = audio_format.sample_format
        if layout not in _SUBTYPES:
            raise CodecError(f"FLAC cannot hold {layout or audio_format.codec}", hint="format: wav can")
        self._layout = layout
        self._channels = audio_format.channels
        self._collected = _Collected()
        rate = audio_format.sample_rate_hz
        if not is_storable(rate, self._channels):
            raise CodecError(f"FLAC cannot hold {self._channels} channels at {rate} Hz", hint="format: wav can")
        self._encoder = soundfile.SoundFile(
            self._collected, "w", rate, self._channels, _SUBTYPES[layout], format="FLAC"
        )
        self.payload_offset = 0
        self._samples = self._fed = 0

    @property
    def samples(self) -> int:
        """Samples per channel in whole FLAC frames so far."""
        return self._samples

    @property
    def packets(self) -> None:
        """What was recorded as PCM is counted in samples."""
        return

    def head(self) -> bytes:
        """Nothing yet: the encoder writes marker and metadata together with the first frame."""
        return b""

    def add(self, frame: Frame) -> bytes:
        """The FLAC frames that are complete now; the encoder keeps a part of a block to itself."""
        self._fed += frame.samples
        self._encoder.write(_as_array(frame.data, self._layout).reshape(-1, self._channels))
        return self._take()

    def settle(self) -> list[Patch]:
        """Nothing: without total samples the file is right FLAC, and a snapshot or a salvage fills them in."""
        return []

    def finish(self) -> tuple[bytes, list[Patch]]:
        """The last, shorter frame, and the header's frame sizes, total samples and MD5."""
        self._encoder.close()
        tail = self._take()
        if self._samples != self._fed:
            raise CodecError(f"{self._fed} samples were encoded, but {self._samples} came out")
        return tail, self._collected.patches

    def _take(self) -> bytes:
        chunks = self._collected.take()
        for chunk in chunks:
            header = frame_header(chunk, 0)
            if header is None:
                self.payload_offset += len(chunk)
            else:
                self._samples += header.samples
        return b"".join(chunks)


class _Collected:
    """The file object that libsndfile writes to. Each of its writes is one FLAC frame or one piece of the header."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = self._position = 0
        self.patches: list[Patch] = []

    def write(self, data: bytes | memoryview) -> int:
        chunk = bytes(data)
        if self._position < self._size:
            self.patches.append(Patch(self._position, chunk))
        else:
            self._chunks.append(chunk)
            self._size += len(chunk)
        self._position += len(chunk)
        return len(chunk)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def take(self) -> list[bytes]:
        chunks, self._chunks = self._chunks, []
        return chunks


class Flac:
    """FLAC files."""

    extension = "flac"

    def muxer(self, audio_format: AudioFormat) -> FlacMuxer | FlacCopyMuxer:
        """A fresh FLAC file: the frames of a FLAC stream as they are, anything else encoded."""
        return FlacCopyMuxer(audio_format) if audio_format.codec == "flac" else FlacMuxer(audio_format)

    def whole(self, data: Buffer, *, safe_bytes: int = 0) -> Whole | None:
        """All frames that follow one another without a hole.

        The chain of frame headers (sync code, CRC-8, consecutive numbers) is followed through the whole file; the
        CRC-16 of a frame is checked from `safe_bytes` on, and always for the last 64 frames.
        """
        head = file_head(data)
        if head is None:
            return None
        edges: list[tuple[int, int]] = []  # (end of a frame, samples up to there)
        at, samples, number = head.audio_at, 0, 0
        while (header := frame_header(data, at)) is not None and header.number == number:
            end = frame_end(data, at, header, checked=at >= safe_bytes)
            if end is None:
                break
            samples, number, at = samples + header.samples, header.next_number, end
            edges.append((end, samples))
        starts = [head.audio_at, *(end for end, _ in edges)]
        for index in range(max(0, len(edges) - _CHECKED_TAIL), len(edges)):
            if crc16(data[starts[index] : edges[index][0]]) != 0:
                edges = edges[:index]
                break
        return _whole(data, head, *edges[-1], len(edges)) if edges else None

    def decoded(self, file: BinaryIO, whole: Whole, first: int, broken: list[Span] | None = None) -> Iterator[Samples]:
        """The samples: those of a card by libsndfile, which gives up at a broken frame; those of a stream by FFmpeg."""
        if whole.packets is not None:
            yield from frames_decoded(file, whole, first, broken)
            return
        try:
            with soundfile.SoundFile(file) as decoder:
                decoder.seek(first)
                for start in range(first, whole.samples, _AT_ONCE):
                    count = min(_AT_ONCE, whole.samples - start)
                    yield np.ascontiguousarray(decoder.read(count, "float32", always_2d=True).T)
        except soundfile.SoundFileError as error:
            raise CodecError(f"cannot be decoded: {error}") from error

    def snapshot(self, data: Buffer) -> Whole | None:
        """All frames up to the last whole one, found from the end: each says where it stands in the audio.

        Frames of a variable block size are not counted that way.
        """
        head = file_head(data)
        if head is None:
            return None
        end = len(data)
        for _ in range(_FRAMES_BACK):
            at = last_frame(data, head.audio_at, end)
            if at is None:
                return None
            header, whole_end = frame_header(data, at), last_end(data, at, end)
            if header is not None and whole_end is not None:
                before = header.number if header.variable else header.number * head.block_samples
                packets = None if header.variable else header.number + 1
                return _whole(data, head, whole_end, before + header.samples, packets)
            end = at
        return None


def is_storable(sample_rate_hz: int, channels: int) -> bool:
    """Whether the encoder takes that: 8 channels, and rates that a frame header can state (RFC 9639, 9.1.2)."""
    return channels <= _CHANNELS_MAX and (sample_rate_hz <= 0xFFFF or sample_rate_hz % 10 == 0)


def _whole(data: Buffer, head: FileHead, length: int, samples: int, packets: int | None) -> Whole:
    """STREAMINFO with frame sizes and MD5 unset ("unknown") and the true total of samples."""
    patched = bytearray(data[STREAMINFO_AT:STREAMINFO_END])
    first = frame_header(data, head.audio_at)
    if first is not None and first.variable:
        # The sizes may be those of the last sync, and a larger block may have come since.
        patched[0:4] = b"".join(size.to_bytes(2, "big") for size in ANY_BLOCK)
    patched[4:10] = bytes(6)
    packed = int.from_bytes(patched[10:18], "big")
    patched[10:18] = (packed >> 36 << 36 | samples & (1 << 36) - 1).to_bytes(8, "big")
    patched[18:34] = bytes(16)
    patches = (Patch(STREAMINFO_AT, bytes(patched)),)
    return Whole(length, samples, packets if head.copied else None, head.audio_at, head.format, patches)


def _as_array(data: bytes, layout: SampleFormat) -> npt.NDArray[np.int16] | npt.NDArray[np.int32]:
    """Samples as libsndfile takes them: 16 bit as they are, 24 bit in the upper bytes of 32."""
    if layout is SampleFormat.S16_LE:
        return np.frombuffer(data, "<i2")
    if layout is SampleFormat.S24_LE:
        return np.frombuffer(data, "<i4") << 8
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.reshape(-1).view("<i4")
