"""What an earlier run left finished."""

import json
import logging
from datetime import datetime
from pathlib import Path

from agent.archive_format.names import SIDECAR
from agent.archive_format.sidecar import segment_from

_log = logging.getLogger(__name__)


def days(recordings: Path, source: str) -> list[Path]:
    """The folders of a source's days, newest first."""
    return sorted((recordings / source).glob("[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]"), reverse=True)


def newest_day(recordings: Path, source: str) -> Path | None:
    """The folder of a source's newest day with a finished segment."""
    return next((day for day in days(recordings, source) if any(day.glob(f"*{SIDECAR}"))), None)


def last_end(recordings: Path, source: str) -> datetime | None:
    """When the newest finished segment of a source ended; None where there is none. Looks at its newest day."""
    for day in days(recordings, source):
        ends = [end for path in day.glob(f"*{SIDECAR}") if (end := _end(path)) is not None]
        if ends:
            return max(ends)
    return None


def _end(path: Path) -> datetime | None:
    try:
        return segment_from(json.loads(path.read_bytes())).end
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s cannot be read: %s", path.name, error)
        return None
