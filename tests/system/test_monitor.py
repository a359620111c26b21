"""`device: monitor`: what is being played, through a real PulseAudio."""

from pathlib import Path

import numpy as np

from tests.parts.pipe_feeder import chunk_bytes
from tests.parts.process import Part
from tests.parts.pulse import PipeCard, counters
from tests.system.running import RunningAgent, pcm

CONFIG = (
    "agent: {id: shed}\nrecording: {period: 5s}\nsources: [{id: played, type: alsa, device: monitor, channels: 2}]\n"
)
OUTPUT = "load-module module-null-sink sink_name=out rate=48000 channels=2 format=s16le\nset-default-sink out\n"


def test_what_is_played_is_recorded_bit_for_bit(tmp_path: Path) -> None:
    music = tmp_path / "music.raw"
    music.write_bytes(chunk_bytes(1, 30 * 48000, 2))
    with PipeCard(tmp_path / "card", modules=OUTPUT) as card, card.feed():
        env = card.env | {"PULSE_SERVER": card.server}
        player = Part(
            ["pacat", "--raw", "--rate=48000", "--channels=2", "--format=s16le", str(music)],
            package="pulseaudio-utils",
            log=tmp_path / "pacat.log",
            env=env,
        )
        with RunningAgent(tmp_path / "agent", CONFIG, env=env) as agent:
            agent.wait_for_state("played", "recording")
            with player:
                agent.wait_for_segments("played", 3, timeout_s=30)
            assert agent.stop() == 0
        heard = np.concatenate([counters(pcm(agent.path(one))) for one in agent.segments("played")]).astype(np.int64)
    music_heard = heard[heard > 0]
    assert len(music_heard) > 4 * 48000
    assert (np.diff(music_heard) == 1).all(), "a sample of what was played is lost or changed"


def test_without_a_sound_server_it_says_so(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card") as card:
        env = card.env | {"PULSE_SERVER": f"{card.server}-away"}
        with RunningAgent(tmp_path / "agent", CONFIG, env=env) as agent:
            status = agent.wait_for_state("played", "reconnecting")
            assert "the sound server does not answer" in status["last_error"]
            assert agent.stop() == 0
