"""Finishes what a crash, a kill or a power cut left behind: every `.part` becomes a playable segment.

What the sidecar so far (`.json.part`) knows stays; the audio that was safe stays byte for byte.
"""

import errno
import json
import logging
import mmap
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

from agent.archive_format.names import PART, SIDECAR, SegmentName, name_of, source_of, start_of, unfinished
from agent.archive_format.sidecar import segment_from
from agent.archive_format.times import to_ms, to_ns
from agent.codecs import CONTAINERS
from agent.codecs.base import Whole
from agent.errors import CodecError, StorageError
from agent.ids import uuid7
from agent.model import Clock, CloseReason, FinishedSegment, Segment
from agent.storage.files import TEMPORARY, sync_folder
from agent.storage.writer import Origin, finish_files, write_patches

_log = logging.getLogger(__name__)
_WRONG = (ValueError, KeyError, TypeError, RecursionError)
"""What comes of a sidecar that is none."""
_DISK_TAKES_NOTHING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def salvage_source(recordings: Path, origin: Origin) -> list[FinishedSegment]:
    """Finish every unfinished file of a source, oldest first. A file that cannot be helped stays, and is named.

    Raises StorageError where the disk takes nothing: that is no fault of the file's, and it has to be tried again.
    """
    finished = []
    for name in unfinished(recordings, origin.source):
        try:
            segment = salvage(recordings, name, origin)
        except (OSError, CodecError, *_WRONG) as error:
            if isinstance(error, OSError) and error.errno in _DISK_TAKES_NOTHING:
                raise StorageError(f"cannot write: {error.strerror}") from error
            _log.error("%s cannot be salvaged and stays as it is: %s", name.audio_part, error)
            continue
        if segment is not None:
            _log.info("salvaged %s: %.3f s", segment.segment.file, segment.segment.duration_s)
            finished.append(segment)
    _remove_leftovers(recordings, origin.source)
    return finished


def salvage(recordings: Path, name: SegmentName, origin: Origin) -> FinishedSegment | None:
    """Finish one file; None where it holds not one whole packet, and it is removed then.

    Raises CodecError where the file is not what its name says, OSError where it cannot be read or written.
    """
    part = recordings / name.audio_part
    closing = _read_sidecar(recordings / name.sidecar)
    if closing is not None and part.stat().st_size == closing.bytes:
        # Only the last rename was missing: the sidecar already speaks of these very bytes.
        return finish_files(recordings, name, closing)
    so_far = _read_sidecar(recordings / name.sidecar_part)
    whole = _measure(part, name.extension, so_far.bytes if so_far else 0)
    if whole is None:
        _log.warning("%s holds no whole packet and is removed", name.audio_part)
        part.unlink()
        (recordings / name.sidecar_part).unlink(missing_ok=True)
        sync_folder(part.parent)
        return None
    with part.open("r+b") as file:
        file.truncate(whole.length)
        write_patches(file.fileno(), whole.patches)
        os.fsync(file.fileno())
    known = so_far or _from_name(name, whole, origin, part)
    return finish_files(recordings, name, _completed(known, whole))


def _measure(part: Path, extension: str, safe_bytes: int) -> Whole | None:
    with part.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return CONTAINERS[extension].whole(data, safe_bytes=safe_bytes)


def _completed(known: Segment, whole: Whole) -> Segment:
    """The segment with the counts of what is really there, its end from the last known pair of sample and time."""
    pairs = tuple(pair for pair in known.clock.map if pair[0] <= whole.samples) or ((0, known.start),)
    sample, at = pairs[-1]
    end = to_ms(at + timedelta(seconds=(whole.samples - sample) / whole.format.sample_rate_hz))
    if sample != whole.samples:
        pairs = (*pairs, (whole.samples, end))
    return replace(
        known,
        end=end,
        samples=whole.samples,
        packets=whole.packets,
        bytes=whole.length,
        payload_offset=whole.payload_offset,
        clock=replace(known.clock, map=pairs),
        aligned_end=False,
        reason=CloseReason.RECOVERED,
        recovered=True,
    )


def _from_name(name: SegmentName, whole: Whole, origin: Origin, part: Path) -> Segment:
    """A segment whose sidecar was lost: the name tells when it began, the file the rest."""
    start = start_of(name)
    _log.warning("%s has lost its sidecar; its start is taken from its name", part.name)
    return Segment(
        id=uuid7(to_ns(start) // 1_000_000),
        agent=origin.agent,
        source=source_of(name),
        boot=origin.boot,
        run=origin.run,
        file=name.audio,
        container=name.extension,
        format=whole.format,
        start=start,
        end=start,
        tz=origin.zone.key,
        samples=0,
        packets=None,
        bytes=0,
        payload_offset=0,
        aligned_start=False,
        clock=Clock(None, None, None, 0.0, ((0, start),)),
        url=origin.url,
    )


def _read_sidecar(path: Path) -> Segment | None:
    try:
        return segment_from(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except _WRONG as error:
        _log.warning("%s cannot be read: %s", path.name, error)
        return None


def _remove_leftovers(recordings: Path, source: str) -> None:
    """A `.json.part` without audio (nothing was recorded, or all was renamed already), and a half-written one."""
    for suffix in (SIDECAR + PART, SIDECAR + PART + TEMPORARY):
        for path in (recordings / source).glob(f"*/*/*/*{suffix}"):
            stem = path.name.removesuffix(suffix)
            if name_of(PurePosixPath(f"{stem}.wav")) is None:
                continue  # not ours
            if suffix == SIDECAR + PART and any(path.with_name(f"{stem}.{kind}{PART}").exists() for kind in CONTAINERS):
                continue  # its audio could not be helped
            try:
                path.unlink()
            except OSError as error:
                _log.error("%s cannot be removed: %s", path, error)
