"""Snapshots of real files: the same bytes while the recording goes on and after it was closed, and right files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import clock
from agent.codecs.mp3 import Mp3Framer
from agent.model import AudioFormat, Block, Frame, SegmentData, SegmentOpen
from agent.storage.writer import SegmentWriter
from archive_api.answers.problem import Problem
from archive_api.recordings.audio import Pinned, open_audio
from archive_api.recordings.content import Content, overlaid
from archive_api.recordings.snapshots import Snapshots
from tests.agent.build import singly
from tests.archive.support import START, Recordings, close, feed
from tests.parts import mp3
from tests.parts.process import program

MP3_RATE = 48000


def mp3_bytes(folder: Path, seconds: int, *options: str) -> bytes:
    """A stream as a station sends it, without the frame that describes a file."""
    file = folder / "stream.mp3"
    argv = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-y", "-f", "lavfi"]
    argv += [
        "-i",
        f"anoisesrc=d={seconds}:r={MP3_RATE}",
        *options,
        "-write_xing",
        "0",
        "-id3v2_version",
        "0",
        str(file),
    ]
    subprocess.run(argv, check=True, timeout=60)
    return file.read_bytes()


class GrowingMp3:
    """An MP3 segment that grows by the frames of a real encoder."""

    def __init__(self, recordings: Recordings, data: bytes) -> None:
        audio_format = AudioFormat("mp3", MP3_RATE, 1)
        self.writer = recordings.writer("radio")
        together = Mp3Framer(audio_format).push(Block(data, clock.now()))
        self._frames = [single for frame in together if isinstance(frame, Frame) for single in singly(frame)]
        self._at = START
        self.writer.push(SegmentOpen(START, 1.0, self._frames[0].format, True))

    def grow(self, frames: int) -> None:
        for frame in self._frames[:frames]:
            self._at += timedelta(seconds=frame.samples / MP3_RATE)
            self.writer.push(SegmentData(frame, self._at))
        self._frames = self._frames[frames:]
        self.writer.tick(clock.now())

    def finish(self) -> None:
        self.grow(len(self._frames))
        close(self.writer, self._at)


@contextmanager
def opened(recordings: Recordings, name: str, length: int | None, known: Snapshots | None = None) -> Iterator[Content]:
    content = open_audio(recordings.folder, known or Snapshots(), tuple(name.split("/")), length)
    assert isinstance(content, Content)
    try:
        yield content
    finally:
        content.close()


def pinned(recordings: Recordings, name: str) -> int:
    found = open_audio(recordings.folder, Snapshots(), tuple(name.split("/")), None)
    assert isinstance(found, Pinned)
    return found.length


def bytes_of(recordings: Recordings, name: str, length: int) -> bytes:
    with opened(recordings, name, length) as content:
        assert content.size == length
        return content.read(0, length)


def part_name(writer: SegmentWriter) -> str:
    assert writer.open_segment is not None
    return writer.open_segment.file


@pytest.mark.parametrize("container", ["flac", "wav"])
def test_pcm_snapshots_stay_the_same_after_the_close(tmp_path: Path, recordings: Recordings, container: str) -> None:
    writer = recordings.opened(3, container=container)
    name = part_name(writer)
    seen: dict[int, bytes] = {}
    for step in range(1, 4):
        length = pinned(recordings, name)
        seen[length] = bytes_of(recordings, name, length)
        feed(writer, START + timedelta(seconds=3 * step), 3, seed=step)
    close(writer, START + timedelta(seconds=12))
    finished = name.removesuffix(".part")
    assert len(seen) == 3
    for number, (length, data) in enumerate(seen.items()):
        assert bytes_of(recordings, name, length) == data
        assert bytes_of(recordings, finished, length) == data
        file = tmp_path / f"{number}.{container}"
        file.write_bytes(data)
        info = soundfile.info(file)
        samples, _ = soundfile.read(file)
        assert info.frames == len(samples)
        assert 0 <= 3 * (number + 1) * info.samplerate - info.frames < 4608
    if container == "flac":
        subprocess.run([program("flac", "flac"), "-s", "-t", str(tmp_path / "2.flac")], check=True, timeout=60)


@pytest.mark.parametrize("options", [("-b:a", "128k"), ("-q:a", "4")], ids=["constant", "variable"])
def test_mp3_snapshots_stay_the_same_after_the_close(
    tmp_path: Path, recordings: Recordings, options: tuple[str, ...]
) -> None:
    growing = GrowingMp3(recordings, mp3_bytes(tmp_path, 12, *options))
    growing.grow(100)
    name = part_name(growing.writer)
    seen: dict[int, bytes] = {}
    for _ in range(3):
        length = pinned(recordings, name)
        seen[length] = bytes_of(recordings, name, length)
        growing.grow(100)
    growing.finish()
    for number, (length, data) in enumerate(seen.items()):
        assert bytes_of(recordings, name, length) == data
        assert bytes_of(recordings, name.removesuffix(".part"), length) == data
        file = tmp_path / f"{number}.mp3"
        file.write_bytes(data)
        frames = mp3.frames(data, skip_info=True)
        assert len(frames) == 100 * (number + 1)
        assert mp3.decoded_samples(file) == mp3.samples_of(frames)


def test_a_file_torn_within_a_unit_is_pinned_at_the_unit_before(recordings: Recordings) -> None:
    writer = recordings.opened(5)
    name = part_name(writer)
    length = pinned(recordings, name)
    feed(writer, START + timedelta(seconds=5), 1, seed=2)
    longer = pinned(recordings, name)
    os.truncate(recordings.folder / name, longer - 3)
    assert length <= pinned(recordings, name) < longer
    os.truncate(recordings.folder / name, length + 50)
    assert pinned(recordings, name) == length
    for wrong in (length - 1, length + 1, 1, 42):
        with pytest.raises(Problem) as refused:
            bytes_of(recordings, name, wrong)
        assert refused.value.status == 400
    with pytest.raises(Problem) as beyond:
        bytes_of(recordings, name, length + 100)
    assert beyond.value.status == 416


def test_before_the_first_unit_there_is_nothing_yet(recordings: Recordings) -> None:
    writer = recordings.opened(0.1)
    with pytest.raises(Problem) as early:
        pinned(recordings, part_name(writer))
    assert early.value.status == 503
    assert early.value.headers == {"retry-after": "1"}


def test_the_walk_is_done_once(recordings: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    name = part_name(recordings.opened(5))
    known = Snapshots()
    found = open_audio(recordings.folder, known, tuple(name.split("/")), None)
    assert isinstance(found, Pinned)

    def never(*_: object) -> None:
        raise AssertionError("the file was walked again")

    monkeypatch.setattr("archive_api.recordings.snapshots._measure", never)
    with opened(recordings, name, found.length, known) as content:
        assert content.read(0, 4) == b"fLaC"


def test_an_inode_used_again_is_another_file(recordings: Recordings) -> None:
    known = Snapshots()
    one = recordings.finished(5, start=START)
    two = recordings.finished(5, start=START + timedelta(seconds=900))
    size = one.path.stat().st_size
    with opened(recordings, one.segment.file, size, known) as content:
        first = content.validators
    with one.path.open("r+b") as file:
        file.write(two.path.read_bytes()[:size])
    renamed = one.path.with_name("other.flac")
    one.path.rename(renamed)
    with opened(recordings, str(renamed.relative_to(recordings.folder)), size, known) as content:
        assert content.validators != first


@given(start=st.integers(0, 60), length=st.integers(0, 60), offset=st.integers(0, 50), patch=st.binary(max_size=30))
def test_patches_fall_where_they_belong(start: int, length: int, offset: int, patch: bytes) -> None:
    from agent.codecs.base import Patch

    file = bytes(range(100, 200))
    whole = file[:offset] + patch + file[offset + len(patch) :]
    assert overlaid(file[start : start + length], start, [Patch(offset, patch)]) == whole[start : start + length]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    at=st.integers(0, 120), junk=st.binary(min_size=1, max_size=40), extension=st.sampled_from(["flac", "wav", "mp3"])
)
def test_damaged_headers_are_refused_and_never_a_fault(
    recordings: Recordings, at: int, junk: bytes, extension: str
) -> None:
    folder = recordings
    source = next(folder.folder.rglob("*.wav"), None) or folder.finished(1, container="wav").path
    data = {
        "wav": source.read_bytes(),
        "flac": b"fLaC\x00\x00\x00\x22" + bytes(200),
        "mp3": b"\xff\xfb\x90\x64" + bytes(900),
    }
    damaged = data[extension][:at] + junk + data[extension][at + len(junk) :]
    (folder.folder / f"x.{extension}.part").write_bytes(damaged)
    try:
        length = pinned(folder, f"x.{extension}.part")
    except Problem as problem:
        assert problem.status in (404, 503)
    else:
        assert 0 < length <= len(damaged)
    for file in folder.folder.glob("x.*"):
        file.unlink()
