import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.codecs.detect import ENOUGH_BYTES, detect
from agent.errors import CodecError
from agent.model import AudioFormat
from tests.agent.build import mp3_stream, real_mp3


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1), (48000, 2), (8000, 1)])
@pytest.mark.parametrize("lost", [0, 1, 100, 3000])
def test_mp3_is_known_wherever_it_is_joined(rate: int, channels: int, lost: int) -> None:
    assert detect(real_mp3(rate, channels)[lost:]) == AudioFormat("mp3", rate, channels)


def test_few_bytes_are_not_enough() -> None:
    stream = b"".join(mp3_stream(5))
    known = [length for length in range(len(stream)) if detect(stream[:length]) is not None]
    assert known == list(range(known[0], len(stream)))
    assert known[0] == 2 * 417 + 4


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\r\n  <HTML><body>404", "web page"),
        (b"\xef\xbb\xbf<html>", "web page"),
        (b"<?xml version='1.0'?>", "web page"),
        (b"#EXTM3U\nhttp://example.org/live", "playlist"),
        (b"[playlist]\nFile1=http://example.org", "playlist"),
        (b"OggS\0\2", "Ogg"),
        (b"fLaC\0\0\0\x22", "FLAC"),
        (b"RIFF\0\0\0\0WAVE", "WAV"),
    ],
)
def test_what_cannot_be_recorded_is_named_at_once(head: bytes, said: str) -> None:
    with pytest.raises(CodecError, match=said) as caught:
        detect(head)
    assert caught.value.hint


def adts(frames: int, length: int = 371) -> bytes:
    head = bytes([0xFF, 0xF1, 0x50, 0x80 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC])
    return (head + bytes(length - 7)) * frames


def test_aac_is_named_once_there_is_enough_to_be_sure() -> None:
    data = adts(60)
    assert detect(data[:5000]) is None
    with pytest.raises(CodecError, match="AAC"):
        detect(data)


def test_silence_is_no_audio() -> None:
    assert detect(bytes(ENOUGH_BYTES - 1)) is None
    with pytest.raises(CodecError, match="no known audio"):
        detect(bytes(ENOUGH_BYTES))


@given(st.binary(max_size=400), st.sampled_from([0, ENOUGH_BYTES]))
def test_any_bytes_have_a_verdict_or_none_yet(head: bytes, more: int) -> None:
    try:
        found = detect(head + head * (more // max(1, len(head))) + bytes(more))
    except CodecError as error:
        assert error.message
        return
    assert found is None or found.codec == "mp3"
