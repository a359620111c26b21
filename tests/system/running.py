"""The real agent as a process of its own, and its results as anybody else would read them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.parts.process import Part
from tests.parts.waiting import wait_until

Json = dict[str, Any]
REPOSITORY = Path(__file__).resolve().parents[2]
MADE: list[RunningAgent] = []
"""Every agent that was made and not verified yet; conftest.py empties it."""


class RunningAgent:
    """`isr-agent run` in a folder of its own. `config` is YAML text; recordings lie below `folder`, or where told."""

    def __init__(
        self, folder: Path, config: str, *, env: Mapping[str, str] | None = None, recordings: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.recordings = recordings or folder / "recordings"
        (folder / "config.yaml").write_text(config, encoding="utf-8")
        environment = {**(env if env is not None else os.environ), "PYTHONPATH": str(REPOSITORY), "PYTHONWARNINGS": ""}
        self.part = Part(
            [sys.executable, "-m", "agent", "run", "--config", str(folder / "config.yaml")],
            package="python3",
            log=folder / "agent.log",
            ready=self._is_fresh,
            env=environment,
            name="isr-agent",
        )
        self._spoiled: str | None = None
        self._is_verified = self._is_killed = False
        MADE.append(self)

    def start(self) -> Self:
        """Start it and return once its status is that of this very process."""
        self._is_verified = self._is_killed = False
        self.part.start()
        return self

    def stop(self) -> int:
        """Ask it to end with SIGTERM; its exit code. It has 20 s."""
        os.kill(self.part.pid, signal.SIGTERM)
        wait_until(lambda: not self.part.running, 20, "the agent to end within its 20 s")
        code = self.part.returncode
        assert code is not None
        return code

    def kill(self) -> None:
        """kill -9."""
        self._is_killed = True
        os.kill(self.part.pid, signal.SIGKILL)
        wait_until(lambda: not self.part.running, 5, "the agent to die")

    def status(self) -> Json:
        """What status.json says."""
        return dict(json.loads((self.recordings / "status.json").read_bytes()))

    def source(self, source: str) -> Json:
        """What status.json says of one source."""
        return next(item for item in self.status()["sources"] if item["id"] == source)

    def wait_for_state(self, source: str, state: str, timeout_s: float = 15) -> Json:
        """Wait until a source is in a state; its status then."""
        wait_until(lambda: self.source(source)["state"] == state, timeout_s, f"{source} to be {state}", poll_s=0.05)
        return self.source(source)

    def wait_for_gap(self, source: str, cause: str, timeout_s: float = 15) -> Json:
        """Wait until a gap of that cause lasts, and so stands in the ledger; the source's status then."""

        def lasts() -> bool:
            gap = self.source(source)["gap"]
            return gap is not None and gap["cause"] == cause

        wait_until(lasts, timeout_s, f"{source} to have a gap: {cause}", poll_s=0.05)
        return self.source(source)

    def segments(self, source: str) -> list[Json]:
        """The sidecars of a source, in order of their start."""
        files = (self.recordings / source).glob("*/*/*/*.json")
        found = [json.loads(path.read_bytes()) for path in files]
        return sorted(found, key=lambda sidecar: str(sidecar["start"]))

    def wait_for_segments(self, source: str, count: int, timeout_s: float) -> list[Json]:
        """Wait until so many segments of a source are finished."""
        wait_until(lambda: len(self.segments(source)) >= count, timeout_s, f"{count} segments of {source}", poll_s=0.1)
        return self.segments(source)

    def ledger(self, source: str) -> list[Json]:
        """Every line of the gap ledger of a source."""
        lines = (self.recordings / source / "gaps.jsonl").read_bytes().splitlines()
        return [json.loads(line) for line in lines if line]

    def gaps(self, source: str) -> list[Json]:
        """The gaps of a source: the last line of every id, in order of their start."""
        last = {line["id"]: line for line in self.ledger(source)}
        return sorted(last.values(), key=lambda line: str(line["start"]))

    def path(self, sidecar: Json) -> Path:
        """The audio that a sidecar speaks of."""
        return self.recordings / str(sidecar["file"])

    def unfinished(self) -> list[Path]:
        """Every `.part` there is."""
        return sorted(self.recordings.rglob("*.part"))

    def log(self) -> str:
        """What the agent has logged."""
        return (self.folder / "agent.log").read_text(errors="replace")

    def _is_fresh(self) -> bool:
        try:
            return bool(self.status()["pid"] == self.part.pid)
        except (OSError, ValueError):
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self.part.running:
            self.part.stop()
        if error is None and not self._is_killed:  # another start may be meant to find what a kill left
            self.verify()

    def spoiled(self, reason: str) -> None:
        """The test damages its recordings on purpose: `isr-agent verify` has to find something, so it is not asked."""
        self._spoiled = reason

    def verify(self) -> None:
        """`isr-agent verify` finds nothing in all that was recorded, after a kill that it was repaired from; once for
        each start."""
        if self._spoiled is not None or self._is_verified or not self.recordings.is_dir():
            return
        self._is_verified = True
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        for command in ("repair", "verify") if self._is_killed else ("verify",):
            argv = [sys.executable, "-m", "agent", command, str(self.recordings)]
            result = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, env=env)
            assert result.returncode == 0, f"{result.stdout}{result.stderr}\nthe agent's log:\n{self.log()[-4000:]}"


def utc_ns(text: str) -> int:
    """Nanoseconds since 1970 of a time in a sidecar."""
    moment = datetime.fromisoformat(text)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000) * 1_000_000


def pcm(path: Path) -> NDArray[np.int16]:
    """The samples of a file of ours, by libsndfile, shape (samples, channels)."""
    samples, _ = soundfile.read(path, dtype="int16", always_2d=True)
    return np.asarray(samples, dtype=np.int16)
