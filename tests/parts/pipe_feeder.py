"""The sound behind `pulse.PipeCard`: a program of its own, so that the tests' Python cannot disturb its pace.

Each 10 ms by an absolute schedule it writes a chunk of S16_LE frames into the FIFO. Every frame holds a
32 bit sample counter, low half in the first channel, high half in the second; further channels are silent,
and a mono card has the low half alone. With a file of bursts (a line `FIRST LAST` of counters each) the sound
is a sine of 1 kHz and -10 dBFS RMS from the first to the last counter of each, in all channels, and silence
elsewhere. After each chunk it appends one record to its log: CLOCK_MONOTONIC, CLOCK_REALTIME, the
CLOCK_MONOTONIC at which the chunk was due (all ns), and the chunk's last counter.

It reads its control file as it grows: a line `lose SECONDS` makes time and counter go on with nothing written,
as when a card's buffer overruns. SIGTERM ends it between two chunks, so that the log matches what was written.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import fcntl
import math
import os
import signal
import struct
import time
from pathlib import Path

RECORD = struct.Struct("<qqqQ")
_F_SETPIPE_SZ = 1031


def chunk_frames(rate: int) -> int:
    """Return how many frames a chunk of 10 ms has."""
    return rate // 100


def chunk_bytes(first: int, frames: int, channels: int) -> bytes:
    """Return a chunk whose first frame holds this counter."""
    words = array.array("I", ((first + i) & 0xFFFFFFFF for i in range(frames)))
    # On a little-endian machine a 32 bit word *is* the low half left and the high half right.
    if channels == 2:
        return words.tobytes()
    if channels == 1:
        return array.array("H", (word & 0xFFFF for word in words)).tobytes()
    silence = bytes(2 * (channels - 2))
    return b"".join(struct.pack("<I", word) + silence for word in words)


class Bursts:
    """Chunks of bursts; they are asked for in order."""

    def __init__(self, lines: str, rate: int, channels: int) -> None:
        self._spans = [(int(first), int(last)) for first, last in (line.split() for line in lines.splitlines())]
        peak = 10 ** (-10 / 20) * 2**0.5 * 32767
        period = rate // 1000
        self._sine = [
            struct.pack("<h", round(peak * math.sin(2 * math.pi * step / period))) * channels for step in range(period)
        ]
        self._silence = bytes(2 * channels)

    def chunk(self, first: int, frames: int) -> bytes:
        """Return the chunk whose first frame has this counter."""
        while self._spans and self._spans[0][1] < first:
            self._spans.pop(0)
        return b"".join(self._frame(counter) for counter in range(first, first + frames))

    def _frame(self, counter: int) -> bytes:
        for start, last in self._spans:
            if counter < start:
                break
            if counter <= last:
                return self._sine[counter % len(self._sine)]
        return self._silence


def _sleep_until(due_ns: int) -> bool:
    """Sleep on the schedule; False when asked to end. The blocked SIGTERM doubles as the alarm clock."""
    while True:
        left_ns = due_ns - time.monotonic_ns()
        if signal.sigtimedwait([signal.SIGTERM], max(0, left_ns) / 1e9) is not None:
            return False
        if time.monotonic_ns() >= due_ns:
            return True


def _lost_seconds(control: int) -> float:
    lines = os.read(control, 4096).decode().splitlines()
    return sum(float(line.removeprefix("lose ")) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fifo", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--ppm", type=float, required=True)
    parser.add_argument("--bursts", type=Path)
    asked = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    with contextlib.suppress(OSError):
        # A card is punctual however busy the machine is.
        os.setpriority(os.PRIO_PROCESS, 0, -15)

    frames = chunk_frames(asked.rate)
    period_ns = frames * 1e9 / (asked.rate * (1 + asked.ppm * 1e-6))
    fifo = os.open(asked.fifo, os.O_WRONLY)
    # A pipe of 64 KB would hold a third of a second: sound could be stale by that much and nobody would see.
    fcntl.fcntl(fifo, _F_SETPIPE_SZ, max(4096, 2 * frames * 2 * asked.channels))
    log = os.open(asked.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    control = os.open(asked.control, os.O_RDONLY)

    bursts = Bursts(asked.bursts.read_text(), asked.rate, asked.channels) if asked.bursts else None
    start_ns = time.monotonic_ns()
    number = 0
    quiet_until = 0
    while True:
        first = asked.first + number * frames
        chunk = bursts.chunk(first, frames) if bursts else chunk_bytes(first, frames, asked.channels)
        due_ns = start_ns + round((number + 1) * period_ns)
        if not _sleep_until(due_ns):
            return
        lost_s = _lost_seconds(control)
        if lost_s:
            quiet_until = max(number, quiet_until) + max(1, round(lost_s * 100))
        if number >= quiet_until:
            view = memoryview(chunk)
            while view:
                view = view[os.write(fifo, view) :]
            stamps = (time.monotonic_ns(), time.time_ns(), due_ns)
            os.write(log, RECORD.pack(*stamps, asked.first + (number + 1) * frames - 1))
        number += 1


if __name__ == "__main__":
    main()
