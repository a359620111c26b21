"""Levels over a second, over ten: energy and peak of the rows of the level series gathered up. Pure."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.archive_format.levels import power_dbfs
from agent.archive_format.times import from_ns
from agent.model import Level

Values = NDArray[Any]


class Row(NamedTuple):
    """A row of the level series: energy (sum of squares) by channel, largest absolute sample, clipped ones, length, and
    how much of that was heard."""

    energy: Values
    peak: float
    clipped: int
    samples: int
    heard: int


class Window:
    """Gathers rows until they make `window_s`; the one that does completes a Level."""

    def __init__(self, source: str, channels: int, sample_rate_hz: int, window_s: float, *, slow: bool = False) -> None:
        self._source, self._rate, self._slow = source, sample_rate_hz, slow
        self._wanted = round(window_s * sample_rate_hz)
        self._energy = np.zeros(channels)
        self._peak = 0.0
        self._samples = self._heard = self._clipped = 0

    def add(self, row: Row) -> None:
        """One row more."""
        self._energy += row.energy
        self._peak = max(self._peak, row.peak)
        self._clipped += row.clipped
        self._samples += row.samples
        self._heard += row.heard

    def take(self, end_ns: int) -> Level | None:
        """The level, where the window is full with the row that ended at `end_ns`; the next window begins then.

        None, too, where nothing was heard in it.
        """
        if self._samples < self._wanted:
            return None
        level = self._level(end_ns) if self._heard else None
        self._energy[:] = 0.0
        self._peak, self._samples, self._heard, self._clipped = 0.0, 0, 0, 0
        return level

    def _level(self, end_ns: int) -> Level:
        rms_dbfs = power_dbfs(float(self._energy.max()) / self._heard)
        return Level(
            self._source,
            from_ns(end_ns),
            round(self._samples / self._rate, 3),
            rms_dbfs,
            power_dbfs(self._peak**2),
            self._clipped,
            silent=self._peak == 0.0,
            slow=self._slow,
        )
