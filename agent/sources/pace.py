"""How eagerly a source is read: without a pause until its clock is found, after that about four times a second.

To wake up costs more than to read. The clock of a run goes by the smallest lateness; every eighth read follows at once
on the one before, finds nothing left over and so is as prompt as can be (measured: the clock stays as good to a
millisecond or two).
"""

from agent import clock

_EAGER_S, _PAUSE_S, _PROMPT_EVERY = 5.0, 0.25, 8
_FULL_SHARE = 0.4


class Pace:
    """The reads of one run. Where what comes waits in a buffer of `buffer_s`, no pause lets that fill."""

    def __init__(self, buffer_s: float | None = None) -> None:
        self._pause_s = _PAUSE_S if buffer_s is None else min(_PAUSE_S, _FULL_SHARE * buffer_s)
        self._eager_until_s = clock.monotonic_s() + _EAGER_S
        self._reads = 0

    def pause_s(self) -> float:
        """How long to wait before the next read; asked once for each."""
        self._reads += 1
        if self._reads % _PROMPT_EVERY == 0 or clock.monotonic_s() < self._eager_until_s:
            return 0.0
        return self._pause_s
