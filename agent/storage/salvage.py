"""Finishes what a crash, a kill or a power cut left behind: every `.part` becomes a playable segment.

What the sidecar so far (`.json.part`) knows stays; the audio that was safe stays byte for byte.
"""

import errno
import logging
import mmap
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from agent.archive_format.names import (
    LEVELS,
    PART,
    SIDECAR,
    SegmentName,
    days_of,
    home_of,
    name_of,
    source_of,
    start_of,
    unfinished,
)
from agent.archive_format.times import to_ms, to_ns
from agent.codecs import CONTAINERS
from agent.codecs.base import Whole
from agent.errors import CodecError, StorageError
from agent.ids import uuid7
from agent.model import Clock, CloseReason, FinishedSegment, Gap, Segment
from agent.storage.broken import as_cut, as_told, listed_to, sound_before, with_broken
from agent.storage.files import TEMPORARY, sync_file, sync_folder
from agent.storage.finish import finish_files, refuse_taken, write_patches
from agent.storage.history import WRONG, read_sidecar
from agent.storage.plain import is_plain, open_plain
from agent.storage.relevel import DECODED_MAX_S, relevel
from agent.storage.writer import Origin

_log = logging.getLogger(__name__)
_NOTHING_MOST_BYTES = 1 << 18
"""As much as the packet that a file begins with may have; where there is more, something has been recorded."""
_DISK_TAKES_NOTHING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def salvage_source(recordings: Path, origin: Origin) -> list[FinishedSegment]:
    """Finish every unfinished file of a source, oldest first. A file that cannot be helped stays, and is named.

    Raises StorageError where the disk takes nothing: that is no fault of the file's, and it has to be tried again.
    """
    finished = []
    for name in unfinished(recordings, origin.source):
        try:
            segment = salvage(recordings, name, origin)
        except (OSError, CodecError, *WRONG) as error:
            if isinstance(error, OSError) and error.errno in _DISK_TAKES_NOTHING:
                raise StorageError(f"cannot write: {error.strerror}") from error
            _log.error("%s cannot be salvaged and stays as it is: %s", name.audio_part, error)
            continue
        if segment is not None:
            _log.info("salvaged %s: %.3f s", segment.segment.file, segment.segment.duration_s)
            finished.append(segment)
    _remove_leftovers(recordings, origin.source)
    return finished


def salvage(
    recordings: Path, name: SegmentName, origin: Origin, *, decoded_max_s: float = DECODED_MAX_S
) -> FinishedSegment | None:
    """Finish one file; None where it holds not one whole packet, and it is removed then.

    Where more than `decoded_max_s` of its level series are missing, it gets none.
    Raises CodecError where the file is not what its name says, or its beginning is damaged, OSError where it cannot be
    read or written, or finished audio has its name.
    """
    part = recordings / name.audio_part
    closing = read_sidecar(recordings / name.sidecar)
    _refuse_others(recordings, name, closing)
    if closing is not None and part.stat().st_size == closing.bytes:
        # Only the last rename was missing: the sidecar already speaks of these very bytes.
        return finish_files(recordings, name, closing)
    so_far = read_sidecar(recordings / name.sidecar_part)
    # What was said of a file that was being closed was not on disk yet.
    is_closing = so_far is not None and so_far.reason is not None
    is_of_this_boot = so_far is not None and so_far.boot == origin.boot
    whole = measure(part, name.extension, so_far.bytes if so_far and not is_closing else 0)
    if whole is None and part.stat().st_size > _NOTHING_MOST_BYTES:
        raise CodecError("its beginning is damaged", hint="it stays as it is; other tools may get audio out of it")
    if whole is None:
        _log.warning("%s holds no whole packet and is removed", name.audio_part)
        part.unlink()
        for left in (name.sidecar_part, name.levels_part):
            (recordings / left).unlink(missing_ok=True)
        sync_folder(part.parent)
        return None
    # After a power cut some of it may have reached the disk and some not.
    size = whole.length + whole.pad_bytes
    told = None if so_far is None else (so_far.bytes, so_far.bytes, so_far.samples)
    is_all = told == (part.stat().st_size, size, whole.samples)
    if so_far and is_closing and is_of_this_boot and is_all:
        # Written to its end, and stopped while it was made safe.
        for path in (part, recordings / name.levels_part):
            if path.exists():
                sync_file(path)
        return finish_files(recordings, name, so_far)
    with part.open("r+b") as file:
        file.truncate(whole.length)
        file.truncate(size)
        write_patches(file.fileno(), whole.patches)
        os.fsync(file.fileno())
    if so_far is None:
        _log.warning("%s has lost its sidecar; its start is taken from its name", part.name)
    known = so_far or from_name(name, whole, origin)
    levels = recordings / name.levels_part
    segment = completed(known, whole)
    sound = sound_before(known, segment, decoded_max_s - 1)
    heard = relevel(
        part,
        levels,
        CONTAINERS[name.extension],
        whole,
        decoded_max_s=decoded_max_s,
        broken_from=listed_to(known, whole) if sound is None else sound[1],
    )
    if sound is None:
        segment = with_broken(segment, heard.broken)
    elif heard.broken or heard.loudness is not None:
        segment = as_cut(known, segment, sound[0], heard.broken)
    segment = segment if so_far else as_told(segment, recordings)
    return finish_files(recordings, name, replace(segment, loudness=heard.loudness))


