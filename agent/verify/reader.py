"""Looks at the files of one segment. Reads only, and follows no link."""

import hashlib
import mmap
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeAlias

from agent.archive_format.levels import load_levels
from agent.archive_format.names import AUDIO_SUFFIXES, LEVELS, PART, SIDECAR
from agent.codecs import CONTAINERS
from agent.codecs.base import Whole
from agent.codecs.counting import Counted, count
from agent.errors import CodecError
from agent.storage.plain import is_plain, open_plain, read_plain
from agent.verify.facts import Audio, Facts, Levels, told
from agent.verify.places import Group, stem_of

Advance: TypeAlias = Callable[[float], None]
"""Is told how much of a file, 0 to 1, has been looked at."""

_CHUNK_BYTES = 1 << 20
_TOTAL_AT = slice(10, 18)
"""The fields of a FLAC header that hold rate, channels, bits and total samples (RFC 9639, 8.2)."""


def look(group: Group, advance: Advance, *, quick: bool) -> Facts:
    """All that there is to see of one segment; with `quick` nothing is decoded. OSError where it cannot be read."""
    # First what is being recorded: it turns into finished audio, never the other way.
    parts = tuple(suffix for suffix in _suffixes(PART) if is_plain(group.path(suffix)))
    sidecar = told(read_plain(group.path(SIDECAR))) if is_plain(group.path(SIDECAR)) else None
    extensions = tuple(suffix[1:] for suffix in AUDIO_SUFFIXES if is_plain(group.path(suffix)))
    if parts or sidecar is None or sidecar.segment is None:
        return Facts(group, extensions, parts, sidecar)
    segment, audio = sidecar.segment, None
    if segment.container in CONTAINERS and segment.container in extensions:
        path = group.path(f".{segment.container}")
        audio = _audio(path, segment.container, segment.sha256, advance, quick=quick)
    alike = _alike(group, segment.bytes) if audio is None and not sidecar.is_deleted else None
    return Facts(group, extensions, parts, sidecar, audio, _levels(group.path(LEVELS)), alike)


def signature(group: Group) -> tuple[tuple[str, int, int, int], ...]:
    """Changes when any file of the group comes, goes or is written."""
    found = []
    for suffix in (*_suffixes(""), *_suffixes(PART)):
        try:
            status = group.path(suffix).lstat()
        except OSError:
            continue
        found.append((suffix, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def audio_bytes(group: Group) -> int:
    """How large the finished audio of a group is."""
    sizes = (group.path(suffix) for suffix in AUDIO_SUFFIXES)
    return sum(path.lstat().st_size for path in sizes if is_plain(path))


def _suffixes(tail: str) -> tuple[str, ...]:
    return tuple(suffix + tail for suffix in (*AUDIO_SUFFIXES, SIDECAR, LEVELS))


def _audio(path: Path, container: str, known: str | None, advance: Advance, *, quick: bool) -> Audio:
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256()
        read = 0
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            read += len(chunk)
            advance(read / max(1, size) * (1.0 if quick else 0.5))
        sha256 = digest.hexdigest()
        # Bytes that are known to be those that were written need no closer look at each packet.
        whole, complaint, fits = _framed(file, size, container, is_sound=sha256 == known)
    if quick or whole is None or complaint is not None:
        return Audio(size, sha256, whole, complaint, fits)
    counted, silent_because = _decoded(path, container, whole, advance)
    return Audio(size, sha256, whole, complaint, fits, counted, silent_because)


def _framed(file: BinaryIO, size: int, container: str, *, is_sound: bool) -> tuple[Whole | None, str | None, bool]:
    """What of the file is whole, where that ends too early, and whether the header fits it."""
    if not size:
        return None, "an empty file", True
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            whole = CONTAINERS[container].whole(data, safe_bytes=size if is_sound else 0)
        except CodecError as error:
            return None, str(error), True
        if whole is None:
            return None, None, True
        # Chunks of a WAV are of even length; one that an earlier version salvaged may lack the pad byte.
        if size not in (whole.length, whole.length + whole.pad_bytes):
            rate = whole.format.sample_rate_hz
            return whole, f"nothing sound behind byte {whole.length} ({whole.samples / rate:.3f} s)", True
        for patch in whole.patches:
            wanted, found = patch.data, data[patch.offset : patch.offset + len(patch.data)]
            if container == "flac":
                wanted, found = wanted[_TOTAL_AT], found[_TOTAL_AT]
            if wanted != found:
                return whole, None, False
        return whole, None, True


def _decoded(path: Path, container: str, whole: Whole, advance: Advance) -> tuple[Counted | None, str | None]:
    try:
        return count(path, container, whole, lambda done: advance(0.5 + 0.5 * min(1.0, done / whole.samples))), None
    except CodecError as error:
        return None, str(error)


def _levels(path: Path) -> Levels | None:
    if not is_plain(path):
        return None
    try:
        with open_plain(path) as file:
            return Levels(load_levels(file))
    except ValueError as error:
        return Levels(None, f"no level series ({error})")


def _alike(group: Group, size: int) -> str | None:
    """Audio of this size in the same folder that has no sidecar."""
    for path in sorted(group.path("").parent.iterdir()):
        if path.suffix in AUDIO_SUFFIXES and is_plain(path) and path.stat().st_size == size:
            stem = stem_of(path.name)
            if stem is None or not path.with_suffix(SIDECAR).exists():
                return str(PurePosixPath(group.folder) / path.name)
    return None
