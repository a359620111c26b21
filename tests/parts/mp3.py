"""A judge for MP3 files, written apart from the product's own code: frame walker and real decoder."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.parts.process import program

# ISO 11172-3 and 13818-3, layer III; index 0 is "free format" and 15 is forbidden.
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_HEADER = 4


class Frame(NamedTuple):
    """One whole frame, header included, at its place in the data."""

    offset: int
    data: bytes


class Header(NamedTuple):
    """What the four bytes at the head of a frame say."""

    length: int
    samples: int
    sample_rate: int
    channels: int
    side_info: int


def parse_header(data: bytes, offset: int = 0) -> Header | None:
    """Read a layer III header; None if there is none here or the frame has no definite length."""
    head = data[offset : offset + _HEADER]
    if len(head) < _HEADER or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version = head[1] >> 3 & 3
    rate_index = head[2] >> 2 & 3
    kbits = (_KBITS_1 if version == 3 else _KBITS_2)[head[2] >> 4]
    if version == 1 or rate_index == 3 or kbits == 0:
        return None
    rate = _RATES[version][rate_index]
    samples = 1152 if version == 3 else 576
    mono = head[3] >> 6 == 3
    side_info = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    length = samples // 8 * kbits * 1000 // rate + (head[2] >> 1 & 1)
    return Header(length, samples, rate, 1 if mono else 2, side_info)


def frames(data: bytes, *, skip_info: bool = False) -> list[Frame]:
    """Walk through the data and return its whole frames; a cut frame at either end is left out.

    Bytes outside of frames are passed over, and show as a jump between one frame's end and the next offset
    (see `contiguous`). A pattern like a header occurs in ordinary frame data too: so a frame counts only if the
    frame before it or, where the walk has to find its feet, the header after it is of the same version and rate.
    With `skip_info` the Xing or Info frame that describes a file is left out: it holds no sound.
    """
    found: list[Frame] = []
    offset = _after_id3(data)
    before: Header | None = None
    while offset + _HEADER <= len(data):
        header = parse_header(data, offset)
        if header is None or not (_alike(header, before) or _confirmed(data, offset, header)):
            offset += 1
            before = None
            continue
        end = offset + header.length
        if end > len(data):
            break
        frame = Frame(offset, data[offset:end])
        if not (skip_info and is_info(frame.data)):
            found.append(frame)
        offset = end
        before = header
    return found


def is_info(frame: bytes) -> bool:
    """Tell whether this is a Xing, Info or VBRI frame, which describes the file and holds no sound."""
    header = parse_header(frame)
    if header is None:
        return False
    xing = _HEADER + header.side_info
    return frame[xing : xing + 4] in (b"Xing", b"Info") or frame[36:40] == b"VBRI"


def contiguous(found: Sequence[Frame]) -> bool:
    """Tell whether each frame starts where the one before ended."""
    return all(one.offset + len(one.data) == two.offset for one, two in itertools.pairwise(found))


def encoded(seconds: float, *, sample_rate_hz: int = 44100) -> bytes:
    """An MP3 stream of 128 kbit/s in stereo: a tone left, noise right, without tags or Xing frame."""
    sound = f"sine=440:sample_rate={sample_rate_hz}[l];anoisesrc=amplitude=0.1:seed=1:sample_rate={sample_rate_hz}[r]"
    command = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-filter_complex",
        f"{sound};[l][r]join=inputs=2",
        "-t",
        str(seconds),
    ]
    command += ["-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def samples_of(found: Sequence[Frame]) -> int:
    """Return the samples per channel that the headers of these frames promise."""
    return sum(header.samples for frame in found if (header := parse_header(frame.data)) is not None)


def decoded(path: Path, *, channels: int) -> NDArray[np.int16]:
    """Decode any audio file with the real ffmpeg to an array of (samples, channels)."""
    pcm = _decode(path, channels)
    return np.frombuffer(pcm, dtype="<i2").reshape(-1, channels)


def decoded_samples(path: Path) -> int:
    """Return how many samples per channel the real ffmpeg gets out of a file (mixed down: same count)."""
    return len(_decode(path, 1)) // 2


def _decode(path: Path, channels: int) -> bytes:
    argv = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-i", str(path)]
    argv += ["-map", "0:a:0", "-ac", str(channels), "-f", "s16le", "-"]
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(f"ffmpeg cannot decode {path}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def _after_id3(data: bytes) -> int:
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    footer = 10 if data[5] & 0x10 else 0
    return 10 + size + footer


def _confirmed(data: bytes, offset: int, header: Header) -> bool:
    end = offset + header.length
    if end == len(data):
        return True
    return _alike(header, parse_header(data, end))


def _alike(one: Header, two: Header | None) -> bool:
    return two is not None and (one.sample_rate, one.samples) == (two.sample_rate, two.samples)
