"""The wall clock jumps under a real agent: nothing is lost, doubled or overwritten, and the ledger tells it.

libfaketime moves CLOCK_REALTIME of the agent alone; boottime and monotonic stay true. Under version 0.9.10 Python's
time.sleep fails (EINVAL from clock_nanosleep), so the launcher sleeps with select; and arecord dies, so the children
get an environment without it. On a busy box it delays a reading now and then, so that the agent sees a step of some
ten milliseconds and one back: such are not judged.
"""

import sys
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.parts.process import Part
from tests.parts.pulse import Feeder, PipeCard, counters
from tests.parts.waiting import wait_until
from tests.system.running import REPOSITORY, Json, RunningAgent, pcm, utc_ns

pytestmark = pytest.mark.real_time

CONFIG = """
agent: {{id: shed, timezone: UTC}}
recording: {{period: {period}}}
sources:
  - {{id: mic, type: alsa, device: {device}, sample_rate: 48000, channels: 2}}
"""

NOISE_S = 0.15

LAUNCHER = """
import os, select, sys, time
del os.environ["LD_PRELOAD"]
time.sleep = lambda seconds: select.select([], [], [], seconds)
from agent.__main__ import main
sys.exit(main())
"""


class SteppedAgent(RunningAgent):
    """The agent with a wall clock of its own."""

    def __init__(self, folder: Path, config: str, *, env: Mapping[str, str], launcher: str = LAUNCHER) -> None:
        super().__init__(folder, config)
        self._offset = folder / "offset"
        self._offset_s = 0.0
        self.step(0.0)
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        assert libraries, "libfaketime is missing: apt-get install libfaketime"
        environment = {
            **env,
            "PYTHONPATH": str(REPOSITORY),
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.part = Part(
            [sys.executable, "-c", launcher, "run", "--config", str(folder / "config.yaml")],
            package="python3",
            log=folder / "agent.log",
            ready=self._is_fresh,
            env=environment,
            name="isr-agent",
        )

    def step(self, seconds: float) -> None:
        """Set the wall clock by so much."""
        self._offset_s += seconds
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(f"{self._offset_s:+.3f}\n", encoding="ascii")
        fresh.replace(self._offset)

    def in_true_order(self) -> list[Json]:
        """The sidecars in the order in which they were recorded, whatever their wall times say."""
        return sorted(self.segments("mic"), key=lambda sidecar: float(sidecar["clock"]["start_boottime_s"]))


def hear(feeder: Feeder, seconds: float) -> None:
    """Wait until the card has made so much more sound."""
    until = feeder.last_counter + round(48000 * seconds)
    wait_until(lambda: feeder.last_counter >= until, seconds + 10, "the card to go on")


def test_steps_cost_no_sample_and_overwrite_nothing(tmp_path: Path) -> None:
    steps_s = (3600.0, -3600.0, -10.0, 0.3, -0.3)
    with PipeCard(tmp_path / "card", device="stepped") as card, card.feed() as feeder:
        config = CONFIG.format(device=card.device, period="5s")
        with SteppedAgent(tmp_path / "agent", config, env=card.env) as agent:
            agent.wait_for_state("mic", "recording")
            for number, step_s in enumerate(steps_s):
                hear(feeder, 1.5)
                agent.step(step_s)
                wait_until(partial(more_stepped, agent, number), 10, f"the segment that {step_s} s ends")
                assert agent.source("mic")["state"] == "recording"
            hear(feeder, 1.5)
            assert agent.stop() == 0
        segments = agent.in_true_order()
        heard = np.concatenate([counters(pcm(agent.path(segment))) for segment in segments]).astype(np.int64)
        assert np.array_equal(np.diff(heard), np.ones(len(heard) - 1)), "a sample is lost or doubled"
        assert len({segment["file"] for segment in segments}) == len(segments)
        assert agent.unfinished() == []

    told_s = sorted(gap["duration_s"] for gap in agent.gaps("mic") if gap["cause"] == "clock_step")
    assert np.allclose([gap_s for gap_s in told_s if gap_s > NOISE_S], (0.3, 3600.0), atol=NOISE_S)
    moved_s, ends = [], [segments[0]["end"]]
    for before, after in pairwise(segments):
        between_s = (utc_ns(after["start"]) - utc_ns(before["end"])) / 1e9
        if before["reason"] == "clock_step":
            moved_s += [between_s] if abs(between_s) > NOISE_S else []
            assert after["clock"]["overlap_s"] >= round(-between_s, 3)
            assert [step["at"] for step in after["clock"]["steps"] if step["at"] == after["start"]]
            (told,) = (step for step in before["clock"]["steps"] if step["at"] == before["end"])
            assert abs(told["by_s"] - between_s) < NOISE_S
        else:
            assert between_s == 0
        twice_s = [round((utc_ns(end) - utc_ns(after["start"])) / 1e9, 3) for end in ends]
        assert after["clock"]["overlap_s"] in (0.0, *twice_s)
        ends.append(after["end"])
    assert len(moved_s) == len(steps_s)
    assert np.allclose(moved_s, steps_s, atol=NOISE_S), moved_s


def test_a_crash_after_a_step_back_is_in_the_ledger(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card", device="stepped") as card, card.feed() as feeder:
        config = CONFIG.format(device=card.device, period="60s")
        with SteppedAgent(tmp_path / "agent", config, env=card.env) as agent:
            agent.wait_for_state("mic", "recording")
            hear(feeder, 1)
            agent.step(-3600)
            wait_until(lambda: stepped(agent), 10, "the segment that the step ends")
            hear(feeder, 4)
            agent.kill()
            hear(feeder, 1)
            agent.start()
            agent.wait_for_state("mic", "recording")
            hear(feeder, 1)
            assert agent.stop() == 0
    segments = agent.in_true_order()
    number = next(number for number, segment in enumerate(segments) if segment["recovered"])
    recovered, after = segments[number : number + 2]
    crash = next(gap for gap in agent.gaps("mic") if gap["cause"] == "agent_crashed")
    assert (crash["start"], crash["end"]) == (recovered["end"], after["start"])


def stepped(agent: RunningAgent) -> list[Json]:
    """The segments that a step of the clock has ended."""
    return [segment for segment in agent.segments("mic") if segment["reason"] == "clock_step"]


def more_stepped(agent: RunningAgent, number: int) -> bool:
    """Whether steps have ended more segments than so many."""
    return len(stepped(agent)) > number
