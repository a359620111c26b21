"""What an earlier run left finished."""

import json
import logging
from datetime import datetime
from pathlib import Path

from agent.archive_format.names import SIDECAR
from agent.archive_format.sidecar import segment_from

_log = logging.getLogger(__name__)


def last_end(recordings: Path, source: str) -> datetime | None:
    """When the newest finished segment of a source ended; None where there is none. Looks at its newest day."""
    folder = recordings / source
    for day in sorted(folder.glob("[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]"), reverse=True):
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
