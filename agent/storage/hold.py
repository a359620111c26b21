"""How long a disk stays full that took nothing although it showed room (a quota, a file system that is out of inodes
without telling): longer each time, or recording would begin and fail again each second.
"""

from collections.abc import Callable

_FIRST_S, _MOST_S = 30.0, 300.0
_CALM_S = 600.0


class Hold:
    """`now_s` is monotonic."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._next_s = _FIRST_S
        self._until_s: float | None = None
        self._ended_s = float("-inf")

    @property
    def is_set(self) -> bool:
        """Whether the disk is full for a reason that it does not show."""
        return self._until_s is not None

    @property
    def is_over(self) -> bool:
        """Whether it can be tried again."""
        return self._until_s is None or self._now_s() >= self._until_s

    def begin(self) -> None:
        """Something could not be written."""
        if self._until_s is None and self._now_s() - self._ended_s >= _CALM_S:
            self._next_s = _FIRST_S
        self._until_s = self._now_s() + self._next_s
        self._next_s = min(_MOST_S, 2 * self._next_s)

    def end(self) -> None:
        """Something could be written again."""
        if self._until_s is not None:
            self._ended_s = self._now_s()
        self._until_s = None
