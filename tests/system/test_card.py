"""A real arecord on a sound card under the test's control: joins, cuts and times, judged by the feeder's own log."""

import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.parts.pulse import PipeCard, counters
from tests.system.running import RunningAgent, pcm, utc_ns

pytestmark = pytest.mark.real_time

CONFIG = """
agent: {{id: shed, timezone: Europe/Berlin}}
recording: {{period: 5s}}
sources:
  - {{id: mic, name: Microphone, type: alsa, device: {device}, sample_rate: 48000, channels: 2}}
"""

CUT_WITHIN_NS = 20_000_000


def test_counter_comes_back_unbroken_over_twelve_splits(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card") as card, card.feed() as feeder:
        with RunningAgent(tmp_path / "agent", CONFIG.format(device=card.device), env=card.env) as agent:
            agent.wait_for_segments("mic", 13, timeout_s=90)
            assert agent.stop() == 0
        segments = agent.segments("mic")
        assert len(segments) >= 14
        assert agent.unfinished() == []

        parts = [counters(pcm(agent.path(segment))) for segment in segments]
        heard = np.concatenate(parts).astype(np.int64)
        assert np.array_equal(np.diff(heard), np.ones(len(heard) - 1)), "a sample is lost or doubled"

        for segment, part in zip(segments, parts, strict=True):
            assert segment["samples"] == len(part)
            subprocess.run(["flac", "--test", "--silent", agent.path(segment)], check=True)
        for before, after in pairwise(segments):
            assert before["end"] == after["start"]
            assert (before["reason"], before["aligned_end"], after["aligned_start"]) == ("boundary", True, True)
        assert segments[-1]["reason"] == "shutdown"

        # The first sample of an aligned segment was made within 20 ms of the boundary that its name promises.
        errors_ns = [
            feeder.wall_ns_of(int(part[0])) - utc_ns(segment["start"])
            for segment, part in zip(segments[1:], parts[1:], strict=True)
        ]
        assert all(utc_ns(segment["start"]) % 5_000_000_000 == 0 for segment in segments[1:])
        worst_ms = max(abs(error) for error in errors_ns) / 1e6
        print(f"cuts off by {min(errors_ns) / 1e6:+.1f} to {max(errors_ns) / 1e6:+.1f} ms")
        assert worst_ms * 1e6 < CUT_WITHIN_NS, f"a cut is off by {worst_ms:.1f} ms"
        first_error_ns = feeder.wall_ns_of(int(parts[0][0])) - utc_ns(segments[0]["start"])
        assert abs(first_error_ns) < CUT_WITHIN_NS
