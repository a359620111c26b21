"""A disk that is full: nothing is corrupted, the gap is told, and recording goes on when there is room again."""

import hashlib
import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.parts.small_disk import fill, free_bytes, small_disk
from tests.parts.waiting import wait_until
from tests.system.messages import body, judge
from tests.system.running import Json, RunningAgent, pcm, utc_ns
from tests.system.test_commands import broker_at

pytestmark = pytest.mark.real_time

CONFIG = """
agent: {{id: shed, state_directory: {state}}}
recording: {{directory: {disk}, period: 5s, format: wav}}
sources: [{{id: test, type: test, channels: 2, signal: noise}}]
"""

TEN_TIMES = """
agent: {{id: shed}}
recording: {{directory: {disk}, period: 5s}}
mqtt: {{host: 127.0.0.1, port: {port}, username: shed, password: secret}}
sources:
  - {{id: wide, type: test, channels: 4, signal: noise, format: wav}}
  - {{id: narrow, type: test, signal: noise}}
  - {{id: other, type: test, signal: noise}}
"""

RULES = """
agent: {{id: shed}}
recording: {{directory: {disk}, period: 5s}}
retention: {rules}
sources:
  - {{id: wide, type: test, channels: 8, signal: noise, format: wav}}
  - {{id: narrow, type: test, signal: noise}}
"""


def sound(agent: RunningAgent, source: str) -> list[Json]:
    """The segments of a source that are there; every one of them is what its sidecar says, and nothing else is."""
    kept = []
    for segment in agent.segments(source):
        path = agent.path(segment)
        assert path.exists() == (segment["deleted"] is None), path
        if path.exists():
            assert path.stat().st_size == segment["bytes"]
            assert len(pcm(path)) == segment["samples"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == segment["sha256"]
            kept.append(segment)
    return kept


def tiled(agent: RunningAgent, source: str) -> None:
    """What lies between two segments is told as a gap of that length."""
    for before, after in pairwise(agent.segments(source)):
        told_s = (after["gap_before"] or {"duration_s": 0})["duration_s"]
        assert utc_ns(after["start"]) - utc_ns(before["end"]) == pytest.approx(told_s * 1e9, abs=2e6)


def test_a_full_disk_costs_only_what_it_cannot_hold(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 6) as disk:
        recordings = disk / "recordings"
        config = CONFIG.format(disk=recordings, state=tmp_path / "state")
        with RunningAgent(tmp_path, config, recordings=recordings) as agent:
            agent.wait_for_state("test", "disk_full", 30)
            agent.spoiled("audio is deleted by hand to make room")
            for segment in agent.wait_for_segments("test", 1, timeout_s=10):
                if not segment["recovered"]:  # the one that the full disk has ended, where it is finished by now
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
        # A block or two that was on its way to the file: the rest waited in the queue.
        assert sum(gap["duration_s"] for gap in gaps if gap["cause"] == "disk_full") < 1
        tiled(agent, "test")


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.long)])
def test_a_disk_that_is_filled_again_and_again(tmp_path: Path, times: int) -> None:
    with (
        small_disk(tmp_path / "disk", 40) as disk,
        small_disk(disk / "recordings" / "other", 100),
        broker_at(tmp_path / "broker") as broker,
        broker.listen("isr/#", user="operator", as_published=True) as said,
    ):
        recordings = disk / "recordings"
        config = TEN_TIMES.format(disk=recordings, port=broker.port)
        with RunningAgent(tmp_path, config, recordings=recordings) as agent:
            for source in ("wide", "narrow", "other"):
                agent.wait_for_state(source, "recording")
            wait_until((recordings / ".state" / "reserve").exists, 5, "the reserve")
            assert (recordings / ".state" / "reserve").stat().st_blocks * 512 == 8 << 20
            for _ in range(times):
                once_more(agent, disk)
            # The queue holds 30 s: only what came after that is lost, and it is told.
            fill(disk / "filler", 2 << 20)
            agent.wait_for_state("wide", "disk_full", 20)
            began_s = time.monotonic()
            wait_until(lambda: time.monotonic() - began_s > 36, 40, "the queue to be full", poll_s=0.5)
            (disk / "filler").unlink()
            agent.wait_for_state("wide", "recording", 5)
            wait_until(lambda: agent.source("wide")["gap"] is None, 10, "the gap to end")
            notices = [body(one) for one in said.of("isr/shed/notice")]
            problems = [body(one)["problems"] for one in said.of("isr/shed/health")]
            assert agent.source("wide")["gap"] is None
            assert agent.stop() == 0
        assert {"disk_low", "disk_min_free", "disk_full", "source_lost"} <= {one["code"] for one in notices}
        assert any("disk_full" in one for one in problems)
        judge(said.messages)
        assert agent.unfinished() == []
        assert not list(recordings.rglob("*.tmp"))
        for source in ("wide", "narrow"):
            sound(agent, source)
            tiled(agent, source)
            gaps = [gap for gap in agent.gaps(source) if gap["cause"] == "disk_full"]
            # One each time the disk was full (what was on its way to the file), and what the queue could not hold.
            assert len(gaps) == times + 2
            assert all(gap["duration_s"] < 2 for gap in gaps[:-1])
            assert 3 < gaps[-1]["duration_s"] < 12
            causes = {gap["cause"] for gap in agent.gaps(source)}
            assert causes == {"starting", "disk_full", "agent_stopped"}
        sound(agent, "other")
        tiled(agent, "other")
        assert [gap["cause"] for gap in agent.gaps("other")] == ["starting", "agent_stopped"]