def _refuse_others(recordings: Path, name: SegmentName, closing: Segment | None) -> None:
    """Raises CodecError or FileExistsError where a file that would be written is a link, or finished audio's."""
    for own in (name.audio_part, name.levels_part):
        if os.path.lexists(recordings / own) and not is_plain(recordings / own):
            raise CodecError(f"{own} is no regular file")
    refuse_taken(recordings, name)
    if closing is not None and closing.container != name.extension:
        other = replace(name, extension=closing.container)
        if os.path.lexists(recordings / other.audio):
            raise CodecError(f"{other.audio} has its sidecar")


def measure(audio: Path, extension: str, safe_bytes: int = 0) -> Whole | None:
    """What of a file is whole, as Container.whole; OSError where it cannot be read, NotPlainError where it is none."""
    with open_plain(audio) as file:
        if os.fstat(file.fileno()).st_size == 0:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return CONTAINERS[extension].whole(data, safe_bytes=safe_bytes)


def completed(known: Segment, whole: Whole) -> Segment:
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
        bytes=whole.length + whole.pad_bytes,
        payload_offset=whole.payload_offset,
        priming_packets=whole.priming_packets,
        clock=replace(known.clock, map=pairs),
        gaps=tuple(_listed(known, whole, end)),
        aligned_end=False,
        reason=CloseReason.RECOVERED,
        recovered=True,
    )


def _listed(known: Segment, whole: Whole, end: datetime) -> Iterator[Gap]:
    """The entries as far as the file goes. Those of broken packets never go further than what the sidecar counts."""
    is_all = whole.format.sample_format is None and known.samples <= whole.samples
    return iter(known.gaps) if is_all else _within(known.gaps, end, whole.format.sample_rate_hz)


def _within(gaps: tuple[Gap, ...], end: datetime, sample_rate_hz: int) -> Iterator[Gap]:
    """The gaps of a file as far as it goes: of the last one not all of the silence may be there."""
    for gap in gaps:
        if gap.end is None or gap.end <= end:
            yield gap
        elif gap.start < end:
            cut_off = round((gap.end - end).total_seconds() * sample_rate_hz)
            yield replace(gap, end=end, filled_samples=max(0, gap.filled_samples - cut_off))


def from_name(name: SegmentName, whole: Whole, origin: Origin) -> Segment:
    """A segment whose sidecar was lost: the name tells when it began, the file the rest. To be `completed`."""
    start = start_of(name)
    return Segment(
        id=uuid7(to_ns(start) // 1_000_000),
        agent=origin.agent,
        source=source_of(name),
        boot=origin.boot,
        run=origin.run,
        file=replace(name, folder=home_of(name)).audio,
        container=name.extension,
        format=whole.format.plain,
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


def _remove_leftovers(recordings: Path, source: str) -> None:
    """What stands beside audio that is gone (nothing was recorded, or all is renamed), and half-written files."""
    beside = (SIDECAR + PART, LEVELS + PART)
    for suffix in (*beside, *(suffix + TEMPORARY for suffix in beside)):
        for path in (path for day in days_of(recordings, source) for path in day.glob(f"{source}_*{suffix}")):
            stem = path.name.removesuffix(suffix)
            if name_of(PurePosixPath(f"{stem}.wav")) is None:
                continue  # not ours
            if suffix in beside and any(os.path.lexists(path.with_name(f"{stem}.{kind}{PART}")) for kind in CONTAINERS):
                continue  # its audio could not be helped
            try:
                path.unlink()
            except OSError as error:
                _log.error("%s cannot be removed: %s", path, error)
