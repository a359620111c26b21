"""Makes the level series of a salvaged segment fit its audio: rows too many go, rows that are missing are decoded.

Whoever decodes sees which packets are broken, so that is told too.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.archive_format.levels import Rows, header, load_levels, loudness, row_start, row_type
from agent.codecs.base import Container, Whole
from agent.codecs.decoding import Broken, Span, in_runs
from agent.errors import CodecError
from agent.loudness.rows import RowMaker
from agent.model import Loudness
from agent.storage.files import write_whole
from agent.storage.plain import open_plain

_log = logging.getLogger(__name__)
DECODED_MAX_S = 60.0
"""More is not decoded at start-up: recording waits for it. The archive decodes such a file when it is looked at."""
_ROWS_S = 0.2
"""So much before what is asked for the rows may begin."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was made of a file: its loudness, None where there is no series, and the broken packets."""

    loudness: Loudness | None
    broken: tuple[Broken, ...] = ()


def relevel(
    audio: Path,
    levels: Path,
    container: Container,
    whole: Whole,
    *,
    decoded_max_s: float = DECODED_MAX_S,
    broken_from: int | None = None,
) -> Measured:
    """Write the series of `audio` at `levels`, where a part of it may be; the loudness of the file, and its broken
    packets from sample `broken_from` on, where that is given.

    No loudness and no series where more than `decoded_max_s` would have to be decoded, or nothing can be. Where it is
    more for the packets alone, only those among the missing rows are told. OSError where the disk fails.
    """
    rate_hz = whole.format.sample_rate_hz
    known = _known(levels, whole)
    if broken_from is not None and (whole.samples - broken_from) / rate_hz <= decoded_max_s - _ROWS_S:
        known = known[: max(0, broken_from * 10 // rate_hz - 1)]
    first = row_start(len(known), rate_hz)
    broken: list[Span] = []
    try:
        if (whole.samples - first) / rate_hz > decoded_max_s:
            raise CodecError(f"more than {decoded_max_s:.0f} s of it are missing")
        rows = np.concatenate([known, *_decoded(audio, container, whole, first, len(known), broken)])
    except CodecError as error:
        _log.warning("%s: no level series: %s", audio.name, error)
        levels.unlink(missing_ok=True)
        return Measured(None)
    write_whole(levels, header(whole.format.channels, len(rows)) + rows.tobytes())
    wanted = () if broken_from is None else (span for span in broken if span[0] >= broken_from)
    return Measured(loudness(rows, whole.samples), tuple(in_runs(wanted)))


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


def _decoded(audio: Path, container: Container, whole: Whole, first: int, row: int, broken: list[Span]) -> list[Rows]:
    maker = RowMaker(whole.format.sample_rate_hz, whole.format.channels, row=row)
    with audio.open("rb") as file:
        rows = [maker.push(samples) for samples in container.decoded(file, whole, first, broken)]
    return [*rows, maker.finish()]
