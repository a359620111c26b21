import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import codecs
from agent.codecs.mp3 import xing_frame
from agent.codecs.tails import fingerprint, tail
from tests.agent.build import mp3_stream, real_mp3
from tests.agent.codecs.checks import finished
from tests.agent.codecs.test_contract import together
from tests.parts import adts
from tests.parts import mp3 as judge
from tests.parts.icecast import CODECS

HEAD = xing_frame(mp3_stream(1)[0][:4], None)


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (22050, 2), (8000, 1)])
@pytest.mark.parametrize("variable", [False, True])
def test_the_packets_of_a_short_file_are_all_found(rate: int, channels: int, *, variable: bool) -> None:
    data = real_mp3(rate, channels, variable=variable)
    head = xing_frame(data[:4], None)
    assert tail("mp3", head + data, len(head)) == [frame.data for frame in judge.frames(data)]


def test_the_packets_of_an_aac_file_are_all_found() -> None:
    data = adts.encoded()
    assert tail("aac", data, 0) == [packet.data for packet in adts.packets(data)]


@pytest.mark.parametrize("codec", CODECS)
def test_what_comes_again_is_known_from_the_file(codec: str) -> None:
    """All packets of a short file of any codec, by their fingerprints: those of the stream."""
    part = together(codec)
    container = codecs.container_for(part.format, "flac")
    muxer = container.muxer(part.format)
    data = finished(muxer, [part])
    name = part.format.codec
    found = [fingerprint(packet, name) for packet in tail(container.extension, data, muxer.payload_offset)]
    wanted = [fingerprint(packet, name) for packet, _ in part.packets()]
    assert found == wanted[-len(found) :]
    assert len(found) == muxer.packets or len(data) > 512 << 10
    assert len(found) > 20
    assert len(set(wanted)) == len(wanted)


@pytest.mark.parametrize("extension", ["aac", "flac", "mp3", "ogg", "opus"])
@given(data=st.binary(max_size=400))
def test_any_bytes_have_a_tail_or_none(extension: str, data: bytes) -> None:
    assert isinstance(tail(extension, data, 0), list)


@given(st.integers(1, 20_000))
@settings(max_examples=20, deadline=None)
def test_of_a_long_file_only_the_end_is_looked_at(leading: int) -> None:
    """Wherever the look begins, in the middle of a packet too."""
    packets = mp3_stream(200) * 10
    data = HEAD + bytes(leading) + b"".join(packets)
    found = tail("mp3", data, len(HEAD))
    assert found == packets[-len(found) :]
    assert sum(map(len, found)) > (512 << 10) - 2 * 417


def test_bodies_that_look_like_headers_are_not_taken_for_packets() -> None:
    """Each body holds a whole row of headers that lead on to the next, but not to the end of the file."""
    inner = b"".join(bytes((0xFF, 0xF3, 0x14, 0x00)) + bytes(20) for _ in range(17))
    packets = [bytes((0xFF, 0xFB, 0x90, 0x00)) + inner.ljust(413, b"\0")] * 2000
    found = tail("mp3", HEAD + b"".join(packets), len(HEAD))
    assert found
    assert found == packets[-len(found) :]


@pytest.mark.parametrize("data", [b"", b"RIFF", bytes(1 << 20), b"\xff" * 4000])
def test_what_is_no_mp3_has_no_tail(data: bytes) -> None:
    assert tail("mp3", data, 0) == []
    assert tail("wav", data, 0) == []
