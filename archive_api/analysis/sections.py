"""A waveform of few values, and the sections at or above a threshold, out of a level series. Pure."""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from agent.archive_format.levels import ROWS_PER_S, Rows, lengths, row_start

VALUES_MOST = 4000
JOINED_ROWS = 3
"""A drop of so many rows (0.3 s) or fewer does not end a section."""
_FULL_SCALE = 32768.0


class Section(TypedDict):
    """Seconds from the start of the file; `peak` is the largest sample in it, 0…1."""

    start: float
    end: float
    peak: float


def waveform(rows: Rows, samples: int) -> tuple[list[float], float]:
    """RMS 0…1 of the loudest channel, at most VALUES_MOST values, and the seconds that each of them covers.

    Rows are grouped by their energy, so that a group's value is the RMS over all of its samples. `samples` is the
    length of the file.
    """
    group = max(1, -(-len(rows) // VALUES_MOST))
    starts = np.arange(0, len(rows), group)
    if not len(starts):
        return [], 1 / ROWS_PER_S
    weights = lengths(rows, samples).astype(np.float64)
    energy = np.add.reduceat(_mean_squares(rows) * weights[:, None], starts, axis=0)
    power = energy / np.maximum(np.add.reduceat(weights, starts), 1)[:, None]
    return [round(float(value), 6) for value in np.sqrt(power.max(axis=1))], group / ROWS_PER_S


def sections(rows: Rows, samples: int, sample_rate_hz: int, threshold: float) -> list[Section]:
    """Runs of rows of which one channel has an RMS (0…1) of at least `threshold`, in order."""
    is_loud = np.sqrt(_mean_squares(rows).max(axis=1, initial=0)) >= threshold
    loud = np.flatnonzero(is_loud)
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > JOINED_ROWS + 1)
    firsts = loud[np.concatenate(([0], breaks + 1))]
    lasts = loud[np.concatenate((breaks, [len(loud) - 1]))]
    peaks = _peaks(rows)
    return [
        {
            "start": round(row_start(first, sample_rate_hz) / sample_rate_hz, 3),
            "end": round(min(row_start(last + 1, sample_rate_hz), samples) / sample_rate_hz, 3),
            "peak": round(float(peaks[first : last + 1].max()), 6),
        }
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    ]


def _mean_squares(rows: Rows) -> NDArray[np.float64]:
    """Per row and channel; what could not be decoded counts as silence."""
    found: NDArray[np.float64] = np.nan_to_num(rows["mean_square"].astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
    return np.maximum(found, 0.0)


def _peaks(rows: Rows) -> NDArray[np.float64]:
    low, high = rows["min"].astype(np.int64), rows["max"].astype(np.int64)
    peaks: NDArray[np.float64] = np.maximum(np.abs(low), np.abs(high)).max(axis=1, initial=0) / _FULL_SCALE
    return peaks
