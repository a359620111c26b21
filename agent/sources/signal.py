"""`type: test`: a signal made by ourselves, in real time, so that the product can be seen without a sound card."""

import numpy as np
import numpy.typing as npt

from agent import clock
from agent.config import TestSettings
from agent.model import AudioFormat, Block, RunStarted, SampleFormat
from agent.sources.base import Emit
from agent.supervisor import Backoff, StopSignal

BLOCK_S = 0.05
_TONE_HZ = 440.0


class SignalSource:
    """Blocks of 50 ms on an absolute schedule of the monotonic clock."""

    backoff = Backoff(first_s=0.5, most_s=30.0)

    def __init__(self, settings: TestSettings) -> None:
        self._settings = settings

    def run(self, emit: Emit, stop: StopSignal) -> None:
        """Make the signal until stopped; each block comes when its last sample is due."""
        settings = self._settings
        block = round(settings.sample_rate_hz * BLOCK_S)
        began_s = clock.monotonic_s()
        number = 0
        emit(
            RunStarted(AudioFormat.pcm(settings.sample_rate_hz, settings.channels, settings.sample_format), clock.now())
        )
        while True:
            due_s = began_s + (number + 1) * block / settings.sample_rate_hz
            if stop.wait(max(0.0, due_s - clock.monotonic_s())):
                return
            signal = make_signal(settings.signal, number * block, block, settings.sample_rate_hz)
            emit(Block(encode(signal, settings.channels, settings.sample_format), clock.now()))
            number += 1


def make_signal(kind: str, first: int, count: int, sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Samples `first` to `first + count` of a signal, full scale ±1; the same numbers for the same arguments.

    `bursts` is like speech from afar: four seconds of faint noise (-60 dBFS), then one second of a wavering chord at
    about -15 dBFS.
    """
    at_s = np.arange(first, first + count) / sample_rate_hz
    noise = np.random.default_rng(first).standard_normal(count)
    if kind == "silence":
        return np.zeros(count)
    if kind == "noise":
        return noise * 0.1
    if kind == "tone":
        return 0.1 * np.sin(2 * np.pi * _TONE_HZ * at_s)
    phase_s = at_s % 5.0 - 4.0
    envelope = np.where(phase_s >= 0, np.sin(np.pi * np.clip(phase_s, 0, 1)) ** 2, 0.0)
    chord = sum(np.sin(2 * np.pi * _TONE_HZ * factor * at_s) / factor for factor in (0.5, 1.0, 1.5))
    return np.clip(noise * 0.001 + 0.12 * envelope * (1 + 0.5 * np.sin(2 * np.pi * 4 * at_s)) * chord, -1, 1)


def encode(signal: npt.NDArray[np.float64], channels: int, layout: SampleFormat) -> bytes:
    """The signal on every channel, interleaved, in a PCM layout."""
    spread = np.repeat(signal[:, np.newaxis], channels, axis=1)
    if layout is SampleFormat.FLOAT_LE:
        return bytes(spread.astype("<f4"))
    scaled = np.round(spread * (2 ** (layout.bits - 1) - 1))
    if layout is SampleFormat.S16_LE:
        return bytes(scaled.astype("<i2"))
    whole = scaled.astype("<i4")
    if layout is SampleFormat.S24_3LE:
        return bytes(np.ascontiguousarray(whole.view(np.uint8).reshape(-1, 4)[:, :3]))
    return bytes(whole)
