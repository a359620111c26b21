"""Looks for a better address while a worse one is recorded from, so that the way back costs no audio."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

from agent import clock
from agent.errors import SourceFault
from agent.outages import OutageLog
from agent.supervisor import Backoff, StopSignal, Worker

_log = logging.getLogger(__name__)
_AT_ONCE = Backoff(0.0, 0.0)


class Closable(Protocol):
    """What is found."""

    def close(self) -> None:
        """Nobody wants it."""
        ...


T = TypeVar("T", bound=Closable)


class WayBack(Generic[T]):
    """While it is entered, `look` is called every `every_s` in a thread of its own, until it finds something; never
    where that is not `needed`.

    `look` raises SourceFault where there is nothing yet. What was found and never taken is closed in the end.
    """

    def __init__(self, name: str, look: Callable[[StopSignal], T], every_s: float, *, needed: bool) -> None:
        self._look, self._every_s, self._needed = look, every_s, needed
        self._lock = threading.Lock()
        self._found: T | None = None
        self._over = False
        self._outage = OutageLog(_log, name)
        self._worker = Worker(f"back-{name}", self._work, backoff=_AT_ONCE, on_fault=self._failed)

    @property
    def has_found(self) -> bool:
        """Whether there is something to take."""
        return self._found is not None

    def take(self) -> T | None:
        """What was found, once; None where nothing was."""
        with self._lock:
            found, self._found = self._found, None
            return found

    def _work(self, stop: StopSignal) -> None:
        if self._over or stop.wait(self._every_s):
            return
        found = self._look(stop)
        if not self._keep(found):
            found.close()

    def _keep(self, found: T) -> bool:
        """Whether there is still somebody to take it."""
        with self._lock:
            if self._over:
                return False
            self._found, self._over = found, True
            self._worker.stop()
            return True

    def _failed(self, error: Exception, _delay_s: float) -> None:
        if not isinstance(error, SourceFault):
            _log.error("a look for a better address failed", exc_info=error)
        self._outage.fault(f"not back yet: {error}", clock.monotonic_s())

    def __enter__(self) -> Self:
        if self._needed:
            self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Not joined: a connection that is being made cannot be broken off, and the audio would wait for it.
        with self._lock:
            self._over = True
            found, self._found = self._found, None
        self._worker.stop()
        if found is not None:
            found.close()
