"""Makes the level series of a salvaged segment fit its audio: rows too many go, rows that are missing are decoded."""

import logging
from pathlib import Path

import numpy as np

from agent.archive_format.levels import Rows, header, load_levels, loudness, row_start, row_type
from agent.codecs.base import Container, Whole
from agent.errors import CodecError
from agent.loudness.rows import RowMaker
from agent.model import Loudness
from agent.storage.files import write_whole
from agent.storage.plain import open_plain

_log = logging.getLogger(__name__)
DECODED_MAX_S = 60.0
"""More is not decoded at start-up: recording waits for it. The archive decodes such a file when it is looked at."""


def relevel(
    audio: Path, levels: Path, container: Container, whole: Whole, *, decoded_max_s: float = DECODED_MAX_S
) -> Loudness | None:
    """Write the series of `audio` at `levels`, where a part of it may be; the loudness of the file.

    None, and no series, where more than `decoded_max_s` would have to be decoded, or nothing can be. OSError where the
    disk fails.
    """
    known = _known(levels, whole)
    first = row_start(len(known), whole.format.sample_rate_hz)
    try:
        if (whole.samples - first) / whole.format.sample_rate_hz > decoded_max_s:
            raise CodecError(f"more than {decoded_max_s:.0f} s of it are missing")
        rows = np.concatenate([known, *_decoded(audio, container, whole, first, len(known))])
    except CodecError as error:
        _log.warning("%s: no level series: %s", audio.name, error)
        levels.unlink(missing_ok=True)
        return None
    write_whole(levels, header(whole.format.channels, len(rows)) + rows.tobytes())
    return loudness(rows, whole.samples)


def _known(levels: Path, whole: Whole) -> Rows:
    """The rows so far that the audio covers in full."""
    none = np.zeros(0, row_type(whole.format.channels))
    try:
        with open_plain(levels) as file:
            rows = load_levels(file)
    except (OSError, ValueError):
        return none
    rate = whole.format.sample_rate_hz
    starts = np.array([row_start(row, rate) for row in range(len(rows) + 1)])
    covered = int((starts[1:] <= whole.samples).sum())
    is_ours = rows.dtype == none.dtype and bool((rows["sample"] == starts[:-1]).all())
    return rows[:covered] if is_ours else none


def _decoded(audio: Path, container: Container, whole: Whole, first: int, row: int) -> list[Rows]:
    maker = RowMaker(whole.format.sample_rate_hz, whole.format.channels, row=row)
    with audio.open("rb") as file:
        rows = [maker.push(samples) for samples in container.decoded(file, whole, first)]
    return [*rows, maker.finish()]
