"""What goes wrong is said clearly, and disturbs nobody else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.parts.http_stub import HttpStub, Page, Talk
from tests.parts.icecast import Icecast
from tests.parts.process import free_port
from tests.parts.pulse import PipeCard
from tests.parts.waiting import wait_until
from tests.system.running import REPOSITORY, RunningAgent


def test_each_fault_has_its_state_and_message_and_the_others_record_on(tmp_path: Path) -> None:
    pages = {
        "/json": Page("application/json", b'{"status": "down"}'),
        "/hls": Page("application/vnd.apple.mpegurl", b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:6,\na.ts\n"),
    }
    with HttpStub(pages, {"/trickle": _trickle}) as stub:
        urls = {name: stub.url(f"/{name}") for name in ("html", "missing", "ogg", "dead", "json", "hls", "trickle")}
        urls["away"] = f"http://127.0.0.1:{free_port()}/live.mp3"
        streams = "".join(f"  - {{id: {name}, type: icecast, url: '{url}'}}\n" for name, url in urls.items())
        config = (
            "agent: {id: shed}\nrecording: {period: 5s}\nsources:\n"
            "  - {id: good, type: test, signal: noise}\n"
            "  - {id: card, type: alsa, device: No such microphone}\n"
            "  - {id: pcm, type: alsa, device: 'hw:CARD=Nowhere'}\n" + streams
        )
        with RunningAgent(tmp_path, config) as agent:
            expected = {
                "card": ("error", "no sound card is called 'No such microphone'"),
                "pcm": ("error", "the device is not there"),
                "html": ("error", "a web page came instead of audio"),
                "missing": ("error", "the server answered 404"),
                "ogg": ("error", "an Ogg stream of Speex cannot be recorded"),
                "away": ("reconnecting", "cannot connect: Connection refused"),
                "json": ("reconnecting", "the stream ended after 18 bytes of JSON that are no known audio"),
                "hls": ("error", "an HLS playlist came, and HLS is not supported (use the address of"),
                "trickle": ("reconnecting", "no answer from the server"),
                "dead": ("stalled", "nothing came for 10 s"),
            }
            for source, (state, message) in expected.items():
                status = agent.wait_for_state(source, state, timeout_s=25)
                assert message in status["last_error"], source
                assert status["gap"]["cause"] in ("refused", "device_lost", "stall")
                assert not list((agent.recordings / source).glob("*/*/*/*")), "a fault is never a recording"
            agent.wait_for_segments("good", 4, timeout_s=30)
            assert agent.stop() == 0
        assert all(segment["gap_before"] is None for segment in agent.segments("good")[1:])
        assert agent.log().count("a web page came") == 1, "a repeating fault is logged once"


def test_a_stream_that_comes_back_is_recorded_again(tmp_path: Path) -> None:
    with Icecast(tmp_path / "icecast") as icecast:
        feed = icecast.feed_mp3("/live.mp3")
        config = (
            "agent: {id: shed}\nrecording: {period: 5s}\n"
            f"sources: [{{id: radio, type: icecast, url: '{icecast.url('/live.mp3')}'}}]\n"
        )
        with RunningAgent(tmp_path / "agent", config) as agent:
            agent.wait_for_state("radio", "recording")
            icecast.restart()
            agent.wait_for_state("radio", "reconnecting")
            feed.start()
            agent.wait_for_state("radio", "recording", timeout_s=30)
            assert agent.stop() == 0
        lost = next(gap for gap in agent.gaps("radio") if gap["cause"] == "disconnected")
        assert (lost["at"], lost["missing"]) == ("end", True)
        assert any(segment["reason"] == "gap" for segment in agent.segments("radio"))


def test_a_card_that_goes_and_comes_back_is_recorded_again(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card", device="unplugged") as card:
        card.feed()
        config = "agent: {id: shed}\nsources: [{id: mic, type: alsa, device: unplugged, channels: 2}]\n"
        with RunningAgent(tmp_path / "agent", config, env=card.env) as agent:
            agent.wait_for_state("mic", "recording")
            card.unplug()
            agent.wait_for_state("mic", "reconnecting", timeout_s=10)
            card.start()
            card.feed()
            agent.wait_for_state("mic", "recording", timeout_s=10)
            assert agent.stop() == 0
        assert [gap["cause"] for gap in agent.gaps("mic") if gap["cause"] == "device_lost"]


def test_a_hung_card_is_replaced(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card", device="hung") as card:
        feeder = card.feed()
        config = "agent: {id: shed}\nsources: [{id: mic, type: alsa, device: hung, channels: 2}]\n"
        with RunningAgent(tmp_path / "agent", config, env=card.env) as agent:
            agent.wait_for_state("mic", "recording")
            feeder.stop()
            agent.wait_for_state("mic", "stalled", timeout_s=10)
            card.feed()
            agent.wait_for_state("mic", "recording", timeout_s=15)
            assert agent.stop() == 0
        assert [gap["cause"] for gap in agent.gaps("mic") if gap["cause"] == "stall"]


def test_no_child_survives_the_agent(tmp_path: Path) -> None:
    with PipeCard(tmp_path / "card", device="orphaned") as card, card.feed():
        config = "agent: {id: shed}\nsources: [{id: mic, type: alsa, device: orphaned, channels: 2}]\n"
        with RunningAgent(tmp_path / "agent", config, env=card.env) as agent:
            agent.wait_for_state("mic", "recording")
            assert _arecords("orphaned")
            agent.kill()
            wait_until(lambda: not _arecords("orphaned"), 5, "arecord to end with the agent")


def test_a_second_agent_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    config = "agent: {id: shed}\nsources: [{id: test, type: test}]\n"
    with RunningAgent(tmp_path, config) as agent:
        second = subprocess.run(
            [sys.executable, "-m", "agent", "run", "--config", str(tmp_path / "config.yaml")],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            cwd=REPOSITORY,
        )
        assert second.returncode == 1
        assert f"another agent (process {agent.part.pid}) already uses" in second.stderr
        assert "recording.directory" in second.stderr
        assert agent.stop() == 0


def test_the_wish_to_stop_outlives_a_crash(tmp_path: Path) -> None:
    config = "agent: {id: shed}\nsources: [{id: test, type: test}]\n"
    agent = RunningAgent(tmp_path, config)
    with agent:
        agent.wait_for_state("test", "recording")
        assert agent.stop() == 0
    desired = tmp_path / "recordings" / ".state" / "desired.json"
    desired.write_text('{"v": 1, "stopped": ["test"]}')
    with agent:
        agent.wait_for_gap("test", "stopped")
        agent.kill()
    with agent:
        status = agent.wait_for_gap("test", "stopped")
        assert (status["state"], status["desired"]) == ("stopped", "stop")
        gaps = agent.gaps("test")
        assert [gap["cause"] for gap in gaps] == ["starting", "agent_stopped", "stopped"]
        assert "test: stays stopped, as it was asked to be" in agent.part.log_text()
        assert agent.stop() == 0


def test_two_signals_at_once_are_one_wish_and_a_later_one_leaves(tmp_path: Path) -> None:
    config = "agent: {id: shed}\nsources: [{id: test, type: test}]\n"
    with RunningAgent(tmp_path, config) as agent:
        agent.wait_for_state("test", "recording")
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(agent.part.pid, number)
        wait_until(lambda: not agent.part.running, 20, "the agent to end")
        assert agent.part.returncode == 0
        assert agent.unfinished() == []
        assert not (agent.recordings / "status.json").exists()


def _trickle(talk: Talk) -> None:
    """Headers without end, each soon enough."""
    talk.send(b"HTTP/1.0 200 OK\r\n")
    while not talk.wait(1):
        talk.send(b"X-More: 1\r\n")


def _arecords(device: str) -> list[int]:
    listing = subprocess.run(["pgrep", "-f", f"^arecord .*{device}"], capture_output=True, text=True, check=False)
    return [int(line) for line in listing.stdout.split()]
