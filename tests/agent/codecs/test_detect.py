import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.codecs.detect import ENOUGH_BYTES, detect
from agent.errors import CodecError
from agent.model import AudioFormat
from tests.agent.build import mp3_stream, real_mp3
from tests.parts import adts


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
        (b"RIFF\0\0\0\0WAVE", "WAV"),
    ],
)
def test_what_cannot_be_recorded_is_named_at_once(head: bytes, said: str) -> None:
    with pytest.raises(CodecError, match=said) as caught:
        detect(head)
    assert caught.value.hint


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1), (48000, 2), (32000, 2)])
@pytest.mark.parametrize("lost", [0, 1, 6, 100, 1000])
def test_aac_is_known_wherever_it_is_joined(rate: int, channels: int, lost: int) -> None:
    data = adts.encoded(rate, channels)
    assert detect(data[lost:]) == AudioFormat("aac", rate, channels)
    assert detect(data[:200]) is None


def test_aac_that_does_not_tell_its_channels_is_refused() -> None:
    sound = [one.data for one in adts.packets(adts.encoded())]
    hidden = b"".join(data[:2] + bytes([data[2] & 0xFE, data[3] & 0x3F]) + data[4:] for data in sound)
    with pytest.raises(CodecError, match="channel configuration 0") as caught:
        detect(hidden)
    assert caught.value.hint


def id3(size: int) -> bytes:
    return b"ID3\x03\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


@pytest.mark.parametrize("size", [0, 100, ENOUGH_BYTES, 700_000, (1 << 20) - 10])
def test_audio_is_known_behind_a_tag_of_any_usual_size(size: int) -> None:
    for audio, codec in ((real_mp3(), "mp3"), (adts.encoded(), "aac")):
        stream = id3(size) + id3(20) + audio[:5000]
        assert all(detect(stream[:length]) is None for length in (1, 3, 9, 10 + size // 2, 10 + size, 10 + size + 20))
        found = detect(stream)
        assert found is not None
        assert found.codec == codec


def test_a_tag_that_does_not_end_is_refused() -> None:
    with pytest.raises(CodecError, match="ID3 tag.*1048577 bytes") as caught:
        detect(id3((1 << 20) - 9)[:10])
    assert caught.value.hint


def test_what_is_behind_a_tag_has_to_be_audio() -> None:
    with pytest.raises(CodecError, match="no known audio"):
        detect(id3(5000) + bytes(ENOUGH_BYTES))


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
    assert found is None or found.codec in ("mp3", "aac")
