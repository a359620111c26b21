"""kill -9 under streams of every lossy codec: the server's burst brings back what was lost, and nothing comes twice."""

from contextlib import ExitStack
from pathlib import Path

from tests.parts.capture import RawCapture
from tests.parts.icecast import Icecast
from tests.system.running import RunningAgent
from tests.system.test_codecs import FORMATS, RATES, packets

CODECS = ("mp3", "aac", "vorbis", "opus")


def test_a_kill_loses_and_doubles_no_packet_where_the_burst_is_long_enough(tmp_path: Path) -> None:
    with Icecast(tmp_path / "icecast") as icecast, ExitStack() as capturing:
        captures = {}
        for codec in CODECS:
            icecast.feed(f"/{codec}", codec, sample_rate=RATES.get(codec, 44100))
            captures[codec] = capturing.enter_context(RawCapture(icecast.url(f"/{codec}")))
        lines = ["agent: {id: shed, timezone: UTC}", "recording: {period: 5s}", "sources:"]
        lines += [f'  - {{id: {codec}, type: icecast, url: "{icecast.url(f"/{codec}")}"}}' for codec in CODECS]
        with RunningAgent(tmp_path / "agent", "\n".join(lines) + "\n") as agent:
            for codec in CODECS:
                agent.wait_for_segments(codec, 2, timeout_s=30)
            agent.kill()
            agent.start()
            for codec in CODECS:
                agent.wait_for_segments(codec, 5, timeout_s=40)
            assert agent.stop() == 0
        for codec, capture in captures.items():
            raw = tmp_path / f"capture-{codec}"
            raw.write_bytes(capture.stop())
            sent = packets(raw, FORMATS[codec])
            kept = [
                packet
                for segment in agent.segments(codec)
                for packet in packets(agent.path(segment), FORMATS[codec])[segment["priming_packets"] :]
            ]
            first = sent.index(kept[0])
            assert kept == sent[first : first + len(kept)], codec
            (crash,) = [gap for gap in agent.gaps(codec) if gap["cause"] == "agent_crashed"]
            assert crash["duration_s"] < 0.03
