"""Statistics over consecutive blocks of a stream of samples, whatever the pieces in which it comes. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks `first`, `first + 1`, … ; `edges` are their borders in samples, one more than there are blocks.

    `values` holds an array of shape (channels, blocks) for each reducer.
    """

    first: int
    edges: tuple[int, ...]
    values: tuple[Values, ...]

    def __len__(self) -> int:
        return len(self.edges) - 1


class Grid:
    """Blocks whose borders are `edge(0), edge(1), …`; each is reduced by every one of `reducers`, a ufunc like np.add.

    Begins with block `block`.
    """

    def __init__(self, edge: Callable[[int], int], reducers: Sequence[np.ufunc], *, block: int = 0) -> None:
        self._edge = edge
        self._reducers = tuple(reducers)
        self._block = block
        self._position = edge(block)
        self._partial: tuple[Values, ...] | None = None

    def push(self, pieces: Sequence[Values]) -> Blocks:
        """The blocks that the next samples complete; `pieces` has one array of shape (channels, n) for each reducer."""
        start, end = self._position, self._position + pieces[0].shape[1]
        first, block, edges = self._block, self._block, [self._edge(self._block)]
        while (edge := self._edge(block + 1)) <= end:
            edges.append(edge)
            block += 1
        self._block, self._position = block, end
        cuts = [max(0, edge - start) for edge in edges if edge < end]
        if end == start:
            return Blocks(first, tuple(edges), tuple(piece[:, :0] for piece in pieces))
        values = [reduce.reduceat(piece, cuts, axis=1) for reduce, piece in zip(self._reducers, pieces, strict=True)]
        if self._partial is not None:
            for reduce, value, before in zip(self._reducers, values, self._partial, strict=True):
                value[:, 0] = reduce(before, value[:, 0])
        complete = len(edges) - 1
        self._partial = tuple(value[:, -1] for value in values) if len(cuts) > complete else None
        return Blocks(first, tuple(edges), tuple(value[:, :complete] for value in values))

    def finish(self) -> Blocks:
        """The last block, cut short where the samples ended; there may be none."""
        first, begin = self._block, self._edge(self._block)
        if self._partial is None or self._position <= begin:
            return Blocks(first, (begin,), ())
        values = tuple(value[:, None] for value in self._partial)
        self._partial = None
        return Blocks(first, (begin, self._position), values)
