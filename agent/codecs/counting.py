"""Decodes a finished file of ours to its end, as a player does, to see how much there is."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from agent.codecs import CONTAINERS
from agent.codecs.base import Whole
from agent.codecs.decoding import Span
from agent.codecs.flac_info import STREAMINFO_AT
from agent.errors import CodecError

_AT_ONCE = 1 << 16
_MD5_AT, _MD5_BYTES = STREAMINFO_AT + 18, 16
_FEWEST_PACKETS = 4
"""FFmpeg wants to see more before it believes that a file of bare packets (MP3, ADTS) is one."""
_DTYPES = {8: "int16", 16: "int16", 24: "int32"}
"""For each number of bits what libsndfile is asked for; it puts the samples into the upper bits."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What came out: samples per channel, packets that could not be decoded, and whether the samples are those that
    the encoder put in (None where the file does not tell)."""

    samples: int
    broken_packets: int = 0
    is_original: bool | None = None


def count(path: Path, container: str, whole: Whole, heard: Callable[[int], None]) -> Counted:
    """Decode `path`; `heard` is called with the samples so far. CodecError where it cannot be decoded to its end."""
    if container == "flac" and whole.format.bits in _DTYPES:
        try:
            return _flac(path, whole.format.bits, heard)
        except CodecError:
            if whole.packets is None:
                raise
    if container == "flac" and whole.packets is not None:
        # Where a frame is broken libsndfile gives up, and FFmpeg takes it for a part of the one before.
        return _by_packets(path, container, whole, heard)
    # 30 MB of memory that a box with sound cards alone does not need.
    from agent.codecs.decode_file import count_file  # noqa: PLC0415

    if whole.packets is not None and whole.packets < _FEWEST_PACKETS:
        return _by_packets(path, container, whole, heard)
    found = count_file(path, heard, priming_packets=whole.priming_packets)
    # HE-AAC: players restore the upper half, at twice the rate that the packets state.
    return Counted(found.samples * whole.format.sample_rate_hz // found.sample_rate_hz, found.broken_packets)


def _by_packets(path: Path, container: str, whole: Whole, heard: Callable[[int], None]) -> Counted:
    broken: list[Span] = []
    samples = 0
    with path.open("rb") as file:
        for piece in CONTAINERS[container].decoded(file, whole, 0, broken):
            samples += piece.shape[1]
            heard(samples)
    return Counted(samples - sum(end - begin for begin, end in broken), len(broken))


def _flac(path: Path, bits: int, heard: Callable[[int], None]) -> Counted:
    with path.open("rb") as file:
        file.seek(_MD5_AT)
        wanted = file.read(_MD5_BYTES)
    digest, samples = hashlib.md5(usedforsecurity=False), 0
    try:
        with soundfile.SoundFile(path) as decoder:
            while len(block := decoder.read(_AT_ONCE, _DTYPES[bits], always_2d=True)):
                samples += len(block)
                if any(wanted):
                    digest.update(_packed(block, bits))
                heard(samples)
    except soundfile.SoundFileError as error:
        raise CodecError(f"cannot be decoded: {error}") from error
    return Counted(samples, 0, digest.digest() == wanted if any(wanted) else None)


def _packed(block: NDArray[np.integer[Any]], bits: int) -> bytes:
    """The samples as the MD5 of FLAC takes them (RFC 9639, 8.2): whole bytes, little-endian."""
    if bits == 16:
        return block.astype("<i2", copy=False).tobytes()
    if bits == 8:
        return (block >> 8).astype(np.int8).tobytes()
    return np.ascontiguousarray(block.astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:]).tobytes()
