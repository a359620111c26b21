"""A sound card for the real arecord: a real PulseAudio whose source is a FIFO under the test's control."""

from __future__ import annotations

import bisect
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tests.parts import pipe_feeder
from tests.parts.process import Part, program
from tests.parts.waiting import wait_until


class Written(NamedTuple):
    """One chunk of 10 ms: when it was written, when it was due, and the counter of its last sample."""

    mono_ns: int
    wall_ns: int
    due_mono_ns: int
    last_counter: int


def counters(samples: NDArray[np.int16]) -> NDArray[np.uint32]:
    """Turn recorded frames (n, channels) back into sample counters; 0 stands for silence.

    Compare neighbours with `np.diff(c.astype(np.int64))`: 1 everywhere means nothing lost and nothing doubled.
    """
    halves = samples[:, :2].astype(np.uint16).astype(np.uint32)
    low = halves[:, 0]
    return low if halves.shape[1] == 1 else low | halves[:, 1] << np.uint32(16)


class Feeder:
    """The program that makes the sound, and its log: which sample was made when.

    Times of samples are the times at which they *end*: the last sample of a chunk ends when the chunk is
    written. "Due" times are those of the absolute schedule, free of the scheduler's lateness: the better truth
    for a test of accuracy, as a real card's samples do not wait for a busy processor.
    """

    def __init__(
        self,
        fifo: Path,
        folder: Path,
        *,
        rate: int,
        channels: int,
        first: int,
        ppm: float,
        bursts: Sequence[tuple[int, int]] = (),
    ) -> None:
        if first < 1:
            raise ValueError("the counter starts at 1 or later: 0 is silence")
        folder.mkdir(parents=True)
        self.first = first
        self._frames = pipe_feeder.chunk_frames(rate)
        self._sample_ns = 1e9 / (rate * (1 + ppm * 1e-6))
        self._log_file = folder / "log.bin"
        self._control = folder / "control"
        self._control.touch()
        self._entries: list[Written] = []
        self._lasts: list[int] = []
        options = {
            "--fifo": fifo,
            "--log": self._log_file,
            "--control": self._control,
            "--rate": rate,
            "--channels": channels,
            "--first": first,
            "--ppm": ppm,
        }
        if bursts:
            options["--bursts"] = folder / "bursts"
            (folder / "bursts").write_text("".join(f"{start} {last}\n" for start, last in bursts))
        argv = [sys.executable, "-I", pipe_feeder.__file__]
        self.part = Part(
            [*argv, *(str(item) for pair in options.items() for item in pair)],
            package="python3",
            log=folder / "output.log",
            ready=lambda: bool(self.log),
            name="the feeder",
        )

    def start(self) -> Self:
        """Start to write and return once the first chunk is in the FIFO."""
        self.part.start()
        return self

    def stop(self) -> None:
        """Stop between two chunks: afterwards the log is complete."""
        self.part.stop()

    @property
    def log(self) -> list[Written]:
        """All chunks written so far."""
        size = pipe_feeder.RECORD.size
        if self._log_file.exists():
            with self._log_file.open("rb") as file:
                file.seek(len(self._entries) * size)
                fresh = file.read()
            whole = fresh[: len(fresh) - len(fresh) % size]
            self._entries += [Written(*values) for values in pipe_feeder.RECORD.iter_unpack(whole)]
            self._lasts += [entry.last_counter for entry in self._entries[len(self._lasts) :]]
        return list(self._entries)

    @property
    def last_counter(self) -> int:
        """The newest counter in the log; one less than `first` before there is any."""
        entries = self.log
        return entries[-1].last_counter if entries else self.first - 1

    def wall_ns_of(self, counter: int) -> int:
        """Return the real time (CLOCK_REALTIME) at which this sample was made, as it happened."""
        entry, before = self._chunk_of(counter)
        return entry.wall_ns - self._back(counter, entry, before)

    def mono_ns_of(self, counter: int) -> int:
        """Return the CLOCK_MONOTONIC at which this sample was made, as it happened."""
        entry, before = self._chunk_of(counter)
        return entry.mono_ns - self._back(counter, entry, before)

    def due_wall_ns_of(self, counter: int) -> int:
        """Return the real time at which this sample was due by the schedule."""
        entry, _ = self._chunk_of(counter)
        back = round((entry.last_counter - counter) * self._sample_ns)
        return entry.due_mono_ns - back + entry.wall_ns - entry.mono_ns

    def worst_lateness_ns(self) -> int:
        """Return how late the latest chunk was: a large number says that the machine was too busy to judge."""
        return max(entry.mono_ns - entry.due_mono_ns for entry in self.log)

    def lose(self, seconds: float) -> tuple[int, int]:
        """Let the card lose this much sound; return the first and the last lost counter when it is over."""
        known = len(self.log)
        with self._control.open("a") as control:
            control.write(f"lose {seconds}\n")

        def jump() -> list[tuple[int, int]]:
            lasts = [entry.last_counter for entry in self.log[known - 1 :]]
            starts = [last - self._frames + 1 for last in lasts]
            pairs = zip(lasts, starts[1:], strict=False)
            return [(last + 1, start - 1) for last, start in pairs if start != last + 1]

        return wait_until(jump, seconds + 10, "the feeder to go on after the loss")[0]

    def _chunk_of(self, counter: int) -> tuple[Written, Written | None]:
        entries = self.log
        at = bisect.bisect_left(self._lasts, counter)
        if at == len(entries) or counter <= entries[at].last_counter - self._frames:
            raise AssertionError(f"sample {counter} was never written (first {self.first}, {len(entries)} chunks)")
        return entries[at], entries[at - 1] if at else None

    def _back(self, counter: int, entry: Written, before: Written | None) -> int:
        """Return how long before the chunk's end a sample was made, by the real distance of the chunks."""
        length_ns = self._frames * self._sample_ns
        if before is not None and before.last_counter == entry.last_counter - self._frames:
            length_ns = float(entry.mono_ns - before.mono_ns)
        return round((entry.last_counter - counter) * length_ns / self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class PipeCard:
    """PulseAudio with one pipe source, which arecord finds under the name `device` when given `env`.

    While no feeder runs, the source gives nothing at all, as a hung card does. While nobody records, PulseAudio
    does not read the FIFO: two chunks would go stale in it and the feeder would stand still. Therefore a real
    parec records all the time and throws the sound away, and a recorder that comes later hears what is made now.
    Give a second card the `home` of the first (and another `device`) if one process records both. `modules` are more
    lines of PulseAudio's own configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rate: int = 48000,
        channels: int = 2,
        device: str = "pipesrc",
        home: Path | None = None,
        modules: str = "",
    ) -> None:
        self.folder = folder
        self.home = home or folder / "home"
        folder.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        self.device = device
        self.rate = rate
        self.channels = channels
        self.feeders: list[Feeder] = []
        # A socket's path may have 107 characters, and pytest's folders alone have up to a hundred.
        self._short = Path(tempfile.mkdtemp(prefix="pipe-card-"))
        self._socket = self._short / "s"
        self._fifo = folder / "fifo"
        env = {key: value for key, value in os.environ.items() if not key.startswith("PULSE_")}
        self._pulse_env = env | {"HOME": str(self._short), "XDG_RUNTIME_DIR": str(self._short)}
        # Without a runtime folder libpulse would leave one of its own in /tmp.
        self.env = env | {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home)}
        (folder / "default.pa").write_text(
            f"load-module module-pipe-source source_name={device} file={self._fifo}"
            f" rate={rate} channels={channels} format=s16le\n"
            f"load-module module-native-protocol-unix socket={self._socket} auth-anonymous=1\n{modules}"
        )
        with (self.home / ".asoundrc").open("a") as asoundrc:
            asoundrc.write(f'pcm.{device} {{ type pulse server "unix:{self._socket}" device "{device}" }}\n')
        argv = ["pulseaudio", "-n", "-F", str(folder / "default.pa"), "--daemonize=no"]
        argv += ["--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no", "--log-target=stderr"]
        self.part = Part(
            argv,
            package="pulseaudio",
            log=folder / "pulseaudio.log",
            ready=lambda: bool(self._source_state()),
            env=self._pulse_env,
        )
        self._drain = Part(
            ["parec", f"--server=unix:{self._socket}", f"--device={device}", "--raw", os.devnull],
            package="pulseaudio-utils",
            log=folder / "parec.log",
            ready=lambda: self._source_state() == "RUNNING",
            env=self._pulse_env,
        )

    @property
    def server(self) -> str:
        """The address of this PulseAudio, for PULSE_SERVER."""
        return f"unix:{self._socket}"

    def start(self) -> Self:
        """Plug the card in: a new FIFO, a new PulseAudio. It is silent until `feed()`."""
        program("arecord", "alsa-utils")
        self._short.mkdir(exist_ok=True)
        self._fifo.unlink(missing_ok=True)
        self._socket.unlink(missing_ok=True)
        self.part.start()
        self._drain.start()
        return self

    def feed(self, *, first: int | None = None, ppm: float = 0.0, bursts: Sequence[tuple[int, int]] = ()) -> Feeder:
        """Start the sound; the counter goes on after that of the feeder before, so old sound is told from new.

        `ppm` makes the card's crystal fast (positive) or slow. `bursts` are the first and last
        counters of bursts of sound in silence, in order; without them the sound is the counter itself.
        """
        if first is None:
            first = self.feeders[-1].last_counter + 1 if self.feeders else 1
        feeder = Feeder(
            self._fifo,
            self.folder / f"feeder-{len(self.feeders)}",
            rate=self.rate,
            channels=self.channels,
            first=first,
            ppm=ppm,
            bursts=bursts,
        )
        self.feeders.append(feeder)
        return feeder.start()

    def unplug(self) -> None:
        """Pull the card out: the real arecord dies of a read error, as with a USB card."""
        for feeder in self.feeders:
            feeder.stop()
        self.part.kill()
        self._drain.kill()

    def stop(self) -> None:
        """End the feeders and PulseAudio."""
        for feeder in self.feeders:
            feeder.stop()
        self._drain.stop()
        self.part.stop()
        shutil.rmtree(self._short, ignore_errors=True)

    def wall_ns_of(self, counter: int) -> int:
        """Return the real time at which a sample was made, whichever of the card's feeders made it."""
        for feeder in self.feeders:
            if feeder.first <= counter <= feeder.last_counter:
                return feeder.wall_ns_of(counter)
        raise AssertionError(f"no feeder of {self.device} made sample {counter}")

    def _source_state(self) -> str:
        """Return what PulseAudio says of the source (IDLE, RUNNING), or nothing while it does not answer."""
        if not self._socket.exists():
            return ""
        argv = [program("pactl", "pulseaudio-utils"), f"--server=unix:{self._socket}", "list", "short", "sources"]
        done = subprocess.run(argv, env=self._pulse_env, capture_output=True, timeout=10, check=False)
        rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
        return next((row[-1] for row in rows if row[1] == self.device), "")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
