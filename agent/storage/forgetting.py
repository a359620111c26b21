"""Forgets what is left of audio that is long gone: sidecars, level series, lines of the gap ledger.

Only where `ledger_max_age` says so; without it they are kept for ever.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from agent.archive_format.names import AUDIO_SUFFIXES, SIDECAR, SegmentName, start_of
from agent.errors import StorageError
from agent.retention import Rules
from agent.storage.beneath import NotOursError, folder_beneath, names_in
from agent.storage.forgotten import note_forgotten
from agent.storage.removal import forget, relic, remove_empty_folders
from agent.storage.stock import day_folders

_log = logging.getLogger(__name__)
_SETTLED = timedelta(days=2)
"""In the folder of a day that is no longer past, a file may be about to be made."""
_FIRST = datetime(2, 1, 1, tzinfo=UTC)
"""Days before it count as this one: a little can be taken off it."""


def forget_old(
    recordings: Path, rules: Rules, now: datetime, forget_gaps: Callable[[str, datetime], bool]
) -> Iterator[None]:
    """Forget what the rules say, a folder or a file a step. Raises OSError where the disk fails. `forget_gaps` does so
    in the ledger of a source, where it may; whether there was anything. What it raises is raised at the end: the other
    ledgers have their turn."""
    sources: set[str] = set()
    for day in list(day_folders(recordings)):
        age_s = rules.of(day.parts[0]).ledger_max_age_s
        if age_s is None:
            continue
        before = now - timedelta(seconds=age_s)
        sources.add(day.parts[0])
        if _begins(day) - timedelta(days=1) >= before:
            continue
        yield
        for stem in _relics(recordings, day, before):
            try:
                note_forgotten(recordings / day.parts[0], before)
                forget(recordings, day, stem)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one: the others are forgotten
                _log.debug("%s is not forgotten: %s", stem, error)
            yield
        if _begins(day) < now - _SETTLED:
            remove_empty_folders(recordings, day)
    faults: list[OSError | StorageError] = []
    for source in sorted(sources):
        age_s = rules.of(source).ledger_max_age_s
        try:
            if age_s is not None and forget_gaps(source, now - timedelta(seconds=age_s)):
                _log.info("%s: gaps that ended more than %.0f s ago are forgotten", source, age_s)
        except (OSError, StorageError) as error:
            faults.append(error)
        yield
    if faults:
        raise faults[0]


def _relics(recordings: Path, day: PurePosixPath, before: datetime) -> list[str]:
    """Sidecars without audio that are older than that."""
    try:
        with folder_beneath(recordings, day) as folder:
            names = names_in(folder)
    except NotOursError:
        return []
    stems = [name.removesuffix(SIDECAR) for name in sorted(names) if name.endswith(SIDECAR)]
    return [
        stem
        for stem in stems
        if not any(stem + suffix in names for suffix in AUDIO_SUFFIXES) and _is_older(recordings, day, stem, before)
    ]


def _is_older(recordings: Path, day: PurePosixPath, stem: str, before: datetime) -> bool:
    """By its name, and where that says so by its sidecar: a clock that was wrong is corrected there alone."""
    try:
        if start_of(SegmentName(day, stem, "")) >= before:
            return False
        with folder_beneath(recordings, day) as folder:
            segment = relic(folder, day, stem)
    except (ValueError, NotOursError):
        return False
    return segment is not None and segment.end < before


def _begins(day: PurePosixPath) -> datetime:
    try:
        year, month, date = (int(part) for part in day.parts[-3:])
        return max(datetime(year, month, date, tzinfo=UTC), _FIRST)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
