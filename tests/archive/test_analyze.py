"""`/api/analyze` over the real server: series beside the audio, foreign files, hostile files."""

from __future__ import annotations

import math
import os
import signal
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import requests
import soundfile

from agent.archive_format.levels import HEADER_BYTES, header
from agent.loudness.rows import RowMaker
from tests.archive.support import Recordings, Served, source
from tests.parts.process import program
from tests.parts.waiting import wait_until

RATE = 8000
BLOCK = np.concatenate([np.zeros(RATE), np.full(RATE, 0.5), np.zeros(RATE // 5), np.full(RATE, -0.25), np.zeros(RATE)])
"""Silence, half scale for 1 s, 0.2 s of silence, a quarter for 1 s, silence: 4.2 s."""
WAVEFORM = [0.0] * 10 + [0.5] * 10 + [0.0] * 2 + [0.25] * 10 + [0.0] * 10


def ask(served: Served, name: str, more: str = "") -> requests.Response:
    return served.get(f"/api/analyze?file={quote(name)}{more}")


def decoded(served: Served, name: str) -> int:
    """How often this file was decoded."""
    return served.part.log_text().count(f"decoded {name} for its levels")


def series_beside(recordings: Recordings, file: str, *, part: str = "") -> None:
    """As the agent writes it; what is in the audio does not matter, because it must not be opened."""
    maker = RowMaker(RATE, 1)
    rows = np.concatenate([maker.push(BLOCK.astype(np.float32)[None, :]), maker.finish()])
    path = recordings.folder / (file.removesuffix(".part").rpartition(".")[0] + ".levels.npy" + part)
    path.write_bytes(header(1, len(rows)) + rows.tobytes())


def check_block(answer: dict[str, Any], name: str) -> None:
    assert list(answer) == ["file", "duration", "threshold", "waveform", "interval", "sections"]
    assert (answer["file"], answer["duration"], answer["interval"]) == (name, 4.2, 0.1)
    assert answer["waveform"] == pytest.approx(WAVEFORM, abs=1e-4)
    (section,) = answer["sections"]
    assert (section["start"], section["end"]) == (1.0, 3.2)
    assert section["peak"] == pytest.approx(0.5, abs=1e-4)


def test_a_series_beside_the_audio_is_enough(served: Served, recordings: Recordings) -> None:
    name = recordings.finished(4.2).segment.file
    series_beside(recordings, name)
    (recordings.folder / name).write_bytes(b"no audio at all")
    answer = ask(served, name)
    check_block(answer.json(), name)
    assert answer.json()["threshold"] == 0.05
    assert served.get(f"/api/analyze?file={quote(name)}", If_None_Match=answer.headers["ETag"]).status_code == 304
    check_block(served.get(f"/api/analyze?file={name}").json(), name)  # its + arrives as a space
    assert [one["start"] for one in ask(served, name, "&threshold=0.3").json()["sections"]] == [1.0]
    assert ask(served, name, "&threshold=0.3").json()["sections"][0]["end"] == 2.0
    assert ask(served, name, "&threshold=0.6").json()["sections"] == []
    assert decoded(served, name) == 0


def test_what_is_being_recorded_has_its_growing_series(served: Served, recordings: Recordings) -> None:
    writer = recordings.opened(4.2)
    recordings.status(source(writer=writer))
    assert writer.open_segment is not None
    name = writer.open_segment.file
    levels = recordings.folder / (name.removesuffix(".flac.part") + ".levels.npy.part")
    levels.unlink(missing_ok=True)
    early = ask(served, name)
    assert (early.status_code, early.headers["Retry-After"]) == (503, "1")
    series_beside(recordings, name, part=".part")
    check_block(ask(served, name).json(), name)
    with levels.open("ab") as file:
        file.write(b"torn")
    check_block(ask(served, name).json(), name)
    levels.write_bytes(levels.read_bytes()[: HEADER_BYTES + 22 * 10])
    assert ask(served, name).json()["duration"] == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_a_foreign_file_is_decoded_once(served: Served, recordings: Recordings, tmp_path: Path, kind: str) -> None:
    name = f"foreign one.{kind}"
    made = tmp_path / "made.wav"
    soundfile.write(made, BLOCK, RATE, subtype="PCM_16")
    argv = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-i", str(made), str(recordings.folder / name)]
    subprocess.run(argv, check=True, timeout=60)
    first = ask(served, name).json()
    if kind == "mp3":
        assert first["duration"] == pytest.approx(4.2, abs=0.2)
        assert first["interval"] == 0.1
        assert max(first["waveform"]) > 0.1
    else:
        check_block(first, name)
    kept = list((tmp_path / ".rec-archive" / "levels").iterdir())
    assert len(kept) == 1
    written_ns = kept[0].stat().st_mtime_ns
    assert ask(served, name).json() == first
    assert ask(served, name, "&threshold=1").json()["waveform"] == first["waveform"]
    assert decoded(served, name) == 1
    assert kept[0].stat().st_mtime_ns == written_ns
    kept[0].write_bytes(b"damaged")
    assert ask(served, name).json() == first
    assert decoded(served, name) == 2
    assert not [path for path in recordings.folder.iterdir() if path.name != name]


def wav(size: int, data: bytes, rate: int = RATE) -> bytes:
    """A WAV of 16 bits, whatever its header says of its size."""
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    return b"RIFF" + struct.pack("<I", min(size + 36, 0xFFFFFFFF)) + b"WAVE" + form + b"data" + struct.pack("<I", size)


def hostile(folder: Path) -> dict[str, int]:
    """Files, and how each is to be answered."""
    sound = (BLOCK * 32767).astype("<i2").tobytes()
    soundfile.write(folder / "x.ogg", BLOCK, RATE, format="OGG", subtype="VORBIS")
    (folder / "truncated-ogg.mp3").write_bytes((folder / "x.ogg").read_bytes()[:2000])
    (folder / "x.ogg").unlink()
    (folder / "text.mp3").write_text("this is a text\n" * 1000)
    (folder / "list.mp3").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\nhttp://127.0.0.1:1/x.mp3\n")
    (folder / "empty.flac").write_bytes(b"")
    (folder / "head.flac").write_bytes(b"fLaC" + bytes(3000))
    (folder / "noise.flac").write_bytes(b"fLaC" + os.urandom(100_000))
    (folder / "no-data.wav").write_bytes(wav(0, b"")[:-8])
    (folder / "zero.wav").write_bytes(wav(0, b""))
    (folder / "zero-rate.wav").write_bytes(wav(len(sound), sound, rate=0) + sound)
    (folder / "open-ended.wav").write_bytes(wav(0xFFFFFFFF, b"") + sound)
    (folder / "unclosed.wav").write_bytes(wav(0, b"") + sound)
    (folder / "short.wav").write_bytes(wav(len(sound), b"") + sound)
    (folder / "sparse.wav").write_bytes(wav(0xFFFFFFFF, b""))
    os.truncate(folder / "short.wav", 10 << 30)
    os.truncate(folder / "sparse.wav", 10 << 30)
    wrong = ("truncated-ogg.mp3", "text.mp3", "list.mp3", "empty.flac", "head.flac", "noise.flac")
    wrong_wavs = ("no-data.wav", "zero.wav", "zero-rate.wav")
    well = ("open-ended.wav", "unclosed.wav", "short.wav")
    return {**dict.fromkeys(wrong + wrong_wavs, 422), **dict.fromkeys(well, 200), "sparse.wav": 413}


def test_hostile_files_are_refused_soon_and_do_no_harm(served: Served, recordings: Recordings) -> None:
    wanted = hostile(recordings.folder)
    found = {}
    for name in wanted:
        began = time.monotonic()
        answer = ask(served, name)
        assert time.monotonic() - began < 8, name
        found[name] = answer.status_code
        if answer.status_code == 200:
            check_block(answer.json(), name)
            continue
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert str(recordings.folder) not in answer.text
        began = time.monotonic()
        assert ask(served, name).status_code == answer.status_code
        assert time.monotonic() - began < 0.5  # it is known by now, and no process is started
    assert found == wanted
    assert served.get("/healthz").json()["ok"]


def test_one_file_at_a_time_is_decoded(served: Served, recordings: Recordings) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (60 * 48000, 2))
    for name in ("long.flac", "other.flac"):
        soundfile.write(recordings.folder / name, noise, 48000)
    answers: list[requests.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(served, "long.flac"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    levels = recordings.folder.parent / ".rec-archive" / "levels"
    wait_until(lambda: list(levels.glob("*.part")), 10, "the decoding", poll_s=0.002)
    refused = ask(served, "other.flac")
    for thread in threads:
        thread.join(60)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert (refused.status_code, refused.headers.get("Retry-After")) == (503, "5")
    assert decoded(served, "long.flac") == 1
    assert ask(served, "other.flac").status_code == 200


def test_the_end_does_not_wait_for_decoding(served: Served, recordings: Recordings) -> None:
    (recordings.folder / "big.wav").write_bytes(wav(2_000_000_000, b"", rate=48000))
    os.truncate(recordings.folder / "big.wav", 2_000_000_044)
    ended: list[object] = []

    def asked() -> None:
        try:
            ended.append(ask(served, "big.wav").status_code)
        except requests.RequestException as error:
            ended.append(error)

    thread = threading.Thread(target=asked)
    thread.start()
    levels = recordings.folder.parent / ".rec-archive" / "levels"
    wait_until(lambda: list(levels.glob("*.part")), 10, "the decoding")
    (child,) = children_of(served.part.pid)
    os.kill(served.part.pid, signal.SIGTERM)
    wait_until(lambda: not served.part.running, 4, "the end of the archive")
    assert not Path(f"/proc/{child}").exists()
    thread.join(10)
    assert ended[0] == 503 or isinstance(ended[0], requests.ConnectionError), ended
    assert not list(levels.glob("*.part"))


def test_decoding_that_was_broken_off_is_begun_again(served: Served, recordings: Recordings) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (60 * 48000, 2))
    soundfile.write(recordings.folder / "long.flac", noise, 48000)
    answers: list[requests.Response] = []
    thread = threading.Thread(target=lambda: answers.append(ask(served, "long.flac")))
    thread.start()
    (child,) = wait_until(lambda: children_of(served.part.pid), 10, "the decoding", poll_s=0.002)
    os.kill(child, signal.SIGTERM)
    thread.join(20)
    assert (answers[0].status_code, answers[0].headers.get("Retry-After")) == (503, "5")
    assert ask(served, "long.flac").status_code == 200


def children_of(pid: int) -> list[int]:
    """Processes that a process has started (proc(5))."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?threshold=0.1", 400),
        ("?file=x.wav&threshold=nan", 400),
        ("?file=x.wav&threshold=1.1", 400),
        ("?file=x.wav&threshold=-1", 400),
        ("?file=x.wav&threshold=", 400),
        ("?file=x.wav&limit=1", 400),
        ("?file=x.wav&file=y.wav", 400),
        ("?file=x.wav", 404),
        ("?file=", 404),
        ("?file=../x.wav", 404),
        ("?file=%2e%2e/x.wav", 404),
        ("?file=%252e%252e%252fx.wav", 404),
        ("?file=/etc/passwd", 404),
        ("?file=status.json", 404),
        ("?file=.state/x.wav", 404),
        ("?file=x%00.wav", 404),
        ("?file=%ff.wav", 404),
        ("?file=x.ogg", 404),
    ],
)
def test_wrong_questions_are_problems(shared: Served, query: str, status: int) -> None:
    answer = shared.get(f"/api/analyze{query}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_the_ancestors_fields_are_numbers(served: Served, recordings: Recordings) -> None:
    name = recordings.finished(500.05).segment.file
    answer = ask(served, name, "&threshold=0").json()
    assert answer["duration"] == 500.05
    assert (len(answer["waveform"]), answer["interval"]) == (2501, 0.2)
    assert all(isinstance(value, float) and math.isfinite(value) for value in answer["waveform"])
    assert answer["sections"] == [{"start": 0.0, "end": 500.05, "peak": answer["sections"][0]["peak"]}]
