"""What an earlier run left finished."""

import json
import logging
from bisect import bisect_left
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from agent.archive_format.names import SIDECAR, SegmentName, days_of, start_of
from agent.archive_format.sidecar import segment_from
from agent.model import Segment
from agent.storage.plain import read_plain

_log = logging.getLogger(__name__)
WRONG = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What comes of a file that is no sidecar: anybody may have put it there."""
_ZONE = timedelta(days=1)
"""No time zone is further from UTC."""
_REACH_INTO = 16


def days(recordings: Path, source: str) -> list[Path]:
    """The folders of a source's days, newest first."""
    return days_of(recordings, source)[::-1]


def sidecars_in(day: Path, source: str, suffix: str = SIDECAR) -> list[Path]:
    """What has the name of a sidecar of this source in the folder of a day, in the order of the names."""
    return sorted(day.glob(f"{source}_*{suffix}"))


def read_sidecar(path: Path) -> Segment | None:
    """What a sidecar tells; None where there is none, or none of ours, which is logged. OSError where a disk fails."""
    try:
        return segment_from(json.loads(read_plain(path)))
    except FileNotFoundError:
        return None
    except WRONG as error:
        _log.warning("%s cannot be read: %s", path.name, error)
        return None


def segment_of(path: Path) -> Segment | None:
    """The same; None also where the disk does not give it."""
    try:
        return read_sidecar(path)
    except OSError as error:
        _log.warning("%s cannot be read: %s", path.name, error)
        return None


def newest_day(recordings: Path, source: str) -> Path | None:
    """The folder of a source's newest day with a finished segment."""
    return next((day for day in days(recordings, source) if sidecars_in(day, source)), None)


def last_end(recordings: Path, source: str) -> datetime | None:
    """When the newest finished segment of a source ended; None where there is none. Looks at its newest day."""
    for day in days(recordings, source):
        ends = [segment.end for path in sidecars_in(day, source) if (segment := segment_of(path)) is not None]
        if ends:
            return max(ends)
    return None


def recorded_in(recordings: Path, source: str, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Start and end of the finished segments of a source that lie in a stretch of time, by their names; of those that
    begin before it the last few are looked at, as one of them may reach into it."""
    first, last = (tuple(f"{at:%Y %m %d}".split()) for at in (begin - _ZONE, end + _ZONE))
    there = [day for day in days(recordings, source) if first <= day.parts[-3:] <= last]
    named = sorted(
        (start, path)
        for path in (path for day in there for path in sidecars_in(day, source))
        if (start := _named_start(path)) is not None and start < end
    )
    before = bisect_left(named, begin, key=lambda one: one[0])
    found = (segment_of(path) for _, path in named[max(0, before - _REACH_INTO) :])
    return [(segment.start, segment.end) for segment in found if segment is not None and segment.end > begin]


def _named_start(path: Path) -> datetime | None:
    try:
        return start_of(SegmentName(PurePosixPath(path.parent), path.stem, ""))
    except ValueError:
        return None


def newest(recordings: Path, source: str, most: int) -> list[Segment]:
    """The newest finished segments of a source, newest first, by the order of their names."""
    found: list[Segment] = []
    for day in days(recordings, source):
        paths = sidecars_in(day, source)[::-1][: most - len(found)]
        found += [segment for path in paths if (segment := segment_of(path)) is not None]
        if len(found) >= most:
            break
    return sorted(found, key=lambda segment: segment.end, reverse=True)
