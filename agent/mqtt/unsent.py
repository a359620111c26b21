"""Looks on disk for finished segments that the outbox does not know: what was closed just before a crash.

Reads names first, and of the days that matter only; a sidecar is read where its name says that it is later.
"""

import json
import logging
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path, PurePosixPath

from agent.archive_format.names import SIDECAR, SegmentName, start_of
from agent.archive_format.sidecar import segment_from
from agent.model import Segment
from agent.mqtt.drafts import segment_draft
from agent.mqtt.rows import Draft, Newest
from agent.storage.history import days, newest_day

_log = logging.getLogger(__name__)
_SOURCE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ZONES = timedelta(days=1)
"""A day's folder is named in local time, which is never further from UTC than that."""


def unsent(recordings: Path, source: str, newest: Newest | None, now_s: float, utc_now: datetime) -> Iterator[Draft]:
    """The finished segments of a source that are later than the newest known, oldest first; all where none is known.

    The newest itself is one of them where it was corrected since. A sidecar that cannot be read is named in the log.
    """
    paths = []
    for day in days(recordings, source):
        if newest is not None and _date(day) < (newest.start - _ZONES).date():
            break
        paths += [path for path in day.glob(f"*{SIDECAR}") if _may_be_later(path, newest)]
    for path in sorted(paths, key=_start_ms):
        segment = _read(path)
        if segment is None or not _is_later(segment, newest):
            continue
        try:
            yield segment_draft(segment, now_s, utc_now)
        except (ValueError, KeyError) as error:
            _log.warning("%s says what no sidecar of ours does: %s", path.name, error)


def newest_on_disk(recordings: Path) -> list[Newest]:
    """The newest finished segment of everything that was ever recorded here; the beginning of a memory."""
    folders = sorted(recordings.iterdir()) if recordings.is_dir() else []
    found = (_newest(recordings, folder.name) for folder in folders if _SOURCE.fullmatch(folder.name))
    return [newest for newest in found if newest is not None]


def _read(path: Path) -> Segment | None:
    """The segment of a sidecar; None, with a line in the log, where it cannot be read."""
    try:
        return segment_from(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s cannot be read: %s", path.name, error)
        return None


def _newest(recordings: Path, source: str) -> Newest | None:
    day = newest_day(recordings, source)
    segments = [segment for path in day.glob(f"*{SIDECAR}") if (segment := _read(path)) is not None] if day else []
    last = max(segments, default=None, key=lambda segment: segment.start)
    return None if last is None else Newest(source, last.id, last.rev, last.start)


def _is_later(segment: Segment, newest: Newest | None) -> bool:
    if newest is None or segment.start > newest.start:
        return True
    return segment.id == newest.id and segment.rev > newest.rev


def _may_be_later(path: Path, newest: Newest | None) -> bool:
    start_ms = _start_ms(path)
    return start_ms is not None and (newest is None or start_ms >= newest.start.timestamp() * 1000)


def _start_ms(path: Path) -> float:
    try:
        return start_of(SegmentName(PurePosixPath(), path.name.removesuffix(SIDECAR), "")).timestamp() * 1000
    except ValueError:
        return -1.0


def _date(day: Path) -> date:
    try:
        return date(*(int(part) for part in day.parts[-3:]))
    except ValueError:
        return date.max
