"""A disk that is full: nothing is corrupted, the gap is told, and recording goes on when there is room again."""

import os
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.parts.waiting import wait_until
from tests.system.running import RunningAgent, pcm, utc_ns

CONFIG = """
agent: {{id: shed, state_directory: {state}}}
recording: {{directory: {disk}, period: 5s, format: wav}}
sources: [{{id: test, type: test, channels: 8, signal: noise}}]
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB. Mounting one needs root, or sudo without a password."""
    folder = tmp_path / "disk"
    folder.mkdir()
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = f"size=6m,uid={os.getuid()}"
    subprocess.run([*sudo, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    yield folder
    subprocess.run([*sudo, "umount", "--lazy", folder], check=True)


def test_a_full_disk_costs_only_what_it_cannot_hold(tmp_path: Path, small_disk: Path) -> None:
    recordings = small_disk / "recordings"
    config = CONFIG.format(disk=recordings, state=tmp_path / "state")
    with RunningAgent(tmp_path, config, recordings=recordings) as agent:
        wait_until(lambda: "No space left on device" in agent.log(), 30, "the disk to be full")
        for segment in agent.wait_for_segments("test", 1, timeout_s=10):
            agent.path(segment).unlink()
        wait_until(lambda: "recording works again" in agent.log(), 10, "recording to go on")
        agent.wait_for_state("test", "recording", timeout_s=10)
        assert agent.stop() == 0
    assert agent.unfinished() == []
    assert not list(agent.recordings.rglob("*.tmp"))
    segments = agent.segments("test")
    kept = [segment for segment in segments if agent.path(segment).exists()]
    assert any(segment["recovered"] for segment in kept)
    for segment in kept:
        assert len(pcm(agent.path(segment))) == segment["samples"]
    gaps = agent.gaps("test")
    assert {gap["cause"] for gap in gaps} == {"starting", "disk_full", "agent_stopped"}
    lost_s = sum(gap["duration_s"] for gap in gaps if gap["cause"] == "disk_full")
    # Nothing at all where it was the sidecar that found no room; else a block or two: the rest waited in the queue.
    assert lost_s < 5
    for before, after in pairwise(segments):
        told_s = (after["gap_before"] or {"duration_s": 0})["duration_s"]
        assert utc_ns(after["start"]) - utc_ns(before["end"]) == pytest.approx(told_s * 1e9, abs=2e6)
