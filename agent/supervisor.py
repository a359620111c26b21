"""The only restart loop of the program, and the only place that sleeps: named workers, capped back-off, stop."""

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.clock import monotonic_s
from agent.errors import SourceFault

_log = logging.getLogger(__name__)


class StopSignal:
    """Set once and for good. Wakes who waits on it, and calls who has to be pulled out of a blocking call."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []

    @property
    def is_set(self) -> bool:
        """Whether it is time to end."""
        return self._event.is_set()

    def set(self) -> None:
        """It is time to end. May be called from any thread, and again."""
        with self._lock:
            self._event.set()
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the signal, at most so long; whether it is set."""
        return self._event.wait(timeout_s)

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """While this lasts, `call` is made when the signal is set (at once where it is already)."""
        with self._lock:
            late = self._event.is_set()
            if not late:
                self._calls.append(call)
        if late:
            call()
        try:
            yield
        finally:
            with self._lock:
                if call in self._calls:
                    self._calls.remove(call)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next try: doubling from `first_s` to `most_s`, each with up to 25 % of jitter.

    A run of `healthy_s` starts the count anew.
    """

    first_s: float
    most_s: float
    healthy_s: float = 60.0

    def delay_s(self, failures: int, luck: float) -> float:
        """Seconds to wait after so many failures in a row (from 0); `luck` is random in [0, 1)."""
        return float(min(self.most_s, self.first_s * 2 ** min(failures, 30)) * (1 - 0.25 * luck))


class Worker:
    """A named thread that does `work` again and again until it is stopped.

    `work` gets the stop signal, blocks as long as it has something to do, and raises when it failed: then `on_fault`
    is told what and how long the pause will be. It has to return soon after the signal is set.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[StopSignal], None],
        *,
        backoff: Backoff,
        on_fault: Callable[[Exception, float], None],
    ) -> None:
        self._work = work
        self._backoff = backoff
        self._on_fault = on_fault
        self._stop = StopSignal()
        self._poked = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stop.set()
        self._poked.set()

    def poke(self) -> None:
        """End a pause early: something has changed."""
        self._poked.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until it has ended; whether it has. One that has not is named in the log."""
        self._thread.join(max(0.0, timeout_s))
        if self._thread.is_alive():
            _log.error("the thread %s did not end in time", self._thread.name)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        failures = 0
        while not self._stop.is_set:
            began_s = monotonic_s()
            self._poked.clear()
            try:
                self._work(self._stop)
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it is: told, and tried again
                if monotonic_s() - began_s >= self._backoff.healthy_s:
                    failures = 0
                delay_s = self._backoff.delay_s(failures, random.random())  # noqa: S311 - jitter, not a secret
                if isinstance(error, SourceFault) and error.retry_within_s is not None:
                    delay_s = min(delay_s, error.retry_within_s)
                failures += 1
                self._on_fault(error, delay_s)
                if not self._stop.is_set:
                    self._poked.wait(delay_s)
