"""Ogg streams as ffmpeg and oggenc make them, an independent reader, and damage to order."""

import io
import subprocess
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from agent.codecs.detect import detect
from agent.codecs.ogg import OggFramer
from agent.codecs.ogg_pages import page_head
from agent.model import AudioFormat, Frame, Loss, Title
from tests.agent.build import block, singly

VORBIS = ("libvorbis", 44100, 2)
OPUS = ("libopus", 48000, 2)
STREAMS = [
    VORBIS,
    ("libvorbis", 22050, 1),
    ("libvorbis", 48000, 6),
    ("libvorbis", 8000, 1),
    OPUS,
    ("libopus", 48000, 1),
    ("libopus", 48000, 6),
]


@cache
def real_ogg(
    codec: str, rate: int, channels: int, *, seconds: float = 4.0, seed: int = 7, tags: str = "", extra: str = ""
) -> bytes:
    """Loud and soft by turns, so that Vorbis changes the size of its blocks; pages of 0.2 s."""
    source = f"anoisesrc=r={rate}:d={seconds}:a=0.3:c=pink:seed={seed}"
    source += ",volume='if(lt(mod(t,0.4),0.2),1,0.02)':eval=frame"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-ac", str(channels)]
    for tag in filter(None, tags.split("|")):
        command += ["-metadata", tag]
    command += ["-c:a", codec, *extra.split(), "-page_duration", "200000", "-f", "ogg", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@cache
def oggenc(quality: int = 4, seconds: float = 4.0) -> bytes:
    """Vorbis as the reference encoder pages it (4 KB)."""
    source = f"anoisesrc=r=44100:d={seconds}:a=0.3:c=pink:seed=3"
    wav = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-ac", "2", "-f", "wav", "-"],
        capture_output=True,
        check=True,
    ).stdout
    command = ["oggenc", "--quiet", "-q", str(quality), "-t", "Lärm", "-a", "Wind", "-o", "-", "-"]
    return subprocess.run(command, input=wav, capture_output=True, check=True).stdout


def packets_by_ffmpeg(data: bytes) -> list[bytes]:
    """The packets of audio, as FFmpeg's demuxer finds them."""
    with av.open(io.BytesIO(data), "r") as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


def pages_of(data: bytes) -> list[bytes]:
    pages, place = [], 0
    while (head := page_head(data, place)) is not None:
        pages.append(data[place : place + head.size])
        place += head.size
    assert place == len(data)
    return pages


def format_of(data: bytes) -> AudioFormat:
    found = detect(data)
    assert found is not None
    return found


def units_of(parts: list[bytes], audio_format: AudioFormat | None = None) -> list[Frame | Title | Loss]:
    framer = OggFramer(audio_format or format_of(b"".join(parts)))
    return [unit for number, part in enumerate(parts) for unit in framer.push(block(part, number / 10))]


def frames_of(data: bytes) -> list[Frame]:
    """The frames of a stream without losses."""
    units = units_of([data])
    assert not any(isinstance(unit, Loss) for unit in units)
    return [unit for unit in units if isinstance(unit, Frame)]


def packets_of(frames: list[Frame]) -> list[bytes]:
    return [single.data for frame in frames for single in singly(frame)]


def decoded(path: Path, channels: int) -> NDArray[np.float32]:
    """What ffmpeg decodes, shape (samples, channels); it must have nothing to complain about."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-c:a", "pcm_f32le", "-"]
    result = subprocess.run(command, capture_output=True, check=True)
    assert not result.stderr, result.stderr
    return np.frombuffer(result.stdout, np.float32).reshape(-1, channels)


def checked_length_s(path: Path) -> float:
    """The length that ogginfo or opusinfo states; it must have nothing to warn of."""
    result = subprocess.run(
        ["opusinfo" if path.suffix == ".opus" else "ogginfo", str(path)], capture_output=True, text=True, check=True
    )
    said = result.stdout + result.stderr
    for word in ("warn", "error", "hole", "buggy", "not set in", "negative"):
        assert word not in said.lower().replace("upper bitrate not set", ""), said
    minutes, seconds = said.split("Playback length: ")[1].split("s\n")[0].split("m:")
    return int(minutes) * 60 + float(seconds)


def _table() -> list[int]:
    table = []
    for byte in range(256):
        register = byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register >> 31 else 0)) & 0xFFFFFFFF
        table.append(register)
    return table


_CRC = _table()


def page(serial: int, sequence: int, segments: list[bytes], granule: int, flags: int) -> bytes:
    """One page by the book, written independently of ours. Granule -1 where no packet ends."""
    head = b"OggS\0" + bytes([flags]) + granule.to_bytes(8, "little", signed=True)
    head += serial.to_bytes(4, "little") + sequence.to_bytes(4, "little")
    tail = bytes([len(segments), *(len(segment) for segment in segments)]) + b"".join(segments)
    register = 0
    for byte in head + bytes(4) + tail:
        register = (register << 8 & 0xFFFFFFFF) ^ _CRC[register >> 24 ^ byte]
    return head + register.to_bytes(4, "little") + tail


def paged(
    packets: list[tuple[bytes, int]], *, segments_each: int, serial: int = 9, first: int = 0, flags: int = 0
) -> list[bytes]:
    """Pages of so many segments each, so that packets go on from page to page wherever that falls."""
    segments: list[tuple[bytes, int | None]] = []
    for packet, granule in packets:
        pieces = [packet[at : at + 255] for at in range(0, len(packet) + 1, 255)]
        segments += [(piece, None) for piece in pieces[:-1]] + [(pieces[-1], granule)]
    pages, goes_on = [], False
    for number, at in enumerate(range(0, len(segments), segments_each)):
        here = segments[at : at + segments_each]
        granules = [granule for _, granule in here if granule is not None]
        own = flags if number == 0 else 0
        data = [segment for segment, _ in here]
        pages.append(page(serial, first + number, data, granules[-1] if granules else -1, own | goes_on))
        goes_on = here[-1][1] is None
    return pages
