"""Up to when sidecars and ledger of a source have been forgotten, so that what is gone is not taken for lost."""

import json
from datetime import datetime
from pathlib import Path

from agent.archive_format.names import FORGOTTEN
from agent.archive_format.sidecar import encode
from agent.archive_format.times import parse, rfc3339
from agent.storage.files import sync_folder, write_whole
from agent.storage.plain import read_plain


def forgotten_before(folder: Path) -> datetime | None:
    """What ended before that in the folder of a source may have been forgotten; None where nothing has been, or nobody
    knows."""
    try:
        return parse(json.loads(read_plain(folder / FORGOTTEN))["before"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def note_forgotten(folder: Path, before: datetime) -> None:
    """Write down, durably, that what ended before that is going to be forgotten. OSError where the disk fails."""
    known = forgotten_before(folder)
    if known is None or known < before:
        write_whole(folder / FORGOTTEN, encode({"v": 1, "before": rfc3339(before)}))
        sync_folder(folder)
