"""Whole files of every known container, decoded, against what was put in and what ffmpeg gets out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.codecs.decode_file import decode_file
from agent.errors import CodecError
from tests.parts.mp3 import decoded
from tests.parts.process import program

RATE = 44100
SINE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)
BOTH = np.stack((SINE, SINE / 4), axis=1)


def encoded(folder: Path, suffix: str, *options: str) -> Path:
    source, made = folder / "source.wav", folder / f"made{suffix}"
    soundfile.write(source, BOTH, RATE, subtype="FLOAT")
    argv = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-y", "-i", str(source), *options, str(made)]
    subprocess.run(argv, check=True, timeout=60)
    return made


def samples(file: Path | int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with decode_file(file) as audio:
        assert (audio.sample_rate_hz, audio.channels) == (RATE, 2)
        return np.concatenate(list(audio.blocks), axis=1)


@pytest.mark.parametrize(
    ("suffix", "options", "error"),
    [
        (".wav", ("-c:a", "pcm_s16le"), 1e-4),
        (".wav", ("-c:a", "pcm_s24le"), 1e-6),
        (".wav", ("-c:a", "pcm_f32le"), 1e-7),
        (".wav", ("-c:a", "pcm_u8"), 1e-2),
        (".wav", ("-c:a", "pcm_s16le", "-rf64", "always"), 1e-4),
        (".flac", ("-sample_fmt", "s16"), 1e-4),
    ],
)
def test_what_was_put_in_comes_out(tmp_path: Path, suffix: str, options: tuple[str, ...], error: float) -> None:
    found = samples(encoded(tmp_path, suffix, *options))
    assert found.dtype == np.float32
    assert np.abs(found - BOTH.T).max() <= error


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".aac"])
def test_compressed_audio_is_what_ffmpeg_finds(tmp_path: Path, suffix: str) -> None:
    made = encoded(tmp_path, suffix)
    found = samples(made)
    judge = decoded(made, channels=2).T / 32768
    assert found.shape == judge.shape
    assert np.abs(found - judge).max() < 1e-4


def test_a_descriptor_is_read_from_its_beginning_and_stays_open(tmp_path: Path) -> None:
    made = encoded(tmp_path, ".flac")
    with made.open("rb") as file:
        file.seek(1000)
        first = samples(file.fileno())
        assert (samples(file.fileno()) == first).all()
        os.fstat(file.fileno())


def test_a_damaged_packet_is_passed_over(tmp_path: Path) -> None:
    made = encoded(tmp_path, ".mp3")
    data = bytearray(made.read_bytes())
    data[20_000:22_000] = bytes(2000)
    made.write_bytes(data)
    assert 2.5 * RATE < samples(made).shape[1] <= 3.1 * RATE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"RIFF",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0WAVEfmt " + bytes(100),
        b"fLaC",
        b"OggS",
        b"ID3",
        b"\xff\xf1",
    ],
)
def test_what_is_no_audio_is_told(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x.mp3"
    for more in (b"", bytes(100_000), b"#EXTM3U\n/etc/passwd\n" * 100):
        file.write_bytes(data + more)
        assert not has_sound(file)


def has_sound(file: Path) -> bool:
    try:
        with decode_file(file) as audio:
            return any(block.shape[1] for block in audio.blocks)
    except CodecError:
        return False
