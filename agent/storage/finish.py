"""Completes a file: its sidecar, its checksum, its name.

Order at close: audio fsync, levels fsync, sidecar, levels rename, audio rename, folder fsync.
Whatever the moment of a crash, salvage completes it.
"""

import errno
import hashlib
import os
import stat
from dataclasses import replace
from pathlib import Path

from agent.archive_format.names import SegmentName
from agent.archive_format.sidecar import encode, segment_json
from agent.codecs.base import Patch
from agent.model import FinishedSegment, Segment
from agent.storage.files import rename_new, sync_folder, write_whole

HASHED_AT_ONCE_BYTES = 32 << 20


def write_patches(descriptor: int, patches: list[Patch] | tuple[Patch, ...]) -> None:
    """Lay patches over a file."""
    for patch in patches:
        os.pwrite(descriptor, patch.data, patch.offset)


def refuse_taken(recordings: Path, name: SegmentName) -> None:
    """Raises FileExistsError where a `.part` has finished audio of its name beside it: the sidecar is that one's."""
    part, audio = recordings / name.audio_part, recordings / name.audio
    try:
        there = audio.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(there.st_mode) or not os.path.samestat(there, part.lstat()):  # else a link is half renamed
        raise FileExistsError(errno.EEXIST, "there is finished audio of this name already", name.audio)


def finish_files(recordings: Path, name: SegmentName, segment: Segment) -> FinishedSegment:
    """Give a complete and synced `.part` its sidecar and its name.

    Raises FileExistsError, with nothing changed, where the name is taken.
    """
    refuse_taken(recordings, name)
    part, audio = recordings / name.audio_part, recordings / name.audio
    if segment.bytes <= HASHED_AT_ONCE_BYTES:
        segment = replace(segment, sha256=sha256_of(part))
    write_whole(recordings / name.sidecar, encode(segment_json(segment)))
    levels_part = recordings / name.levels_part
    if levels_part.exists():
        levels_part.replace(recordings / name.levels)
    rename_new(part, audio)
    (recordings / name.sidecar_part).unlink(missing_ok=True)
    sync_folder(audio.parent)
    return FinishedSegment(segment, audio)


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
