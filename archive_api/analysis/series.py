"""Finds the level series of a recording: beside it, or in the store, or that there is none yet."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.archive_format.levels import Rows, load_levels, row_start
from agent.archive_format.names import LEVELS, PART
from archive_api.analysis.store import LevelStore, key_of
from archive_api.answers.problem import Problem, not_found
from archive_api.recordings.audio import Found, find_audio
from archive_api.recordings.opening import open_folder, open_inner_file, read_file
from archive_api.recordings.paths import Parts, extension_of
from archive_api.recordings.scan import sidecar_of

_SIDECAR_MOST_BYTES = 16 << 20
_LEVELS_MOST_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Series:
    """The rows of a recording; `name` is the path of its audio, `samples` how long it is."""

    name: str
    rows: Rows
    sample_rate_hz: int
    samples: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Audio without series, open, and the key that its series will have in the store."""

    name: str
    key: str
    descriptor: int


def find_series(root: Path, store: LevelStore, parts: Parts) -> Series | Missing:
    """The series of a recording, or its audio, whose descriptor is the caller's then.

    Raises Problem 404 (nothing there), 503 (being recorded, and not measured yet); OSError.
    """
    if extension_of(parts[-1]) is None:
        raise not_found()
    found = find_audio(root, parts)
    series: Series | None = None
    try:
        series = _beside(root, found) or (None if found.is_open else _stored(store, found))
        if series is None and found.is_open:
            detail = "This recording has no levels yet; ask again in a second."
            raise Problem(503, detail, headers={"retry-after": "1"})
        if series is not None:
            return series
        return Missing(found.name, key_of(found.name, os.fstat(found.descriptor)), os.dup(found.descriptor))
    finally:
        os.close(found.descriptor)


def _beside(root: Path, found: Found) -> Series | None:
    """The series that was written with the audio; its sidecar knows the sample rate."""
    name, part = found.parts[-1], PART if found.is_open else ""
    stem = name.rpartition(".")[0]
    with open_folder(root, found.parts[:-1]) as folder:
        known = _sidecar(folder, sidecar_of(name) + part, name)
        descriptor = open_inner_file(folder, f"{stem}{LEVELS}{part}")
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if known is None or os.fstat(descriptor).st_size > _LEVELS_MOST_BYTES:
            return None
        try:
            rows = load_levels(file)
        except ValueError:
            return None
    rate, samples = known
    if not found.is_open and row_start(len(rows), rate) < samples:
        return None  # it does not reach the end of its audio: that is measured instead
    return Series(found.name + part, rows, rate, row_start(len(rows), rate) if found.is_open else samples)


def _stored(store: LevelStore, found: Found) -> Series | None:
    kept = store.find(key_of(found.name, os.fstat(found.descriptor)))
    if kept is None:
        return None
    try:
        with kept.path.open("rb") as file:
            return Series(found.name, load_levels(file), kept.sample_rate_hz, kept.samples)
    except ValueError:  # damaged: measured anew
        kept.path.unlink(missing_ok=True)
        return None


def _sidecar(folder: int, name: str, audio: str) -> tuple[int, int] | None:
    """Sample rate and length, of a sidecar that speaks of this audio."""
    found = read_file(folder, name, _SIDECAR_MOST_BYTES)
    try:
        fields: Any = json.loads(found[0]) if found else {}
        rate, samples = int(fields["sample_rate_hz"]), int(fields["samples"])
        is_of_it = str(fields["file"]).rpartition("/")[2] == audio
        return (rate, samples) if is_of_it and rate > 0 and samples >= 0 else None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
