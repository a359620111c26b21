"""An MP3 stream of a real icecast2 against a second, plain listener: no frame lost, none doubled, lengths exact."""

from itertools import pairwise
from pathlib import Path

from tests.parts.capture import RawCapture
from tests.parts.icecast import Icecast
from tests.parts.mp3 import decoded_samples, frames
from tests.system.running import RunningAgent

CONFIG = """
agent: {{id: shed, timezone: Asia/Kolkata}}
recording: {{period: 5s}}
sources:
  - {{id: radio, name: Local radio, type: icecast, url: "{url}"}}
"""


def test_six_splits_lose_and_double_no_frame(tmp_path: Path) -> None:
    with Icecast(tmp_path / "icecast", charset="UTF-8") as icecast:
        icecast.feed_mp3("/live.mp3", title="Gruß vom Fluß – Teil 1")
        with RawCapture(icecast.url("/live.mp3")) as capture:
            config = CONFIG.format(url=icecast.url("/live.mp3"))
            with RunningAgent(tmp_path / "agent", config) as agent:
                agent.wait_for_segments("radio", 3, timeout_s=40)
                icecast.set_title("/live.mp3", "Zweites Lied")
                agent.wait_for_segments("radio", 8, timeout_s=40)
                assert agent.stop() == 0
            raw = capture.stop()

        segments = agent.segments("radio")
        assert len(segments) >= 8
        recorded = [frame.data for segment in segments for frame in frames(payload(agent, segment))]
        sent = [frame.data for frame in frames(raw)]
        first = sent.index(recorded[0])
        assert recorded == sent[first : first + len(recorded)], "a frame is lost or doubled"

        for segment in segments:
            found = frames(payload(agent, segment))
            assert segment["packets"] == len(found)
            assert segment["samples"] == 1152 * len(found)
            assert decoded_samples(agent.path(segment)) == segment["samples"]
        for before, after in pairwise(segments):
            assert before["end"] == after["start"]
        titles = [title["text"] for segment in segments for title in segment["titles"]]
        assert titles[0] == "Gruß vom Fluß – Teil 1"
        assert titles[-1] == "Zweites Lied"
        assert segments[-1]["url"] == icecast.url("/live.mp3")


def payload(agent: RunningAgent, segment: dict[str, object]) -> bytes:
    offset = segment["payload_offset"]
    assert isinstance(offset, int)
    return agent.path(segment).read_bytes()[offset:]
