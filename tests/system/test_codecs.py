"""Every codec from a real icecast2, against a second, plain listener and against other people's readers.

Payloads are read by ffmpeg's demuxers on both sides, lengths by its decoders and by the codec's own checker.
"""

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.parts.capture import RawCapture
from tests.parts.icecast import CODECS, Icecast
from tests.parts.process import program
from tests.system.running import Json, RunningAgent

PERIOD_S, SPLITS = 5, 7
RATES = {"opus": 48000}
EXTENSIONS = {"mp3": "mp3", "aac": "aac", "vorbis": "ogg", "opus": "opus", "oggflac": "flac", "flac": "flac"}
FORMATS = {**EXTENSIONS, "oggflac": "ogg", "opus": "ogg"}
"""What the capture is, in the words of ffmpeg."""
CHECKERS = {
    "vorbis": (["ogginfo"], "vorbis-tools"),
    "opus": (["opusinfo"], "opus-tools"),
    "oggflac": (["flac", "-t", "-s"], "flac"),
    "flac": (["flac", "-t", "-s"], "flac"),
}


@dataclass
class Recorded:
    """What one agent has made of all mounts, and what plain listeners got."""

    agent: RunningAgent
    folder: Path

    def segments(self, codec: str) -> list[Json]:
        return self.agent.segments(codec)

    def capture(self, codec: str) -> Path:
        return self.folder / f"capture.{FORMATS[codec]}-{codec}"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """All codecs at once, side by side."""
    folder = tmp_path_factory.mktemp("codecs")
    with Icecast(folder / "icecast") as icecast, ExitStack() as capturing:
        captures = {}
        for codec in CODECS:
            icecast.feed(f"/{codec}", codec, sample_rate=RATES.get(codec, 44100))
            captures[codec] = capturing.enter_context(RawCapture(icecast.url(f"/{codec}")))
        lines = ["agent: {id: shed, timezone: UTC}", f"recording: {{period: {PERIOD_S}s}}", "sources:"]
        lines += [f'  - {{id: {codec}, type: icecast, url: "{icecast.url(f"/{codec}")}"}}' for codec in CODECS]
        with RunningAgent(folder / "agent", "\n".join(lines) + "\n") as agent:
            for codec in CODECS:
                agent.wait_for_segments(codec, SPLITS, timeout_s=20 + PERIOD_S * (SPLITS + 2))
            assert agent.stop() == 0
        found = Recorded(agent, folder)
        for codec, capture in captures.items():
            found.capture(codec).write_bytes(capture.stop())
    return found


def ffmpeg(*arguments: str) -> bytes:
    command = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def packets(file: Path, demuxer: str) -> list[str]:
    """Checksums of the packets of a file, in order."""
    lines = ffmpeg("-f", demuxer, "-i", str(file), "-map", "0:a", "-c", "copy", "-f", "framehash", "-hash", "md5", "-")
    return [line.rpartition(",")[2].strip() for line in lines.decode().splitlines() if not line.startswith("#")]


def decoded(file: Path, demuxer: str) -> bytes:
    """Samples as ffmpeg decodes them, 32 bit float, all channels interleaved."""
    return ffmpeg("-f", demuxer, "-i", str(file), "-map", "0:a", "-f", "f32le", "-")


@pytest.mark.parametrize("codec", CODECS)
def test_the_files_say_what_they_are(recorded: Recorded, codec: str) -> None:
    segments = recorded.segments(codec)
    assert len(segments) >= SPLITS
    for segment in segments:
        assert segment["file"].endswith("." + EXTENSIONS[codec])
        assert (segment["container"], segment["channels"]) == (EXTENSIONS[codec], 2)
        assert segment["sample_rate_hz"] == RATES.get(codec, 44100)
        assert segment["codec"] == {"oggflac": "flac"}.get(codec, codec)
        assert segment["loudness"]["rms_dbfs"] == pytest.approx(-14, abs=6)
    causes = {line["cause"] for line in recorded.agent.ledger(codec)}
    assert causes <= {"starting", "agent_stopped"}
    for before, after in pairwise(segments):
        assert before["end"] == after["start"]
        assert before["duration_s"] == pytest.approx(PERIOD_S, abs=0.2) or before is segments[0]


@pytest.mark.parametrize("codec", ["mp3", "aac", "vorbis", "opus"])
def test_no_packet_is_lost_or_doubled(recorded: Recorded, codec: str) -> None:
    sent = packets(recorded.capture(codec), FORMATS[codec])
    kept = []
    for segment in recorded.segments(codec):
        path = recorded.agent.path(segment)
        found = packets(path, FORMATS[codec])[segment["priming_packets"] :]  # ffmpeg itself passes over a Xing frame
        assert len(found) == segment["packets"]
        kept += found
    first = sent.index(kept[0])
    assert kept == sent[first : first + len(kept)]


@pytest.mark.parametrize("codec", ["vorbis", "oggflac", "flac"])
def test_parts_decoded_and_joined_are_the_capture_decoded(recorded: Recorded, codec: str) -> None:
    whole = decoded(recorded.capture(codec), FORMATS[codec])
    joined = b"".join(decoded(recorded.agent.path(segment), EXTENSIONS[codec]) for segment in recorded.segments(codec))
    at = whole.find(joined[:40_000])
    assert at >= 0, "the beginning of the recording is not in what was sent"
    assert joined == whole[at : at + len(joined)]


@pytest.mark.parametrize("codec", CODECS)
def test_each_file_decodes_to_the_samples_of_its_sidecar(recorded: Recorded, codec: str) -> None:
    for segment in recorded.segments(codec):
        samples = len(decoded(recorded.agent.path(segment), FORMATS[codec] if codec != "oggflac" else "flac")) // 8
        assert samples == segment["samples"]


@pytest.mark.parametrize("codec", CHECKERS)
def test_the_codecs_own_checker_is_clean(recorded: Recorded, codec: str) -> None:
    (name, *options), package = CHECKERS[codec]
    for segment in recorded.segments(codec):
        command = [program(name, package), *options, str(recorded.agent.path(segment))]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        said = result.stdout + result.stderr
        complaints = [line for line in said.splitlines() if "WARNING" in line.upper() or "ERROR" in line.upper()]
        assert (result.returncode, [line for line in complaints if "MD5" not in line]) == (0, [])