def once_more(agent: RunningAgent, disk: Path) -> None:
    """Fill the disk, see what the agent says, make room, and see it go on within 5 s."""
    fill(disk / "filler", 2 << 20)
    for source in ("wide", "narrow"):
        status = agent.wait_for_state(source, "disk_full", 20)
        assert "full" in status["last_error"]
    assert not (disk / "recordings" / ".state" / "reserve").exists()
    assert agent.source("other")["state"] == "recording"
    before = agent.status()["ts"]
    wait_until(lambda: agent.status()["ts"] > before, 3, "the status to be written although the disk is full")
    agent.wait_for_gap("wide", "disk_full", 5)
    (disk / "filler").unlink()
    began_s = time.monotonic()
    for source in ("wide", "narrow"):
        agent.wait_for_state(source, "recording", 5)
    assert time.monotonic() - began_s < 5
    assert (disk / "recordings" / ".state" / "reserve").exists()
    # Some room is wanted for the next time.
    for segment in agent.segments("wide")[:-1]:
        agent.path(segment).unlink(missing_ok=True)
        segment_is_gone(agent, segment)


def segment_is_gone(agent: RunningAgent, segment: Json) -> None:
    """So that the rest of the test knows of it, which nobody else does."""
    path = agent.path(segment).with_suffix(".json")
    path.write_text(json.dumps({**segment, "deleted": {"at": segment["end"], "why": "command"}}))


def test_a_disk_without_a_single_byte_and_a_start_on_a_full_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40) as disk:
        recordings = disk / "recordings"
        config = CONFIG.format(disk=recordings, state=recordings / ".state")
        with RunningAgent(tmp_path, config, recordings=recordings) as agent:
            agent.wait_for_state("test", "recording")
            wait_until((recordings / ".state" / "reserve").exists, 5, "the reserve")
            fill(disk / "filler", 0)
            agent.wait_for_state("test", "disk_full", 20)
            # Somebody else takes the reserve too: not even status.json can be written then.
            fill(disk / "more", 0)
            wait_until(lambda: "status.json" in agent.log(), 10, "that to be told")
            began_s = time.monotonic()
            wait_until(lambda: time.monotonic() - began_s > 8, 10, "it to last for a while", poll_s=0.5)
            (disk / "filler").unlink()
            (disk / "more").unlink()
            agent.wait_for_state("test", "recording", 5)
            assert agent.stop() == 0
        sound(agent, "test")
        fill(disk / "filler", 0)
        with RunningAgent(tmp_path, config, recordings=recordings) as agent:
            agent.wait_for_state("test", "disk_full", 10)
            (disk / "filler").unlink()
            agent.wait_for_state("test", "recording", 5)
            assert agent.stop() == 0
        sound(agent, "test")
        tiled(agent, "test")
        assert agent.unfinished() == []


def of_agent(agent: RunningAgent) -> list[Json]:
    return [one for source in ("wide", "narrow") for one in agent.segments(source)]


def deleted(agent: RunningAgent, why: str) -> list[Json]:
    return [one for one in of_agent(agent) if one["deleted"] is not None and one["deleted"]["why"] == why]


@pytest.mark.parametrize(
    ("rules", "why", "holds"),
    [
        ("{max_size: 9MB}", "max_size", lambda agent, _: kept_bytes(agent) <= 9_000_000),
        ("{min_free: 15MB}", "min_free", lambda _, disk: free_bytes(disk) >= 11_000_000),
    ],
)
def test_the_oldest_go_while_recording_goes_on(
    tmp_path: Path, rules: str, why: str, holds: Callable[[RunningAgent, Path], bool]
) -> None:
    with small_disk(tmp_path / "disk", 40) as disk:
        recordings = disk / "recordings"
        config = RULES.format(disk=recordings, rules=rules)
        with RunningAgent(tmp_path, config, recordings=recordings) as agent:
            wait_until(lambda: len(deleted(agent, why)) >= 3, 60, "the oldest to go", poll_s=0.2)
            wait_until(lambda: holds(agent, disk), 5, "the rule to hold")
            assert {agent.source(one)["state"] for one in ("wide", "narrow")} == {"recording"}
            assert agent.stop() == 0
        assert agent.unfinished() == []
        for source in ("wide", "narrow"):
            sound(agent, source)
            tiled(agent, source)
            assert [gap["cause"] for gap in agent.gaps(source)] == ["starting", "agent_stopped"]
        gone, kept = deleted(agent, why), [one for one in of_agent(agent) if one["deleted"] is None]
        assert max(one["start"] for one in gone) <= min(one["start"] for one in kept)
        for one in gone:
            assert one["rev"] >= 2
            assert agent.path(one).with_suffix(".levels.npy").exists()


def kept_bytes(agent: RunningAgent) -> int:
    return sum(one["bytes"] for one in of_agent(agent) if one["deleted"] is None)
