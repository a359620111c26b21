"""Finds audio by the path in a request: finished, or being recorded, or recorded when the path was learnt."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from archive_api.answers.conditions import Validators
from archive_api.answers.problem import Problem, not_found
from archive_api.recordings.content import Content, etag
from archive_api.recordings.opening import open_file
from archive_api.recordings.paths import Parts, extension_of, is_part, plain_name, with_plus
from archive_api.recordings.snapshots import NoSnapshotError, Snapshots


@dataclass(frozen=True, slots=True)
class Pinned:
    """The audio is being recorded, and this many of its bytes are a right file for ever."""

    length: int


@dataclass(frozen=True, slots=True)
class Found:
    """An open descriptor, the path of the audio once finished, and whether it is being recorded."""

    descriptor: int
    parts: Parts
    is_open: bool

    @property
    def name(self) -> str:
        """The path of the finished audio below the recordings folder."""
        return "/".join(self.parts)


def open_audio(root: Path, snapshots: Snapshots, parts: Parts, length: int | None) -> Content | Pinned:
    """Finished audio; or with `length` the snapshot of so many bytes; or where one of open audio would end now.

    Raises Problem 404 (nothing there), 400 (no unit of the codec ends at `length`), 416 (`length` lies beyond the
    file), 503 (no whole unit has been written yet); OSError for trouble that is not the path's.
    """
    if extension_of(parts[-1]) is None:
        raise not_found()
    found = find_audio(root, parts)
    with ExitStack() as on_failure:
        on_failure.callback(os.close, found.descriptor)
        if length is not None:
            content = _snapshot(snapshots, found, length)
        elif found.is_open:
            return Pinned(_newest(snapshots, found))
        else:
            content = Content.finished(found.descriptor, found.name)
        on_failure.pop_all()
        return content


def find_audio(root: Path, parts: Parts) -> Found:
    """The literal path first; then the one in which a `+` had become a space. The descriptor is the caller's.

    Raises Problem 404; OSError for trouble that is not the path's.
    """
    for spelling in dict.fromkeys((parts, with_plus(parts))):
        finished = (*spelling[:-1], plain_name(spelling[-1]))
        if is_part(spelling[-1]):
            descriptor = open_file(root, spelling)
            if descriptor is not None:
                return Found(descriptor, finished, is_open=True)
        descriptor = open_file(root, finished)
        if descriptor is not None:
            return Found(descriptor, finished, is_open=False)
    raise not_found()


def _newest(snapshots: Snapshots, found: Found) -> int:
    try:
        whole = snapshots.newest(found.descriptor, found.name, str(extension_of(found.name)))
    except NoSnapshotError as error:
        raise not_found() from error
    if whole is None:
        detail = "This recording has only just begun; ask again in a second."
        raise Problem(503, detail, headers={"retry-after": "1"})
    return whole.length


def _snapshot(snapshots: Snapshots, found: Found, length: int) -> Content:
    status = os.fstat(found.descriptor)
    if length > status.st_size:
        detail = f"The recording has {status.st_size} bytes, fewer than len asks for."
        raise Problem(416, detail, headers={"content-range": f"bytes */{status.st_size}"})
    try:
        whole = snapshots.at(found.descriptor, found.name, str(extension_of(found.name)), length)
    except NoSnapshotError as error:
        raise Problem(400, "This recording cannot be cut: it was not made by this program.") from error
    if whole is None:
        raise Problem(400, "len is not where a unit of the recording ends; take it from the address without len.")
    tag = etag("snapshot", status.st_dev, status.st_ino, found.name, length)
    return Content(found.descriptor, length, found.name, Validators(tag, None), whole.patches)
