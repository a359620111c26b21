"""Samples that stand at full scale in a row: the converter had no more to give. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_IN_A_ROW = 3


class Clipping:
    """Counts clipped samples of a stream, whatever the pieces in which it comes. `limit` is full scale."""

    def __init__(self, channels: int, limit: float) -> None:
        self._limit = limit
        self._running = np.zeros(channels, np.int64)

    def push(self, samples: NDArray[Any]) -> NDArray[np.int64]:
        """At each of n samples, how many more are known to be clipped, of all channels together; shape (1, n)."""
        counts = np.zeros((1, samples.shape[1]), np.int64)
        if not samples.size or not float(np.fmax.reduce(np.abs(samples), axis=None)) >= self._limit:
            self._running[:] = 0
            return counts
        for number, row in enumerate(samples):
            self._channel(number, np.abs(row) >= self._limit, counts[0])
        return counts

    def _channel(self, number: int, full: NDArray[np.bool_], counts: NDArray[np.int64]) -> None:
        edges = np.flatnonzero(np.diff(np.concatenate(([False], full, [False])).astype(np.int8)))
        before = int(self._running[number])
        self._running[number] = 0
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            length = int(end - start)
            earlier = before if start == 0 else 0
            whole = earlier + length
            if whole >= LEAST_IN_A_ROW:
                # What was too short before and is long enough now counts from its first sample.
                counts[start:end] += 1
                counts[start] += earlier if earlier < LEAST_IN_A_ROW else 0
            if end == len(full):
                self._running[number] = whole
