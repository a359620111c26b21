"""A real arecord that is gone for a moment: the file goes on, and every sample in it stands at its wall time."""

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.parts.mosquitto import Broker, Message
from tests.parts.pulse import Feeder, PipeCard, counters
from tests.parts.waiting import wait_until
from tests.system.messages import body
from tests.system.running import RunningAgent, pcm, utc_ns

pytestmark = pytest.mark.real_time

CONFIG = """
agent: {{id: shed, timezone: UTC}}
recording: {{period: 60s, fill_gaps_up_to: 10s}}
mqtt: {{host: 127.0.0.1, port: {port}, username: tester, password: tester-password}}
sources:
  - {{id: mic, type: alsa, device: {device}, sample_rate: 48000, channels: 2}}
"""


def hear(feeder: Feeder, seconds: float) -> None:
    """Wait until the card has made so much more sound."""
    until = feeder.last_counter + round(48000 * seconds)
    wait_until(lambda: feeder.last_counter >= until, seconds + 10, "the card to go on")


def is_held(message: Message) -> bool:
    """A state of a card that is away, with the gap that may yet be filled."""
    if message.topic != "isr/shed/src/mic/state":
        return False
    told = body(message)
    return told["state"] == "reconnecting" and (told["gap"] or {}).get("cause") == "device_lost"


def test_a_card_that_is_back_at_once_leaves_silence_of_the_right_length(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    with PipeCard(tmp_path / "card", device="brief") as card, card.feed() as feeder, broker:
        config = CONFIG.format(device=card.device, port=broker.port)
        with broker.listen("isr/#") as said, RunningAgent(tmp_path / "agent", config, env=card.env) as agent:
            agent.wait_for_state("mic", "recording")
            hear(feeder, 5)
            child = subprocess.run(["pgrep", "-P", str(agent.part.pid), "arecord"], capture_output=True, check=True)
            os.kill(int(child.stdout), signal.SIGKILL)
            # It may be back before status.json is written once more.
            held = body(said.wait_for(is_held, 15, "the state while the card is away"))
            assert held["open_segment"] is not None, "the audio may go on in it"
            wait_until(lambda: agent.gaps("mic")[-1]["cause"] == "device_lost", 15, "the gap to be filled")
            assert agent.wait_for_state("mic", "recording")["gap"] is None
            hear(feeder, 5)
            assert agent.stop() == 0
        gap = next(gap for gap in agent.gaps("mic") if gap["cause"] == "device_lost")
        segment = next(one for one in agent.segments("mic") if one["gaps"])
        assert [gap["id"] for gap in segment["gaps"]] == [gap["id"]]
        assert (gap["at"], segment["missing_s"]) == ("end", gap["duration_s"])
        heard = counters(pcm(agent.path(segment))).astype(np.int64)
        (begins, *_), (*_, last) = np.flatnonzero(heard == 0), np.flatnonzero(heard == 0)
        assert last - begins + 1 == gap["filled_samples"]
        lost = int(heard[last + 1] - heard[begins - 1] - 1)
        assert abs(gap["filled_samples"] - lost) < 0.05 * 48000
        start_ns = utc_ns(segment["start"])
        for place in (begins // 2, begins - 1, last + 1, (last + len(heard)) // 2):
            off_ns = feeder.due_wall_ns_of(int(heard[place])) - start_ns - int(place) * 1_000_000_000 // 48000
            assert abs(off_ns) < 50_000_000, f"sample {place} is off by {off_ns / 1e6:.0f} ms"
