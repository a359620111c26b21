"""A card that loses samples on purpose, read as sources/alsa.py reads it. Each sample is its own number."""

import numpy as np

from agent import clock
from agent.model import AudioFormat, Block, GapCause, RunStarted, SampleFormat
from agent.sources.overruns import OverrunCheck
from tests.agent.build import NS
from tests.agent.lossy import Rig
from tests.agent.lossy_source import Injected, Kinds, LossySource

RATE = 8000
FORMAT = AudioFormat.pcm(RATE, 1, SampleFormat.S32_LE)
YAML = (
    "{{id: mic, type: alsa, device: default, sample_rate: 8000, channels: 1, sample_format: S32_LE, format: wav, {}}}"
)
_PERIOD = RATE // 20
_PIPE_S = 0.5
_STALLS_AFTER_S = 2.0


class LossyCard(LossySource):
    """The first sample is number 1, so that a zero is a filled one."""

    def __init__(self, rig: Rig, seed: int) -> None:
        super().__init__(rig, seed, RATE, _STALLS_AFTER_S)
        self._true_rate = RATE * (1 + self.random.uniform(-100e-6, 100e-6))
        self._check = OverrunCheck(RATE, 4)
        self._reads = 0
        self._eager_until_s = 0.0

    def kinds(self) -> Kinds:
        """Every kind of loss."""
        return self.common() | {
            "overrun that is told": (lambda s: self._overrun(s, is_told=True), 0.02, 60),
            # Without a word only 50 ms and more are told from reads that are late; and 2 s of silence are a stall.
            "overrun in silence": (lambda s: self._overrun(s, is_told=False), 0.06, 1.9),
            "device lost": (lambda s: self.away(GapCause.DEVICE_LOST, s), 0.02, 60),
        }

    def begins_ns(self, unit: int) -> int:
        return round((unit - 1) / self._true_rate * NS)

    def begin_run(self) -> int:
        first = self.next = self._made()
        self.world.wait(1.2 * _PERIOD / RATE)
        self._check = OverrunCheck(RATE, 4)
        self.rig.put(RunStarted(FORMAT, clock.now()))
        self._eager_until_s, self._reads = self.world.at_s + 5, 0
        self._read(self._made())
        return first

    def play(self, seconds: float) -> None:
        until_s = self.world.at_s + seconds
        while self.world.at_s < until_s:
            self._reads += 1
            if self._reads % 8 == 0 or self.world.at_s < self._eager_until_s or self._check.checking:
                self.world.wait((self.begins_ns(self.next + _PERIOD) - self.world.at_ns) / NS)
            else:
                self.world.wait(0.25)
            self.world.wait(min(0.004, self.random.expovariate(1000)))
            self._read(self.next + (self._made() - self.next) // _PERIOD * _PERIOD)

    def catch_up(self) -> None:
        self._read(self._made())

    def settle(self) -> None:
        for item in self._check.end():
            self.rig.put(item)

    def _made(self) -> int:
        return int(self.world.at_ns * self._true_rate / NS + 1e-6) + 1

    def _read(self, until: int) -> None:
        if until > self.next:
            data = np.arange(self.next, until, dtype="<i4").tobytes()
            self.next = until
            for item in self._check.push(Block(data, clock.now())):
                self.rig.put(item)

    def _overrun(self, seconds: float, *, is_told: bool) -> None:
        self.catch_up()
        lost = round(seconds * RATE)
        if seconds <= 1.9:
            self.world.wait(seconds)
        else:  # Who reads was held up, and what fitted into the pipe is there yet.
            self.world.wait(_PIPE_S + seconds)
            self._read(self.next + round(_PIPE_S * RATE))
        first, self.next = self.next, self.next + lost
        if is_told:
            for item in self._check.reported():
                self.rig.put(item)
        self.injected.append(Injected(GapCause.OVERRUN, first, self.next))
