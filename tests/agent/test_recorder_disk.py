"""A disk that takes its time: what is heard is told meanwhile, and nothing is said to be safe before it is."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from agent.errors import StorageError
from agent.model import Block, GapCause, GapLine, RunEnded, RunStarted, SoundEvent
from tests.agent.build import S16_MONO, at
from tests.agent.test_recorder import Line, moment
from tests.agent.test_recorder_levels import RATE, signal
from tests.parts.waiting import wait_until

LOUD = [(4.6, 4.8), (5.3, 5.6), (6.2, 6.4)]


def blocks(until_s: float) -> list[Block]:
    raw, size = signal(LOUD, until_s), RATE // 10 * 2
    return [
        Block(raw[place : place + size], at((place + size) / RATE / 2)) for place in range(0, len(raw) - size + 1, size)
    ]


@contextmanager
def disk_that_hangs() -> Iterator[threading.Event]:
    """No fsync comes back before the event is set."""
    goes_on = threading.Event()

    def hang(_descriptor: int) -> None:
        assert goes_on.wait(60)

    with patch.object(os, "fsync", hang), patch.object(os, "fdatasync", hang):
        try:
            yield goes_on
        finally:
            goes_on.set()


def test_events_and_cuts_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    line = Line(tmp_path, sync_s=0.5)
    (tmp_path / "mic/2026/11/22").mkdir(parents=True)  # a new folder is the one thing that is waited for
    with disk_that_hangs() as goes_on:
        line.steps([RunStarted(S16_MONO, at(0)), *blocks(8.0)])
        events = [one for one in line.heard if isinstance(one, SoundEvent)]
        assert len(events) == 2 * len(LOUD)
        assert not line.finished, "told although nothing of it is safe"
        goes_on.set()
        line.recorder._writer.settle()
        line.recorder.tick(at(9))
    assert [item.segment.samples for item in line.finished] == [5 * RATE]
    line.steps([RunEnded(GapCause.STOPPED, None, at(8.0))])
    assert [item.segment.samples for item in line.finished] == [5 * RATE, 3 * RATE]
    line.recorder.abandon()


def test_a_gap_is_written_down_when_the_audio_before_it_is_safe(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.steps([RunStarted(S16_MONO, at(0)), *blocks(7.0)])
    files = [0]

    def seen(entry: object) -> None:
        if isinstance(entry, GapLine) and entry.at == "begin":
            files.append(len(line.finished))

    line.recorder._watch = seen
    line.steps([RunEnded(GapCause.DISCONNECTED, None, at(7.0))])
    assert files == [0, 2]
    line.recorder.abandon()


def test_a_disk_that_hangs_for_long_stops_the_line_and_loses_nothing(tmp_path: Path) -> None:
    line = Line(tmp_path, period_s=1)
    items = [RunStarted(S16_MONO, at(0)), *blocks(40.0)]
    with disk_that_hangs() as goes_on:
        thread = threading.Thread(target=line.steps, args=(items,))
        (tmp_path / "mic/2026/11/22").mkdir(parents=True)
        thread.start()
        wait_until(lambda: len(line.recorder._writer._syncs) > 16, 20, "the jobs to pile up")
        thread.join(0.5)
        assert thread.is_alive()
        assert len(line.recorder._writer._syncs) < 20
        goes_on.set()
        thread.join(60)
    line.steps([RunEnded(GapCause.STOPPED, None, at(40.0))])
    assert sum(item.segment.samples for item in line.finished) == 40 * RATE
    line.recorder.abandon()


@pytest.mark.parametrize("operation", ["fsync", "fdatasync"])
def test_a_sync_that_fails_is_the_lines_end_and_what_was_complete_is_told(tmp_path: Path, operation: str) -> None:
    line = Line(tmp_path, sync_s=0.2)
    items = blocks(12.0)
    line.steps([RunStarted(S16_MONO, at(0)), *items[:70]])
    line.recorder._writer.settle()

    def go_on() -> None:
        for item in items[70:]:
            line.recorder.step(item)
            line.recorder._writer.settle()
            line.recorder.tick(moment(item))

    fault = OSError(5, "Input/output error")
    with patch.object(os, operation, side_effect=fault), pytest.raises(StorageError, match="Input/output error"):
        go_on()
    line.recorder.abandon()
    assert [item.segment.samples for item in line.finished] == [5 * RATE]
    assert list(tmp_path.glob("mic/*/*/*/*.part"))
