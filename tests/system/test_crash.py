"""kill -9 at random moments, with a card and two streams at once: little is lost, nothing is broken, all is told."""

import random
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.parts.capture import RawCapture
from tests.parts.icecast import Icecast
from tests.parts.mp3 import decoded_samples, frames
from tests.parts.pulse import Feeder, PipeCard, counters
from tests.parts.waiting import wait_until
from tests.system.running import RunningAgent, pcm, utc_ns
from tests.system.test_codecs import packets

pytestmark = pytest.mark.real_time

CONFIG = """
agent: {{id: shed}}
recording: {{period: 5s}}
sources:
  - {{id: mic, type: alsa, device: {device}, sample_rate: 48000, channels: 2}}
  - {{id: radio, type: icecast, url: "{mp3}"}}
  - {{id: music, type: icecast, url: "{ogg}"}}
"""
SOURCES = ("mic", "radio", "music")

LOST_MOST_S = 3.0
FRAME_S = 1152 / 44100
VORBIS_BLOCK_S = 1024 / 44100


def test_fifteen_kills(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=15)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_kills(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=200)


def kill_again_and_again(folder: Path, *, kills: int) -> None:
    moments = random.Random(kills)
    with (
        PipeCard(folder / "card") as card,
        card.feed() as feeder,
        Icecast(folder / "icecast") as icecast,
    ):
        icecast.feed_mp3("/live.mp3")
        icecast.feed("/live.ogg", "vorbis")
        mp3, ogg = icecast.url("/live.mp3"), icecast.url("/live.ogg")
        agent = RunningAgent(folder / "agent", CONFIG.format(device=card.device, mp3=mp3, ogg=ogg), env=card.env)
        killed_at: list[tuple[int, int, int]] = []
        with RawCapture(mp3) as radio, RawCapture(ogg) as music:
            for _ in range(kills):
                agent.start()
                for source in SOURCES:
                    agent.wait_for_state(source, "recording")
                until = feeder.last_counter + round(48000 * moments.uniform(0.3, 7.0))
                wait_for_counter(feeder, until)
                killed_at.append((feeder.last_counter, len(radio.data), len(music.data)))
                agent.kill()
            agent.start()
            for source in SOURCES:
                agent.wait_for_state(source, "recording")
            assert agent.stop() == 0
            raw, raw_ogg = radio.stop(), music.stop()

    assert agent.unfinished() == []
    for source in SOURCES:
        judge_files(agent, source)
        judge_ledger(agent, source, kills)
    judge_card(agent, feeder, [counter for counter, _, _ in killed_at])
    judge_stream(agent, raw, [size for _, size, _ in killed_at])
    judge_ogg(agent, raw_ogg, [size for _, _, size in killed_at], folder / "prefix.ogg")


def wait_for_counter(feeder: Feeder, counter: int) -> None:
    wait_until(lambda: feeder.last_counter >= counter, 15, "the moment of the kill")


def judge_files(agent: RunningAgent, source: str) -> None:
    """Every audio file has its sidecar and the other way round; every file plays to exactly its length."""
    folder = agent.recordings / source
    audio = {path.stem for path in folder.glob("*/*/*/*") if path.suffix in (".flac", ".mp3", ".ogg")}
    assert audio == {path.stem for path in folder.glob("*/*/*/*.json")}
    for segment in agent.segments(source):
        path = agent.path(segment)
        assert path.stat().st_size == segment["bytes"]
        if path.suffix == ".flac":
            subprocess.run(["flac", "--test", "--silent", path], check=True)
            assert len(pcm(path)) == segment["samples"]
        else:
            assert decoded_samples(path) == segment["samples"]


