"""What the wall clock has been during one boot, until it was synchronised for the first time. Pure.

The offset of wall clock to boottime moves only when the clock is set: what slews the one slews the other. So a few
stretches tell all. Milliseconds, because everything that is written has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from agent.archive_format.times import ms_from
from agent.model import Instant

_STEP_MS = 10
_NEAR_MS = 1500
"""A step is seen at most so much later than it was made: looks are a second apart."""
_STRETCHES = 1000


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `since_ms` of boottime on the wall clock was `offset_ms` ahead of it."""

    since_ms: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class BootClock:
    """The clock of one boot. `synchronized` is the look at which the kernel said for the first time that it is right;
    the offset from then on is the true one.
    """

    boot: str
    stretches: tuple[Stretch, ...] = ()
    synchronized: Stretch | None = None

    def seen(self, now: Instant, *, synchronized: bool) -> "BootClock":
        """The same with one more look; `synchronized` where the kernel has said so for more than a moment."""
        if self.synchronized is not None:
            return self
        look = Stretch(ms_from(now.boottime_ns), ms_from(now.wall_ns - now.boottime_ns))
        known = self
        if not self.stretches or abs(look.offset_ms - self.stretches[-1].offset_ms) > _STEP_MS:
            known = replace(self, stretches=(*self.stretches, look)[-_STRETCHES:])
        return replace(known, synchronized=look) if synchronized and known is self else known

    def is_before(self, start_boottime_s: float | None) -> bool:
        """Whether a segment that began then began before the clock was synchronised for the first time."""
        at = self.synchronized
        return at is not None and start_boottime_s is not None and start_boottime_s * 1000 < at.since_ms

    def walls(self) -> Iterator[tuple[int, int]]:
        """From when until when the wall clock went, stretch by stretch: milliseconds since 1970."""
        for stretch, until_ms in self._until():
            yield stretch.since_ms + stretch.offset_ms, until_ms + stretch.offset_ms

    def boottimes(self, wall_ms: int) -> Iterator[int]:
        """When on the boottime clock the wall clock may have said this, earliest first."""
        for stretch, until_ms in self._until():
            boottime_ms = wall_ms - stretch.offset_ms
            if stretch.since_ms - _NEAR_MS <= boottime_ms <= until_ms + _NEAR_MS:
                yield boottime_ms
        at = self.synchronized
        if at is not None and wall_ms - at.offset_ms > at.since_ms + _NEAR_MS:
            yield wall_ms - at.offset_ms

    def _until(self) -> Iterator[tuple[Stretch, int]]:
        followers = [*self.stretches[1:], *([self.synchronized] if self.synchronized else self.stretches[-1:])]
        for stretch, follower in zip(self.stretches, followers, strict=True):
            yield stretch, follower.since_ms
