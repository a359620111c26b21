"""A judge for FLAC, apart from the product's code: real encoders and readers, and a writer of what they cannot make."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.parts.process import program

_ANALYSIS = re.compile(rb"^frame=\d+\toffset=(\d+)\tbits=(\d+)\tblocksize=(\d+)", re.MULTILINE)


class Unit(NamedTuple):
    """One whole frame at its place in the data."""

    offset: int
    data: bytes
    samples: int


def units(data: bytes) -> list[Unit]:
    """The frames as the reference decoder finds them (`flac --analyze`)."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.flac")
        path.write_bytes(data)
        said = subprocess.run(
            [program("flac", "flac"), "-a", "-s", "-c", str(path)], capture_output=True, check=True
        ).stdout
    found = [(int(offset), int(bits) // 8, int(samples)) for offset, bits, samples in _ANALYSIS.findall(said)]
    return [Unit(offset, data[offset : offset + length], samples) for offset, length, samples in found]


def body(frame: bytes) -> bytes:
    """What of a frame does not change with its number: sizes, rate and bits, and all behind the header."""
    number = 1 if frame[4] < 0x80 else 8 - (frame[4] ^ 0xFF).bit_length()
    extra = {6: 1, 7: 2}.get(frame[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(frame[2] & 15, 0)
    return frame[2:4] + frame[4 + number : 4 + number + extra] + frame[4 + number + extra + 1 : -2]


def tested(path: Path) -> str:
    """What `flac -t` says against the file; the MD5 that is not set apart."""
    result = subprocess.run([program("flac", "flac"), "-t", "-s", str(path)], capture_output=True, check=False)
    said = " ".join(result.stderr.decode().split())
    unset = f"{path.name}: WARNING, cannot check MD5 signature since it was unset in the STREAMINFO"
    return said.replace(unset, "").strip() or ("" if result.returncode == 0 else f"flac ended with {result.returncode}")


def wave(samples: int, channels: int, bits: int, seed: int = 0) -> NDArray[np.int32]:
    """A tone that is quiet and loud by turns, with noise: frames of every kind and size. Shape (samples, channels)."""
    random = np.random.default_rng(seed)
    time = np.arange(samples)[:, None]
    swell = np.clip(np.sin(time / 9000 + seed), 0, None) ** 2
    tone = 0.6 * np.sin(time * (0.03 + 0.01 * np.arange(channels))) + 0.3 * random.uniform(-1, 1, (samples, channels))
    top = (1 << (bits - 1)) - 1
    return np.asarray(np.round(swell * tone * top), np.int32)


def raw(values: NDArray[np.int32], bits: int) -> bytes:
    """The samples as little-endian PCM of 1, 2 or 3 bytes."""
    width = (bits + 7) // 8
    return np.ascontiguousarray(values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width]).tobytes()


def encoded(values: NDArray[np.int32], rate: int, bits: int, *options: str) -> bytes:
    """FLAC as the reference encoder makes it, written to a pipe: sizes, total and MD5 stay unset."""
    command = [
        program("flac", "flac"),
        "-s",
        "-c",
        "--force-raw-format",
        "--endian=little",
        "--sign=signed",
        "--no-padding",
    ]
    command += [f"--channels={values.shape[1]}", f"--bps={bits}", f"--sample-rate={rate}", *options, "-"]
    return subprocess.run(command, input=raw(values, bits), capture_output=True, check=True).stdout


def by_ffmpeg(values: NDArray[np.int32], rate: int, bits: int, *options: str, container: str = "flac") -> bytes:
    """FLAC as FFmpeg makes it, of 16 or 24 bit, in its own container or in Ogg."""
    command = [
        program("ffmpeg", "ffmpeg"),
        "-v",
        "error",
        "-f",
        f"s{bits}le",
        "-ar",
        str(rate),
        "-ac",
        str(values.shape[1]),
    ]
    command += ["-i", "-", "-c:a", "flac", *options, "-f", container, "-"]
    return subprocess.run(command, input=raw(values, bits), capture_output=True, check=True).stdout


_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_BITS = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6, 32: 7}


class Writer:
    """FLAC as no encoder at hand makes it: any bits, any block sizes. All samples are stored as they are."""

    def __init__(self, rate: int, channels: int, bits: int, *, variable: bool, stated: bool = True) -> None:
        self.rate, self.channels, self.bits = rate, channels, bits
        self._variable, self._stated = variable, stated
        self.number = 0

    def head(self, smallest: int = 16, largest: int = 65535) -> bytes:
        """Marker, STREAMINFO and a block of padding."""
        sizes = smallest.to_bytes(2, "big") + largest.to_bytes(2, "big") + bytes(6)
        packed = self.rate << 44 | self.channels - 1 << 41 | self.bits - 1 << 36
        return b"fLaC\0\0\0\x22" + sizes + packed.to_bytes(8, "big") + bytes(16) + b"\x81\0\0\4pad!"

    def frame(self, values: NDArray[np.int32]) -> bytes:
        """The next frame."""
        count = len(values)
        rate_code = _RATES.index(self.rate) if self._stated else 0
        bits_code = _BITS[self.bits] if self._stated else 0
        strategy = 0xF9 if self._variable else 0xF8
        head = bytes((0xFF, strategy, 0x70 | rate_code, self.channels - 1 << 4 | bits_code << 1))
        head += utf8(self.number) + (count - 1).to_bytes(2, "big")
        head += bytes((crc(head, 0x07, 8),))
        text = "".join(
            "00000010" + "".join(f"{int(value) & (1 << self.bits) - 1:0{self.bits}b}" for value in values[:, channel])
            for channel in range(self.channels)
        )
        text += "0" * (-len(text) % 8)
        data = head + int(text, 2).to_bytes(len(text) // 8, "big")
        self.number += count if self._variable else 1
        return data + crc(data, 0x8005, 16).to_bytes(2, "big")


def utf8(number: int) -> bytes:
    """As RFC 9639 (9.1.5) codes a number."""
    if number < 0x80:
        return bytes([number])
    follow = next(count for count in range(1, 7) if number < 1 << (5 * count + 6))
    lead = (0xFF << (7 - follow)) & 0xFF
    tail = [0x80 | number >> 6 * place & 0x3F for place in reversed(range(follow))]
    return bytes([lead | number >> 6 * follow, *tail])


def crc(data: bytes, polynomial: int, bits: int) -> int:
    """Bit by bit, as the textbook has it; each byte only once."""
    table = _crc_table(polynomial, bits)
    value = 0
    for byte in data:
        value = value << 8 & (1 << bits) - 1 ^ table[value >> (bits - 8) ^ byte]
    return value


@cache
def _crc_table(polynomial: int, bits: int) -> list[int]:
    table = []
    for value in range(256):
        remainder = value << (bits - 8)
        for _ in range(8):
            remainder = remainder << 1 ^ (polynomial if remainder >> (bits - 1) else 0)
            remainder &= (1 << bits) - 1
        table.append(remainder)
    return table


def crc_of_page(page: bytes) -> int:
    """The checksum of an Ogg page (RFC 3533) in whose place there are zeros."""
    return crc(page, 0x04C11DB7, 32)
