"""Makes the small things that most tests need: moments, samples, MP3 frames, writers."""

import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st

from agent.model import AudioFormat, Block, Entry, FinishedSegment, Frame, Instant, SampleFormat
from agent.storage.writer import Origin, SegmentWriter

NS = 1_000_000_000
UTC_ZONE = ZoneInfo("UTC")
EPOCH_NS = 1_795_352_400 * NS
"""2026-11-22T13:00:00Z: a boundary of every period that divides an hour."""

S16_MONO = AudioFormat.pcm(48000, 1, SampleFormat.S16_LE)
MP3_STEREO = AudioFormat("mp3", 44100, 2)


def at(seconds: float = 0.0, *, wall_ns: int | None = None) -> Instant:
    """So many seconds after `EPOCH_NS`; the box has been up for 1000 s then."""
    since_ns = round(seconds * NS)
    boot_ns = 1000 * NS + since_ns
    return Instant(EPOCH_NS + since_ns if wall_ns is None else wall_ns, boot_ns, boot_ns)


def utc(seconds: float = 0.0) -> datetime:
    """The wall clock then."""
    return datetime.fromtimestamp((EPOCH_NS + round(seconds * NS)) / NS, UTC)


def block(data: bytes, seconds: float = 0.0) -> Block:
    """Bytes that came then."""
    return Block(data, at(seconds))


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in pieces, cut at the given places."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[low:high] for low, high in zip(edges, edges[1:], strict=False)] or [data]


cut_places = st.lists(st.integers(0, 1 << 24), max_size=12)


def noise(samples: int, audio_format: AudioFormat = S16_MONO, seed: int = 0) -> bytes:
    """Samples that no encoder makes much smaller, in the layout of the format."""
    layout, channels = audio_format.sample_format, audio_format.channels
    assert layout is not None
    random = np.random.default_rng(seed)
    if layout is SampleFormat.FLOAT_LE:
        return (random.random(samples * channels, np.float32) * 2 - 1).astype("<f4").tobytes()
    top = 1 << (layout.bits - 1)
    values = random.integers(-top, top, samples * channels)
    if layout is SampleFormat.S16_LE:
        return values.astype("<i2").tobytes()
    wide = values.astype("<i4")
    if layout is SampleFormat.S24_3LE:
        return np.ascontiguousarray(wide.view(np.uint8).reshape(-1, 4)[:, :3]).tobytes()
    return wide.tobytes()


def pcm_frame(samples: int, seconds: float = 0.0, *, audio_format: AudioFormat = S16_MONO, seed: int = 0) -> Frame:
    """So many samples of noise, read then."""
    return Frame(noise(samples, audio_format, seed), samples, audio_format, at(seconds))


def singly(frame: Frame) -> list[Frame]:
    """Each packet of the frame as a frame of its own."""
    return [Frame(data, samples, frame.format, frame.received_at) for data, samples in frame.packets()]


def together(frames: list[Frame]) -> Frame:
    """Frames of single packets as one frame, as if they had come with one read."""
    borders, size, samples = [], 0, 0
    for frame in frames:
        size, samples = size + len(frame.data), samples + frame.samples
        borders.append((size, samples))
    data = b"".join(frame.data for frame in frames)
    return Frame(data, samples, frames[-1].format, frames[-1].received_at, tuple(borders[:-1]))


def mp3_frame(number: int, *, head: bytes = b"\xff\xfb\x90\x00", length: int = 417) -> bytes:
    """A frame of 128 kbit/s at 44.1 kHz (unless told otherwise) whose body has nothing that looks like a header.

    It is silence: the side information is zero, and what follows belongs to no granule.
    """
    side = bytes(min(32, length - 4))
    return head + side + np.random.default_rng(number).integers(0, 0x7F, length - 4 - len(side), np.uint8).tobytes()


def mp3_stream(frames: int, first: int = 0) -> list[bytes]:
    """Frames that follow one another."""
    return [mp3_frame(first + number) for number in range(frames)]


@cache
def real_mp3(rate: int = 44100, channels: int = 2, seconds: float = 2.0, *, variable: bool = False) -> bytes:
    """MP3 as ffmpeg's LAME makes it, without tags and without a Xing frame."""
    quality = ["-q:a", "4"] if variable else ["-b:a", "64k"]
    source = f"anoisesrc=r={rate}:a=0.3:d={seconds}:seed=7"
    if variable:
        half = seconds / 2
        source = f"sine=440:r={rate}:d={half}[a];anoisesrc=r={rate}:a=0.3:d={half}:seed=7[b];[a][b]concat=n=2:v=0:a=1"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-ac", str(channels), "-ar", str(rate)]
    command += ["-c:a", "libmp3lame", *quality, "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def decoded_samples(path: Path, channels: int) -> int:
    """Samples per channel that ffmpeg decodes; it must have nothing to complain about."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-c:a", "pcm_s16le", "-"]
    result = subprocess.run(command, capture_output=True, check=True)
    assert not result.stderr, result.stderr
    return len(result.stdout) // 2 // channels


def origin(source: str = "mic", zone: ZoneInfo = UTC_ZONE) -> Origin:
    """Where the files of a test come from."""
    return Origin("shed", source, "5b1c0000-0000-4000-8000-000000000000", "01920000-0000-7000-8000-000000000000", zone)


def pushed(files: SegmentWriter, entry: Entry) -> FinishedSegment | None:
    """Have the entry written, and wait until it is on disk; the segment that it completes."""
    files.push(entry)
    files.settle()
    return next(iter(files.finished()), None)


def ticked(files: SegmentWriter, now: Instant) -> None:
    """A tick, and what it has made safe on disk."""
    files.tick(now)
    files.settle()
    assert not files.finished()


def writer(recordings: Path, *, source: str = "mic", container: str = "flac", sync_s: float = 2.0) -> SegmentWriter:
    """A writer with a clock that is synchronised."""
    return SegmentWriter(
        recordings, origin(source), pcm_container=container, sync_interval_s=sync_s, synchronized=lambda: True
    )
