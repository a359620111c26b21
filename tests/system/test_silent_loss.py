"""Audio that is lost before it reaches us, with a stop or without a word: little of it, and all of it told."""

import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.parts.pulse import Feeder, PipeCard, counters
from tests.parts.waiting import wait_until
from tests.system.running import RunningAgent, pcm, utc_ns

pytestmark = pytest.mark.real_time

CONFIG = """
agent: {{id: shed, timezone: UTC}}
recording: {{period: 5s}}
sources:
  - {{id: mic, type: alsa, device: {device}, sample_rate: 48000, channels: 2}}
"""

FROZEN_S = 3.0


def hear(feeder: Feeder, seconds: float) -> None:
    """Wait until the card has made so much more sound."""
    until = feeder.last_counter + round(48000 * seconds)
    wait_until(lambda: feeder.last_counter >= until, seconds + 10, "the card to go on")


def heard(agent: RunningAgent) -> list[NDArray[np.int64]]:
    """What the card had made, file by file."""
    return [counters(pcm(agent.path(segment))).astype(np.int64) for segment in agent.segments("mic")]


def test_a_loss_that_arecord_does_not_mention_is_in_the_ledger(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card", device="lossy") as card, card.feed() as feeder:
        with RunningAgent(tmp_path / "agent", CONFIG.format(device=card.device), env=card.env) as agent:
            agent.wait_for_state("mic", "recording")
            hear(feeder, 2)
            first, last = feeder.lose(0.5)
            hear(feeder, 8)
            assert agent.stop() == 0
        lost_s = (last - first + 1) / 48000
        told_s = sum(gap["duration_s"] for gap in agent.gaps("mic") if gap["cause"] in ("overrun", "stall"))
        assert abs(told_s - lost_s) < 0.05, f"{lost_s:.3f} s were lost, the ledger says {told_s:.3f} s"
        final = agent.segments("mic")[-1]
        off_ns = feeder.due_wall_ns_of(int(heard(agent)[-1][0])) - utc_ns(final["start"])
        assert abs(off_ns) < 20_000_000, f"after the loss the file times are off by {off_ns / 1e6:.0f} ms"


def test_what_waits_in_the_pipe_outlives_a_frozen_agent(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card", device="frozen") as card, card.feed() as feeder:
        with RunningAgent(tmp_path / "agent", CONFIG.format(device=card.device), env=card.env) as agent:
            agent.wait_for_state("mic", "recording")
            hear(feeder, 2)
            agent.part.send_signal(signal.SIGSTOP)
            hear(feeder, FROZEN_S)
            agent.part.send_signal(signal.SIGCONT)
            hear(feeder, 4)
            assert agent.stop() == 0
        joined = np.concatenate(heard(agent))
        lost = [int(after - before - 1) for before, after in pairwise(joined.tolist()) if after != before + 1]
        assert sum(lost) / 48000 < FROZEN_S, f"{sum(lost) / 48000:.2f} s are lost to {FROZEN_S:g} s of standing still"
        assert not [gap for gap in agent.gaps("mic") if gap["cause"] == "stall"], "the card never fell silent"
