"""From `start` to the first recorded sample: hardly more than a bare arecord needs on the same card."""

import os
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from agent import clock
from agent.config import AlsaSettings, load
from agent.line_builder import Run, build_line
from agent.model import Desired, SourceState, SourceStatus
from agent.source_control import SourceControl
from agent.sources.alsa import AlsaSource
from agent.status import StatusBoard
from agent.storage.history import newest
from tests.parts.pulse import Feeder, PipeCard, counters
from tests.parts.waiting import wait_until
from tests.system.running import pcm

pytestmark = pytest.mark.real_time

TIMES = 5
MORE_S = 0.3


def bare_s(feeder: Feeder, device: str) -> float:
    """From the start of an arecord to the moment when its first sample was made."""
    began_ns = time.monotonic_ns()
    command = ["arecord", f"--device={device}", "--file-type=raw", "--format=S16_LE", "--rate=48000", "--channels=2"]
    with subprocess.Popen(
        [*command, "--period-time=50000", "--buffer-time=2000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PULSE_LATENCY_MSEC": "50"},
    ) as child:
        assert child.stdout is not None
        first = counters(np.frombuffer(child.stdout.read(4), dtype="<i2").reshape(1, 2))[0]
        child.kill()
    wait_until(lambda: feeder.last_counter >= first, 5, "the feeder's log")
    return (feeder.mono_ns_of(int(first)) - began_ns) / 1e9


def test_start_to_the_first_sample_is_as_quick_as_arecord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PipeCard(tmp_path / "card", device="quick") as card, card.feed() as feeder:
        for name in ("HOME", "XDG_RUNTIME_DIR"):
            monkeypatch.setenv(name, card.env[name])
        bare = [bare_s(feeder, card.device) for _ in range(TIMES)]
        ours = [first_sample_s(tmp_path / f"agent-{number}", feeder) for number in range(TIMES)]
    more_s = statistics.median(ours) - statistics.median(bare)
    print(f"arecord alone {_ms(bare)}, from start to the first sample {_ms(ours)}: {more_s * 1000:+.0f} ms")
    assert more_s < MORE_S


def first_sample_s(folder: Path, feeder: Feeder) -> float:
    """From `start` to the moment when the first recorded sample was made."""
    folder.mkdir()
    config = folder / "config.yaml"
    # A part of a name, looked up among all cards, is the way that takes longest.
    config.write_text("agent: {id: shed}\nsources: [{id: mic, type: alsa, device: quick, channels: 2}]\n")
    settings = load(config)
    source = settings.sources[0]
    assert isinstance(source, AlsaSettings)
    board = StatusBoard()
    board.put(SourceStatus("mic", "mic", "alsa", SourceState.STOPPED, Desired.STOP, clock.utc_now()))
    run = Run(settings, "boot", "run", "uid", "now")
    control = SourceControl(
        "mic",
        AlsaSource(source),
        lambda left_by: build_line(run, source, board, lambda _: None, left_by),
        desired=Desired.STOP,
        remember=lambda _source, _desired: None,
        line_failed=lambda _source, error: print(error),
    )
    control.start()
    wait_until(lambda: board.of("mic").gap is not None, 5, "the source to be stopped")
    began_ns = time.monotonic_ns()
    control.want(Desired.RECORD)
    wait_until(lambda: board.of("mic").state is SourceState.RECORDING, 10, "audio")
    control.begin_end()
    control.end_capture(time.monotonic() + 5)
    control.end_recording(time.monotonic() + 5)
    (segment,) = newest(settings.recordings, "mic", 2)
    first = counters(pcm(settings.recordings / segment.file))[0]
    return (feeder.mono_ns_of(int(first)) - began_ns) / 1e9


def _ms(seconds: list[float]) -> str:
    return "/".join(f"{value * 1000:.0f}" for value in sorted(seconds)) + " ms"
