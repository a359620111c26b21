"""The real line of one source, as the app builds it, on simulated clocks."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest

from agent import clock
from agent.capture_queue import CaptureQueue
from agent.completeness import Completeness
from agent.config import Settings, load
from agent.errors import StorageError
from agent.line_builder import News, Run, build_line
from agent.model import (
    Desired,
    FinishedSegment,
    GapCause,
    GapLine,
    Instant,
    RunEnded,
    RunStarted,
    SourceItem,
    SourceState,
    SourceStatus,
)
from agent.recorder import Recorder
from agent.status import StatusBoard
from tests.agent.build import EPOCH_NS, NS, utc

_BOOT_NS = 1000 * NS


class World:
    """The three clocks. `at_s` is true time that the box was awake; `sleeps` and `steps` move the others on."""

    def __init__(self) -> None:
        self.at_ns = 0
        self._slept_ns = 0
        self._moved: list[tuple[int, int]] = []

    @property
    def at_s(self) -> float:
        return self.at_ns / NS

    def wait(self, seconds: float) -> None:
        self.at_ns += max(0, round(seconds * NS))

    def sleep(self, seconds: float) -> None:
        """The box is suspended."""
        self._slept_ns += round(seconds * NS)
        self._moved.append((self.at_ns, round(seconds * NS)))

    def step(self, seconds: float) -> None:
        """The wall clock is set."""
        self._moved.append((self.at_ns, round(seconds * NS)))

    def now(self) -> Instant:
        boottime_ns = _BOOT_NS + self.at_ns + self._slept_ns
        return Instant(self.wall_ns(self.at_ns), boottime_ns, _BOOT_NS + self.at_ns)

    def wall_ns(self, at_ns: int, *, as_of_ns: int | None = None) -> int:
        """The wall clock at a moment, as it was set at another."""
        as_of_ns = at_ns if as_of_ns is None else as_of_ns
        return EPOCH_NS + at_ns + sum(by for when, by in self._moved if when <= as_of_ns)

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """All of the agent lives by these clocks."""
        monkeypatch.setattr(clock, "now", self.now)
        monkeypatch.setattr(clock, "utc_now", lambda: datetime.fromtimestamp(self.now().wall_ns / NS, UTC))
        monkeypatch.setattr(clock, "monotonic_s", lambda: (_BOOT_NS + self.at_ns) / NS)
        monkeypatch.setattr(clock, "synchronized", lambda: True)
        for sync in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, sync, lambda _descriptor: None)  # no power is cut here


@dataclass
class Rig:
    """A source's line as the app builds it, and the queue before it. `source` is its YAML."""

    folder: Path
    source: str
    world: World
    hangs: bool = False

    def __post_init__(self) -> None:
        self.queue = CaptureQueue()
        self.line: Recorder | None = None
        self._run: RunStarted | None = None
        self._starts = 0
        self.begin(GapCause.AGENT_CRASHED)

    def begin(self, left_by: GapCause) -> None:
        """The agent starts."""
        self._starts += 1
        self.board = StatusBoard()
        self.board.put(SourceStatus("mic", "mic", "alsa", SourceState.STARTING, Desired.RECORD, utc()))
        self._settings = self._load()
        self.completeness = self.account()
        self._run, self.queue = None, CaptureQueue()
        self._build(left_by)

    @property
    def recordings(self) -> Path:
        return self.folder / str(self._starts)

    def account(self) -> Completeness:
        """Today's account, read from the disk."""
        return Completeness(
            self.recordings,
            ZoneInfo("UTC"),
            self.board,
            now_ms=lambda: clock.now().wall_ns // 1_000_000,
            now_s=clock.monotonic_s,
        )

    def put(self, item: SourceItem) -> None:
        """The source says something."""
        self.queue.put(item)
        self.carry()

    def carry(self) -> None:
        """What the recording thread does (source_control.py)."""
        if self.hangs or self.line is None:
            return
        try:
            while (item := self.queue.get(0.0)) is not None:
                if isinstance(item, RunStarted):
                    self._run = item
                elif isinstance(item, RunEnded):
                    self._run = None
                self.line.step(item)
            self.line.tick(clock.now())
        except StorageError:
            self.line.abandon()
            self.line, self.queue.overflow_cause = None, GapCause.DISK_FULL

    def room_again(self) -> None:
        """The disk takes something again."""
        if self.line is None:
            self._build(GapCause.DISK_FULL)
        self.carry()

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Nothing can be made safe on it."""
        fault = OSError(errno.ENOSPC, "No space left on device")
        with patch.object(os, "fsync", side_effect=fault), patch.object(os, "fdatasync", side_effect=fault):
            yield

    def stop_agent(self) -> None:
        """The agent ends as it should."""
        self.put(RunEnded(GapCause.AGENT_STOPPED, None, clock.now()))
        self.end()
        self._copy()

    def crash(self) -> None:
        """kill -9: what is on disk at this moment is all there is."""
        self._copy()
        self.end()

    def end(self) -> None:
        """Nothing more comes."""
        assert self.line is not None
        self.line.abandon()

    def settle(self) -> None:
        """The thread that syncs lives by no simulated clock: wait for it."""
        assert self.line is not None
        self.line._writer.settle()

    def _copy(self) -> None:
        self.settle()

        def copied(source: str, target: str) -> None:
            is_growing = source.endswith((".part", ".jsonl"))
            (shutil.copyfile if is_growing else os.link)(source, target)

        shutil.copytree(self.recordings, self.folder / str(self._starts + 1), copy_function=copied)

    def _load(self) -> Settings:
        config = self.folder / "config.yaml"
        recording = f"recording: {{directory: '{self._starts}', period: 1m}}"
        config.write_text(f"agent: {{id: shed, timezone: UTC}}\n{recording}\nsources: [{self.source}]\n")
        return load(config)

    def _build(self, left_by: GapCause) -> None:
        self.completeness.add("mic")
        self.queue.overflow_cause = GapCause.QUEUE_OVERFLOW
        run = Run(self._settings, "boot", f"run-{self._starts}", "uid", "now")
        self.line = build_line(run, self._settings.sources[0], self.board, self._news, left_by)
        if self._run is not None:
            self.line.step(self._run)

    def _news(self, news: News) -> None:
        if isinstance(news, FinishedSegment | GapLine):
            self.completeness.put(news)
