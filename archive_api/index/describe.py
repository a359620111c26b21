"""What is known of one file: its sidecar, else its header, else its name."""

import errno
import hashlib
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from agent.archive_format.names import AUDIO_SUFFIXES as EXTENSIONS
from agent.archive_format.names import PART, SIDECAR, name_of, source_of, start_of
from agent.archive_format.times import ms_of
from archive_api.index.row import Row, State
from archive_api.index.sidecars import Json, read_sidecar
from archive_api.index.times import LENGTH_MOST_S
from archive_api.recordings.durations import Reader, duration_s, is_audio
from archive_api.recordings.opening import open_inner_file, read_file
from archive_api.recordings.paths import extension_of
from archive_api.recordings.scan import sidecar_of

SIDECAR_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Box:
    """Whose folder it is: the agent and the time zone of what says nothing of either."""

    agent: str
    zone: ZoneInfo


def finished(folder: int, file: str, status: os.stat_result, box: Box) -> Row:
    """The row of finished audio in an open folder. Raises OSError for trouble that is not the file's."""
    found = sidecar(folder, sidecar_of(file.rpartition("/")[2]), file)
    if found is None:
        return _foreign(folder, file, status, box)
    row, _ = found
    state = State.DONE if row.bytes == status.st_size else State.DAMAGED
    return replace(row, bytes=status.st_size, state=state)


def deleted(folder: int, path: str, name: str) -> tuple[Row, Json] | None:
    """The row and the object of a sidecar whose audio the agent has deleted, in an open folder of this path; None where
    it is none of those."""
    try:
        data = read_file(folder, name, SIDECAR_MOST_BYTES)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return None
    for extension in () if data is None else EXTENSIONS:
        file = f"{path}/{name.removesuffix(SIDECAR)}{extension}".removeprefix("/")
        found = None if data is None else read_sidecar(data[0], file)
        if found is not None and isinstance(found[1].get("deleted"), dict) and found[0].id:
            return replace(found[0], bytes=0, state=State.DELETED), found[1]
    return None


def opened(folder: int, file: str, box: Box) -> Row | None:
    """The row of audio that has not its name yet, as it will not change; None where it is not one of ours."""
    found = open_sidecar(folder, file)
    row = found[0] if found else _by_name(file, box)
    if row is None:
        return None
    return replace(
        row,
        end_ms=row.start_ms,
        duration_s=0.0,
        bytes=0,
        samples=0,
        state=State.OPEN,
        reason=None,
        missing_s=None,
        rms_dbfs=None,
        peak_dbfs=None,
        loud_events=0,
        title=None,
        titles=(),
        events=(),
    )


def open_sidecar(folder: int, file: str) -> tuple[Row, Json] | None:
    """What is known of audio that has not its name yet: it gets its final sidecar just before."""
    name = sidecar_of(file.rpartition("/")[2])
    return sidecar(folder, name, file) or sidecar(folder, name + PART, file)


def sidecar(folder: int, name: str, file: str) -> tuple[Row, Json] | None:
    """The row and the object of a sidecar in an open folder; None where there is none of `file`."""
    try:
        data = read_file(folder, name, SIDECAR_MOST_BYTES)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        data = None  # a bad spot of the disk must not keep the rest of the folder out of the index
    found = None if data is None else read_sidecar(data[0], file)
    if found is None:
        return None
    row, fields = found
    return (row if row.id else replace(row, id=path_id(file))), fields


def path_id(file: str) -> str:
    """The id of audio without a sidecar of its own: it stays as long as the file is called so."""
    return f"f-{hashlib.blake2b(file.encode(), digest_size=12).hexdigest()}"


def _foreign(folder: int, file: str, status: os.stat_result, box: Box) -> Row:
    """A file without sidecar is as old as its name says, else as its last change."""
    extension = str(extension_of(file))
    descriptor = open_inner_file(folder, file.rpartition("/")[2])
    if descriptor is None:
        length_s, is_sound = None, False
    else:
        try:
            length_s, is_sound = _heard(extension, lambda at, size: os.pread(descriptor, size, at), status.st_size)
        finally:
            os.close(descriptor)
    row = _by_name(file, box) or _nameless(file, status, box)
    length_ms = 0 if length_s is None else round(length_s * 1000)
    return replace(
        row,
        container=extension,
        end_ms=row.start_ms + length_ms,
        duration_s=length_s,
        bytes=status.st_size,
        state=State.DONE if is_sound else State.DAMAGED,
    )


def _heard(extension: str, read: Reader, size: int) -> tuple[float | None, bool]:
    """Seconds, and whether the header is that of audio at all."""
    try:
        length_s = duration_s(extension, read, size)
        if length_s is not None and length_s > LENGTH_MOST_S:
            length_s = None
        return length_s, length_s is not None or is_audio(extension, read, size)
    except OverflowError:
        return None, False
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return None, False


def _by_name(file: str, box: Box) -> Row | None:
    name = name_of(PurePosixPath(file))
    if name is None:
        return None
    try:
        start_ms = ms_of(start_of(name))
    except (ValueError, OverflowError):
        return None
    return _blank(file, start_ms, box, box.agent, source_of(name))


def _nameless(file: str, status: os.stat_result, box: Box) -> Row:
    return _blank(file, ms_of(datetime.fromtimestamp(status.st_mtime_ns // 1_000_000_000, UTC)), box, None, None)


def _blank(file: str, start_ms: int, box: Box, agent: str | None, source: str | None) -> Row:
    return Row(
        file=file,
        id=path_id(file),
        agent=agent,
        source=source,
        container=extension_of(file),
        codec=None,
        start_ms=start_ms,
        end_ms=start_ms,
        duration_s=None,
        bytes=0,
        samples=None,
        sample_rate_hz=None,
        channels=None,
        state=State.DONE,
        reason=None,
        missing_s=None,
        rms_dbfs=None,
        peak_dbfs=None,
        loud_events=0,
        title=None,
        tz=box.zone.key,
    )
