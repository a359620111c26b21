"""Lengths of files that have no sidecar, against files of real encoders."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from archive_api.recordings.durations import duration_s, is_audio
from tests.archive.test_snapshots import mp3_bytes
from tests.parts.process import program

RATE = 48000


def _length(file: Path, extension: str) -> float | None:
    data = file.read_bytes()
    return duration_s(extension, lambda at, length: data[at : at + length], len(data))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_lengths_of_wav_files(tmp_path: Path, subtype: str) -> None:
    file = tmp_path / "x.wav"
    soundfile.write(file, np.zeros((RATE * 2, 2)), RATE, subtype=subtype)
    assert _length(file, "wav") == 2
    data = file.read_bytes()
    at = data.index(b"data") + 4
    for size in (0, 0xFFFFFFFF):  # as left behind by a recorder that was killed
        file.write_bytes(data[:at] + size.to_bytes(4, "little") + data[at + 4 :])
        assert _length(file, "wav") == 2
    file.write_bytes(data[: at + 4 + (len(data) - at - 4) // 2])
    assert _length(file, "wav") == 1


@pytest.mark.parametrize("options", [("-b:a", "128k"), ("-b:a", "64k", "-ac", "2")])
def test_lengths_of_mp3_files_without_a_description(tmp_path: Path, options: tuple[str, ...]) -> None:
    data = mp3_bytes(tmp_path, 7, *options)
    for lead in (b"", b"ID3\x04\x00\x00\x00\x00\x08\x00" + bytes(1024)):
        file = tmp_path / "x.mp3"
        file.write_bytes(lead + data)
        assert _length(file, "mp3") == pytest.approx(7, abs=0.08)


def test_lengths_of_mp3_files_of_varying_rate(tmp_path: Path) -> None:
    file = tmp_path / "x.mp3"
    argv = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi", "-i", "anoisesrc=d=7", "-q:a", "5"]
    subprocess.run([*argv, str(file)], check=True, timeout=60)
    assert _length(file, "mp3") == pytest.approx(7, abs=0.08)
    file.write_bytes(mp3_bytes(tmp_path, 7, "-q:a", "5"))
    assert _length(file, "mp3") is None or _length(file, "mp3") == pytest.approx(7, rel=0.2)


def test_lengths_that_no_header_tells(tmp_path: Path) -> None:
    file = tmp_path / "x"
    for data in (b"", b"junk" * 100, b"fLaC", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd"):
        file.write_bytes(data)
        assert [_length(file, extension) for extension in ("flac", "wav", "mp3")] == [None, None, None]


def encoded(file: Path, *options: str) -> Path:
    argv = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-y", "-f", "lavfi"]
    argv += ["-i", f"anoisesrc=d=12:r={RATE}:a=0.3", *options, str(file)]
    subprocess.run(argv, check=True, timeout=60)
    return file


@pytest.mark.parametrize(("name", "codec"), [("x.ogg", "libvorbis"), ("x.opus", "libopus"), ("long.ogg", "libvorbis")])
def test_lengths_of_ogg_files(tmp_path: Path, name: str, codec: str) -> None:
    file = encoded(tmp_path / name, "-c:a", codec)
    extension = file.suffix[1:]
    assert _length(file, extension) == pytest.approx(12, abs=0.001)
    data = file.read_bytes()
    file.write_bytes(data + data.replace(data[14:18], b"\0\0\0\1"))  # a second stream behind the first
    assert _length(file, extension) is None


def test_adts_does_not_tell_its_length(tmp_path: Path) -> None:
    assert _length(encoded(tmp_path / "x.aac", "-c:a", "aac"), "aac") is None


@pytest.mark.parametrize("extension", ["aac", "flac", "mp3", "ogg", "opus", "wav"])
def test_a_file_is_known_by_its_beginning(tmp_path: Path, extension: str) -> None:
    def known(content: bytes) -> bool:
        return is_audio(extension, lambda at, length: content[at : at + length], len(content))

    file = encoded(tmp_path / f"x.{extension}")
    data = file.read_bytes()
    assert known(data)
    for junk in (b"", b"<html>", b"\0" * 5000, data[7:40]):
        assert not known(junk)
        file.write_bytes(junk)
        assert _length(file, extension) is None