def judge_ledger(agent: RunningAgent, source: str, kills: int) -> None:
    """Each crash has its line, from the end of what was salvaged to the start of the next segment.

    A kill in the first moments of a file, before one whole FLAC frame is there, leaves nothing to salvage: the gap
    begins at the boundary then.
    """
    crashes = {gap["start"]: gap for gap in agent.gaps(source) if gap["cause"] == "agent_crashed"}
    assert len(crashes) == kills
    segments = agent.segments(source)
    ends = {segment["end"]: segment for segment in segments}
    joined = {segment["start"] for segment in segments if segment["gap_before"] is None}
    assert {segment["end"] for segment in segments if segment["recovered"]} <= set(crashes) | joined
    for start, gap in crashes.items():
        assert gap["at"] == "end"
        assert ends[start]["recovered"] or ends[start]["aligned_end"]
        after = next(other for other in segments if other["gap_before"] and other["gap_before"]["id"] == gap["id"])
        assert gap["end"] == max(after["start"], gap["start"])
        assert gap["duration_s"] * 1e9 == pytest.approx(utc_ns(gap["end"]) - utc_ns(gap["start"]), abs=2e6)


def judge_card(agent: RunningAgent, feeder: Feeder, killed_at: list[int]) -> None:
    heard = [counters(pcm(agent.path(segment))) for segment in agent.segments("mic")]
    last = np.array([part[-1] for part in heard], dtype=np.int64)
    for part in heard:
        assert np.array_equal(np.diff(part.astype(np.int64)), np.ones(len(part) - 1))
    lost_s = [(killed - last[last <= killed].max()) / 48000 for killed in killed_at]
    print(f"card: {max(lost_s):.2f} s lost at most, {np.mean(lost_s):.2f} s on average")
    assert max(lost_s) <= LOST_MOST_S


def judge_stream(agent: RunningAgent, raw: bytes, killed_at: list[int]) -> None:
    """The capture says what had been sent when the agent was killed; what of it is recorded, its own frames say.

    Lost is what is in no file: what a server's burst brought again after the restart is not.
    """
    sent = frames(raw)
    index = {frame.data: number for number, frame in enumerate(sent)}
    recorded: set[int] = set()
    for segment in agent.segments("radio"):
        payload = agent.path(segment).read_bytes()[segment["payload_offset"] :]
        numbers = [index[frame.data] for frame in frames(payload)]
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), "frames are lost or doubled within a file"
        recorded.update(numbers)
    hads = [
        max(number for number, frame in enumerate(sent) if frame.offset + len(frame.data) <= size) for size in killed_at
    ]
    lost_s = [count * FRAME_S for count in missing(hads, recorded)]
    print(f"stream: {max(lost_s):.2f} s lost at most, {np.mean(lost_s):.2f} s on average")
    assert max(lost_s) <= LOST_MOST_S


def missing(hads: list[int], recorded: set[int]) -> list[int]:
    """For each kill, how many packets are in no file of those sent since the kill before; `hads` are the last ones."""
    edges = [min(recorded) - 1, *hads]
    return [sum(number not in recorded for number in range(before + 1, had + 1)) for before, had in pairwise(edges)]


def judge_ogg(agent: RunningAgent, raw: bytes, killed_at: list[int], scratch: Path) -> None:
    """The same for Vorbis: ffmpeg reads the packets of the capture, of what had come at each kill, and of ours."""
    scratch.write_bytes(raw)
    index = {packet: number for number, packet in enumerate(packets(scratch, "ogg"))}
    recorded: set[int] = set()
    for segment in agent.segments("music"):
        kept = packets(agent.path(segment), "ogg")[segment["priming_packets"] :]
        numbers = [index[packet] for packet in kept]
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), "packets are lost or doubled within a file"
        recorded.update(numbers)
    hads = []
    for size in killed_at:
        scratch.write_bytes(raw[:size])
        hads.append(len(packets(scratch, "ogg")) - 1)
    lost_s = [count * VORBIS_BLOCK_S for count in missing(hads, recorded)]
    print(f"Ogg: {max(lost_s):.2f} s lost at most, {np.mean(lost_s):.2f} s on average")
    assert max(lost_s) <= LOST_MOST_S
