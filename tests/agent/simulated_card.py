"""A sound card and its reader on simulated clocks: which samples are read when, and when they were truly made. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from agent.model import AudioFormat, Frame, Instant, SampleFormat
from tests.agent.build import EPOCH_NS, NS

RATE = 8000
FORMAT = AudioFormat.pcm(RATE, 1, SampleFormat.S32_LE)
_PERIOD = RATE // 20
"""The card hands over 50 ms at a time, as with our options for arecord."""
_BOOT_NS = 1000 * NS

Span = tuple[float, float]
Numbers = np.ndarray[tuple[int], np.dtype[np.uint32]]


@dataclass
class Card:
    """A card that is off by `ppm`. Each sample is its own number. Times are seconds of monotonic since the beginning.

    It is read as sources/pace.py has it, late by up to `jitter_s`. Lists of (when, how long): `stalls` in which nothing
    is read, and everything at once behind them; `losses` of what was made then; `sleeps` of the box at that moment;
    `steps` of the wall clock.
    """

    ppm: float = 0.0
    seed: int = 0
    jitter_s: float = 0.004
    start_ns: int = EPOCH_NS
    stalls: tuple[Span, ...] = ()
    losses: tuple[Span, ...] = ()
    sleeps: tuple[Span, ...] = ()
    steps: tuple[Span, ...] = ()
    made: int = field(default=0, init=False)

    def made_ns(self, sample: int) -> int:
        """The wall clock, as it was set then, at which the card has made so many samples."""
        return self.instant(sample / self.rate).wall_ns

    def instant(self, seconds: float) -> Instant:
        """That moment on all three clocks."""
        since_ns = round(seconds * NS)
        slept_ns = round(sum(length for when, length in self.sleeps if when <= seconds) * NS)
        set_ns = round(sum(length for when, length in self.steps if when <= seconds) * NS)
        boottime_ns = since_ns + slept_ns
        return Instant(self.start_ns + boottime_ns + set_ns, _BOOT_NS + boottime_ns, _BOOT_NS + since_ns)

    def frames(self, seconds: float) -> Iterator[Frame]:
        """What is read in so many seconds."""
        rng = random.Random(self.seed)
        now_s, reads = 0.0, 0
        while now_s < seconds:
            reads += 1
            if reads % 8 == 0 or now_s < 5:
                now_s = (self.made // _PERIOD + 1) * _PERIOD / self.rate  # it waits for what comes next
            else:
                now_s += 0.25
            if self.jitter_s:
                now_s += min(rng.expovariate(4 / self.jitter_s), self.jitter_s)
            now_s = next((when + length for when, length in self.stalls if when <= now_s < when + length), now_s)
            there = int(now_s * self.rate + 1e-6) // _PERIOD * _PERIOD
            samples = self._kept(np.arange(self.made, max(self.made, there), dtype="<u4"))
            self.made = max(self.made, there)
            if len(samples):
                yield Frame(samples.tobytes(), len(samples), FORMAT, self.instant(now_s))

    def delivered(self) -> Numbers:
        """All that has reached the reader."""
        return self._kept(np.arange(self.made, dtype="<u4"))

    @property
    def rate(self) -> float:
        """Samples in a second of monotonic time."""
        return RATE * (1 + self.ppm * 1e-6)

    def _kept(self, samples: Numbers) -> Numbers:
        for when, length in self.losses:
            samples = samples[(samples < when * self.rate) | (samples >= (when + length) * self.rate)]
        return samples
