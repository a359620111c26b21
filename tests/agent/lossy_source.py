"""A source that loses units (samples of a card, packets of a stream) on purpose: what all kinds have in common."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from agent import clock
from agent.model import GapCause, RunEnded, RunStarting
from tests.agent.lossy import Rig

Make = Callable[[float], None]
Kinds = dict[str, tuple[Make, float, float]]
QUEUE_S = 30.0
_UNSAFE_S = 3.5
"""What a kill may cost: the interval of the syncs, a second more, and what was not read yet."""


@dataclass
class Injected:
    """A loss. Units from `first` to `end` are gone, or where `is_within` some of them; the others are all there.
    `begins_ns` and `ends_ns` are edges on the wall clock that are no unit's."""

    cause: GapCause
    first: int
    end: int
    is_within: bool = False
    begins_ns: int | None = None
    ends_ns: int | None = None


class LossySource(ABC):
    """`next` is the unit that is delivered next; `injected` all that was lost so far. `moved_at` are the units before
    which a clock was moved."""

    def __init__(self, rig: Rig, seed: int, units_per_s: float, stalls_after_s: float) -> None:
        self.rig, self.world = rig, rig.world
        self.random = random.Random(seed)
        self.units_per_s, self._stalls_after_s = units_per_s, stalls_after_s
        self.next = 1
        self.injected: list[Injected] = []
        self.moved_at: list[int] = []

    @abstractmethod
    def begins_ns(self, unit: int) -> int:
        """When it began to be made, in true time."""

    @abstractmethod
    def play(self, seconds: float) -> None:
        """Sound audio for so long."""

    @abstractmethod
    def begin_run(self) -> int:
        """The run delivers; its first unit."""

    @abstractmethod
    def catch_up(self) -> None:
        """All is read that there is."""

    @abstractmethod
    def kinds(self) -> Kinds:
        """Every kind of loss that it can have."""

    def settle(self) -> None:  # noqa: B027 - most hold nothing back
        """The run is over: let go of what was held back."""

    def wall_ns(self, unit: int, *, is_end: bool = False) -> int:
        """The wall clock when a unit began, or when the one before ended."""
        # What was being made when a clock was moved was read after that.
        as_of_ns = self.begins_ns(unit) - 1 if is_end else self.begins_ns(unit + 1)
        return self.world.wall_ns(self.begins_ns(unit), as_of_ns=as_of_ns)

    def start(self, within_s: float = 0.1) -> int:
        """It is started, and delivers so much later; the first unit."""
        self.rig.put(RunStarting(clock.now()))
        self.world.wait(within_s)
        return self.begin_run()

    def end(self, cause: GapCause) -> None:
        """The run ends."""
        self.settle()
        self.rig.put(RunEnded(cause, "on purpose", clock.now()))

    def common(self) -> Kinds:
        """Losses of every kind of source, with the least and the greatest length that they can have."""
        return {
            "stall": (self._stalled, self._stalls_after_s + 0.2, 60),
            "stopped": (lambda s: self._asked(GapCause.STOPPED, s), 0.02, 60),
            "scheduled": (lambda s: self._asked(GapCause.SCHEDULED, s), 0.02, 60),
            "disk full": (self._disk_full, 0.02, 60),
            "clock step ahead": (self._step, 0.02, 60),
            "clock step back": (lambda s: self._step(-s), 0.02, 60),
            "suspended": (self._suspended, 0.06, 60),  # the clocks of a box may differ by 50 ms without a sleep
            "queue overflow": (self._overflow, 0.3, 60),  # blocks are dropped whole
            "agent stopped": (self._agent_stopped, 0.02, 60),
            "agent crashed": (self._agent_crashed, 0.02, 60),
        }

    def away(self, cause: GapCause, seconds: float) -> None:
        """The run ends, and so much later the next one delivers."""
        self.catch_up()
        until_s = self.world.at_s + seconds
        self._back(cause, until_s)

    def _back(self, cause: GapCause, until_s: float) -> None:
        first = self.next
        self.end(cause)
        while self.world.at_s + 1.5 < until_s:  # tries that fail
            self.world.wait(1.0)
            self.rig.put(RunStarting(clock.now()))
            self.world.wait(0.1)
            self.rig.put(RunEnded(cause, "still", clock.now()))
        end = self.start(until_s - self.world.at_s)
        self.injected.append(Injected(cause, first, end))

    def _stalled(self, seconds: float) -> None:
        self.catch_up()
        until_s = self.world.at_s + seconds
        self.world.wait(self._stalls_after_s)
        self._back(GapCause.STALL, until_s)

    def _asked(self, cause: GapCause, seconds: float) -> None:
        """Nobody wants it for a while, and it takes its time to start."""
        self.catch_up()
        first = self.next
        self.end(cause)
        self.world.wait(seconds)
        asked_ns = clock.now().wall_ns
        self.start(self.random.uniform(0.02, 6))
        self.injected += [
            Injected(cause, first, self.next, True, ends_ns=asked_ns),
            Injected(GapCause.STARTING, first, self.next, True, begins_ns=asked_ns),
        ]

    def _disk_full(self, seconds: float) -> None:
        first = self.next
        with self.rig.full_disk():
            for _ in range(10):  # until a sync has failed
                if self.rig.line is not None:
                    self.rig.settle()
                    self.play(0.5)
            assert self.rig.line is None, "the full disk went unnoticed"
            self.play(seconds)
        self.rig.room_again()
        self.injected.append(self._within(GapCause.DISK_FULL, first, 0.5))

    def _within(self, cause: GapCause, first: int, before_s: float, end: int | None = None) -> Injected:
        return Injected(cause, max(1, first - round(before_s * self.units_per_s)), end or self.next, is_within=True)

    def _step(self, seconds: float) -> None:
        self.catch_up()
        self.moved_at.append(self.next)
        before_ns = clock.now().wall_ns
        self.world.step(seconds)
        if seconds > 0:  # else there is time twice, and none missing
            now_ns = clock.now().wall_ns
            self.injected.append(Injected(GapCause.CLOCK_STEP, self.next, self.next, False, before_ns, now_ns))

    def _suspended(self, seconds: float) -> None:
        self.catch_up()
        self.moved_at.append(self.next)
        before_ns = clock.now().wall_ns
        self.world.sleep(seconds)
        now_ns = clock.now().wall_ns
        self.injected.append(Injected(GapCause.SUSPENDED, self.next, self.next, False, before_ns, now_ns))

    def _overflow(self, seconds: float) -> None:
        first = self.next
        self.rig.hangs = True
        self.play(QUEUE_S + seconds)
        self.rig.hangs = False
        self.rig.carry()
        self.injected.append(self._within(GapCause.QUEUE_OVERFLOW, first, 1 - QUEUE_S))

    def _agent_stopped(self, seconds: float) -> None:
        self.catch_up()
        first = self.next
        self.settle()
        self.rig.stop_agent()
        self.world.wait(max(0.0, seconds - 0.1))
        self.rig.begin(GapCause.AGENT_CRASHED)
        end = self.start(min(seconds, 0.1))
        self.injected.append(Injected(GapCause.AGENT_STOPPED, first, end))

    def _agent_crashed(self, seconds: float) -> None:
        self.catch_up()
        first = self.next
        self.rig.crash()
        self.world.wait(max(0.0, seconds - 0.1))
        self.rig.begin(GapCause.AGENT_CRASHED)
        end = self.start(min(seconds, 0.1))
        self.injected.append(self._within(GapCause.AGENT_CRASHED, first, _UNSAFE_S, end))
