"""Deletes audio of ours: the sidecar says so first, durably; then the audio goes. The level series stays.

After a crash in between, doing it again finishes it; audio that somebody put back later stays. Nothing is deleted that
has no sidecar of ours, or that is not what its sidecar says; nothing outside the recordings folder, and nothing by a
link.
"""

import os
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from agent.archive_format.names import AUDIO_SUFFIXES, LEVELS, PART, SIDECAR, SegmentName
from agent.archive_format.times import to_ns
from agent.model import Deletion, Segment
from agent.storage.beneath import NotOursError, folder_beneath, status_in
from agent.storage.sidecars import Sidecars, our_name, read_segment


class ProtectedError(Exception):
    """The segment is protected, and the rule that would delete it leaves those alone."""


def delete_audio(
    recordings: Path, sidecars: Sidecars, file: str, at: datetime, why: str, *, protected_too: bool
) -> Segment:
    """Delete the audio of a finished segment, and tell; what its sidecar says then.

    Raises NotOursError where it is none of ours, ProtectedError where it is protected, OSError where the disk fails.
    """
    name = our_name(file)
    audio = PurePosixPath(name.audio).name
    with folder_beneath(recordings, name.folder) as folder:
        _must_be_that_of(folder, audio, read_segment(folder, name), file)

        def deleted(known: Segment) -> Segment:
            if known.deleted is not None:
                return known  # a crash came between the two steps
            if known.protected and not protected_too:
                raise ProtectedError
            return replace(known, deleted=Deletion(at, why))

        segment = sidecars.change_untold(file, deleted)
        with suppress(FileNotFoundError):
            os.unlink(audio, dir_fd=folder)
        os.fsync(folder)
    sidecars.tell(segment)
    return segment


def _must_be_that_of(folder: int, audio: str, segment: Segment, file: str) -> None:
    status = status_in(folder, audio)
    if status is None:
        raise NotOursError(f"{file} is not there, or no file")
    if segment.deleted is not None and status.st_ctime_ns > to_ns(segment.deleted.at):
        raise NotOursError(f"{file} was put there after it had been deleted")
    if status.st_size != segment.bytes:
        raise NotOursError(f"{file} has {status.st_size} bytes, and {segment.bytes} by its sidecar")


def forget(recordings: Path, folder_path: PurePosixPath, stem: str) -> None:
    """Remove sidecar and level series of a segment whose audio is gone.

    Raises NotOursError where they are none of ours, or there is audio, OSError where the disk fails.
    """
    with folder_beneath(recordings, folder_path) as folder:
        if any(status_in(folder, f"{stem}{end}") for suffix in AUDIO_SUFFIXES for end in (suffix, suffix + PART)):
            raise NotOursError(f"{stem} has audio")
        if status_in(folder, stem + SIDECAR + PART) is not None or relic(folder, folder_path, stem) is None:
            raise NotOursError(f"{stem}{SIDECAR} is no sidecar of ours")
        # The sidecar last: as long as it is there, the next pass knows of the other.
        for suffix in (LEVELS, SIDECAR):
            with suppress(FileNotFoundError):
                os.unlink(stem + suffix, dir_fd=folder)
        os.fsync(folder)


def relic(folder: int, folder_path: PurePosixPath, stem: str) -> Segment | None:
    """What a sidecar of ours in an open folder tells, whatever its audio was called; None where it is none of ours."""
    for suffix in AUDIO_SUFFIXES:
        with suppress(NotOursError):
            return read_segment(folder, our_name(SegmentName(folder_path, stem, suffix[1:]).audio))
    return None


def remove_empty_folders(recordings: Path, folder: PurePosixPath) -> None:
    """Remove the folder of a day where nothing is left in it, then that of its month and of its year."""
    while len(folder.parts) > 1:
        try:
            with folder_beneath(recordings, folder.parent) as parent:
                os.rmdir(folder.name, dir_fd=parent)
                os.fsync(parent)
        except (OSError, NotOursError):
            return  # something is left in it, whatever that may be
        folder = folder.parent
