"""verify beside an agent that records, and repair after a kill: as an operator would, with the commands themselves."""

import os
import subprocess
import sys
from pathlib import Path

from tests.system.running import REPOSITORY, RunningAgent

CONFIG = """
agent: {id: shed, timezone: UTC}
recording: {period: 5s}
sources:
  - {id: mono, type: test}
  - {id: wide, type: test, channels: 2, sample_format: S24_3LE, signal: noise}
  - {id: wav, type: test, format: wav, sample_rate: 44100}
"""
SOURCES = ("mono", "wide", "wav")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    argv = [sys.executable, "-m", "agent", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_verify_finds_nothing_while_files_close_and_repair_does_what_the_next_start_would(tmp_path: Path) -> None:
    agent = RunningAgent(tmp_path / "agent", CONFIG).start()
    config, recordings = agent.folder / "config.yaml", agent.recordings
    looks = 0
    while len(agent.segments("mono")) < 3:
        looked = command("verify", "--config", config)
        assert looked.returncode == 0, looked.stdout
        looks += 1
    assert looks > 3
    refused = command("repair", recordings)
    assert refused.returncode == 1
    assert f"process {agent.part.pid}" in refused.stderr
    for source in SOURCES:
        agent.wait_for_state(source, "recording")
    agent.kill()
    parts = agent.unfinished()
    assert parts
    repaired = command("repair", recordings)
    assert repaired.returncode == 0, repaired.stdout
    assert agent.unfinished() == []
    agent.verify()
    ends = {source: agent.segments(source)[-1]["end"] for source in SOURCES}
    for source in SOURCES:
        last = agent.ledger(source)[-1]
        assert (last["at"], last["cause"], last["start"]) == ("begin", "agent_crashed", ends[source])
    agent.start()
    for source in SOURCES:
        agent.wait_for_state(source, "recording")
    assert agent.stop() == 0
    for source in SOURCES:
        crash = next(gap for gap in agent.gaps(source) if gap["cause"] == "agent_crashed")
        assert (crash["at"], crash["start"]) == ("end", ends[source])
        assert crash["id"] in [(one["gap_before"] or {}).get("id") for one in agent.segments(source)]
