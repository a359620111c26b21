"""Rows of the level series out of samples. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.archive_format.levels import Rows, row_start, row_type
from agent.codecs.decoding import Samples
from agent.loudness.grid import Blocks, Grid

Values = NDArray[Any]


def row_grid(sample_rate_hz: int, *, row: int = 0, more: tuple[np.ufunc, ...] = ()) -> Grid:
    """The blocks of a level series from `row` on; to be fed with `row_pieces`, and with whatever `more` reduces."""
    return Grid(lambda block: row_start(block, sample_rate_hz), (np.fmin, np.fmax, np.add, *more), block=row)


def row_pieces(samples: Samples, squares: Values) -> tuple[Values, Values, Values]:
    """What a row grid reduces."""
    return samples, samples, squares


def rows_of(blocks: Blocks, channels: int) -> Rows:
    """The rows that a row grid has completed."""
    rows = np.zeros(len(blocks), row_type(channels))
    if len(blocks):
        low, high, energy = blocks.values[:3]
        edges = np.array(blocks.edges)
        rows["sample"] = edges[:-1]
        rows["min"] = _int16(low).T
        rows["max"] = _int16(high).T
        rows["mean_square"] = (energy / (edges[1:] - edges[:-1])).T
        rows["lufs_m"] = rows["la_db"] = np.nan
    return rows


def known(values: Values) -> Values:
    """The values, with 0 in place of NaN."""
    return np.nan_to_num(values) if np.isnan(values.sum()) else values


def _int16(values: Values) -> Values:
    """On the scale of int16; what was not measured is 0."""
    return np.clip(np.rint(known(values) * 32768.0), -32768, 32767).astype(np.int16)


class RowMaker:
    """The series of a whole file, from row `row` on, from its samples in pieces of any length."""

    def __init__(self, sample_rate_hz: int, channels: int, *, row: int = 0) -> None:
        self._channels = channels
        self._grid = row_grid(sample_rate_hz, row=row)

    def push(self, samples: Samples) -> Rows:
        """The rows that these samples, of shape (channels, n), complete."""
        pieces = row_pieces(samples, np.square(samples, dtype=np.float64))
        return rows_of(self._grid.push(pieces), self._channels)

    def finish(self) -> Rows:
        """The last row, which may be shorter; none where nothing is left."""
        return rows_of(self._grid.finish(), self._channels)
