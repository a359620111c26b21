import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codecs.aac import Aac, AacFramer, any_header, describes_itself, find_stream, header
from agent.codecs.base import Whole
from agent.codecs.decoding import Samples
from agent.codecs.packet_decoder import PacketDecoder
from agent.errors import CodecError
from agent.model import AudioFormat, Frame, Loss
from tests.agent.build import at, block, chunked, cut_places, singly
from tests.agent.codecs.checks import assert_stable, finished, saved, written
from tests.parts import adts as judge

AAC = Aac()
STEREO = AudioFormat("aac", 44100, 2)
STREAMS = [(44100, 2), (44100, 1), (48000, 2), (32000, 1), (24000, 2), (22050, 1)]
VARYING = "aevalsrc='0.5*sin(2*PI*440*t)*gt(t,1)+0.3*(random(0)-0.5)*gt(t,1.4)':s=44100"


def framed(parts: list[bytes], audio_format: AudioFormat = STEREO) -> list[Frame]:
    """Each packet as a frame of its own."""
    framer = AacFramer(audio_format)
    units = [unit for number, part in enumerate(parts) for unit in framer.push(block(part, number / 10))]
    return [single for unit in units if isinstance(unit, Frame) for single in singly(unit)]


def samples_of(packets: list[bytes], audio_format: AudioFormat) -> Samples:
    """What the meter hears of them."""
    decoder = PacketDecoder(audio_format)
    return np.concatenate([decoder.push(Frame(data, 1024, audio_format, at())) for data in packets], axis=1)


def level_db(samples: Samples) -> float:
    assert not np.isnan(samples).any()
    return float(10 * np.log10(np.mean(np.square(samples[:, 4096:]))))


@pytest.mark.parametrize(("rate", "channels"), STREAMS)
@pytest.mark.parametrize("mpeg_2", [False, True])
def test_real_streams_are_framed_as_an_independent_reader_does(rate: int, channels: int, *, mpeg_2: bool) -> None:
    data = judge.encoded(rate, channels, mpeg_2=mpeg_2)
    audio_format = AudioFormat("aac", rate, channels)
    found = framed([data], audio_format)
    assert [(frame.data, frame.samples) for frame in found] == [one[1:] for one in judge.packets(data)]
    assert {frame.format for frame in found} == {audio_format}


@given(cut_places, st.sampled_from(STREAMS))
@settings(max_examples=40)
def test_the_chunks_do_not_matter(cuts: list[int], stream: tuple[int, int]) -> None:
    data = judge.encoded(*stream)
    parts = chunked(data, cuts)
    found = framed(parts)
    assert b"".join(frame.data for frame in found) == data
    ends = np.cumsum([len(part) for part in parts])
    total = 0
    for number, frame in enumerate(found):
        total += len(frame.data)
        if number >= 3:  # the first ones wait until the headers behind them are there
            assert frame.received_at == at(int(np.argmax(ends >= total)) / 10)


@pytest.mark.parametrize("lost", [1, 6, 100, 1000])
def test_a_stream_joined_in_the_middle_begins_with_the_first_whole_packet(lost: int) -> None:
    data = judge.encoded()
    units = list(AacFramer(STEREO).push(block(data[lost:])))
    assert [unit.data for unit in units if isinstance(unit, Frame)] == [
        b"".join(one.data for one in judge.packets(data) if one.offset >= lost)
    ]
    assert not any(isinstance(unit, Loss) for unit in units)


def test_packets_with_a_checksum_and_of_several_blocks_are_framed() -> None:
    plain = [one.data for one in judge.packets(judge.encoded())]
    checked = [judge.with_crc(data) for data in plain[:10]]
    assert [frame.data for frame in framed([b"".join(checked)])] == checked
    doubled = [judge.joined(plain[number : number + 2]) for number in range(20, 40, 2)]
    found = framed([b"".join(doubled)])
    assert [(frame.data, frame.samples) for frame in found] == [(data, 2048) for data in doubled]


def test_what_is_reserved_or_too_short_is_no_header() -> None:
    sound = judge.encoded()[:7]
    assert header(sound, 0) is not None
    for number, mask in ((0, 0xFE), (1, 0x06), (2, 0x3C)):  # sync word, layer, sample rate 15
        wrong = bytearray(sound)
        wrong[number] = wrong[number] & ~0x3C | mask if number == 2 else wrong[number] ^ mask
        assert header(bytes(wrong), 0) is None
    assert header(sound[:6], 0) is None
    assert header(judge.with_length(sound, b""), 0) is None
    assert header(judge.with_length(sound, b"x"), 0) is not None
    assert header(judge.with_crc(judge.with_length(sound, b"")), 0) is None


def test_channels_that_only_the_audio_tells_are_seen_and_not_taken() -> None:
    sound = [one.data for one in judge.packets(judge.encoded())]
    hidden = [data[:2] + bytes([data[2] & 0xFE, data[3] & 0x3F]) + data[4:] for data in sound]
    stream = b"".join(hidden)
    told = any_header(stream, 0)
    assert told is not None
    assert told.channels == 0
    assert describes_itself(stream)
    assert not describes_itself(judge.encoded())
    assert find_stream(stream) is None
    assert framed([stream]) == []


@given(st.binary(max_size=500), cut_places)
def test_any_bytes_are_understood_or_passed_over(data: bytes, cuts: list[int]) -> None:
    for frame in framed(chunked(data, cuts)):
        assert frame.data in data


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "channels"), STREAMS)
def test_a_part_from_mid_stream_has_its_true_length(tmp_path: Path, rate: int, channels: int) -> None:
    audio_format = AudioFormat("aac", rate, channels)
    frames = framed([judge.encoded(rate, channels)], audio_format)[7:-5]
    muxer = AAC.muxer(audio_format)
    data = finished(muxer, frames)
    assert (muxer.samples, muxer.packets) == (1024 * len(frames), len(frames))
    assert data == b"".join(frame.data for frame in frames)
    assert judge.decoded_samples(saved(tmp_path, "part.aac", data)) == muxer.samples


def test_cut_at_any_byte_every_whole_packet_is_kept() -> None:
    frames = framed([judge.encoded(22050, 1)], AudioFormat("aac", 22050, 1))[:9]
    data = written(AAC.muxer(frames[0].format), frames)
    edges = np.cumsum([len(frame.data) for frame in frames])
    for length in range(len(data) + 1):
        whole = AAC.whole(data[:length])
        assert whole == AAC.snapshot(data[:length])
        kept = int(np.sum(edges <= length))
        if not kept:
            assert whole is None
            continue
        assert whole == Whole(int(edges[kept - 1]), 1024 * kept, kept, 0, AudioFormat("aac", 22050, 1), ())
        assert assert_stable(AAC, data[:length], whole) == data[: edges[kept - 1]]


@given(st.binary(max_size=600), st.sampled_from([0, 400]))
def test_anything_else_is_refused(data: bytes, head: int) -> None:
    candidate = judge.encoded()[:head] + data
    try:
        whole = AAC.whole(candidate)
    except CodecError:
        return
    assert whole is None or whole.length <= len(candidate)


def test_a_file_without_packets_is_empty() -> None:
    muxer = AAC.muxer(STEREO)
    assert (muxer.head(), muxer.settle(), muxer.finish()) == (b"", [], (b"", []))
    assert (muxer.samples, muxer.packets, muxer.payload_offset, muxer.priming_packets) == (0, 0, 0, 0)


# --- what is heard ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1, 1023, 1024, 30 * 1024 + 7])
def test_a_file_is_decoded_as_the_stream_is_but_for_its_first_packet(first: int) -> None:
    """The overlap of the first packet is missing: nothing else."""
    packets = [one.data for one in judge.packets(judge.encoded(sound=VARYING))]
    stream = samples_of(packets, STEREO)
    part = b"".join(packets[20:])
    whole = AAC.whole(part)
    assert whole is not None
    found = np.concatenate(list(AAC.decoded(io.BytesIO(part), whole, first)), axis=1)
    expected = stream[:, 20 * 1024 + first :]
    assert found.shape == expected.shape
    settled = max(0, 1024 - first)
    np.testing.assert_array_equal(found[:, settled:], expected[:, settled:])


def test_a_file_that_changed_since_is_an_error() -> None:
    part = judge.encoded()
    whole = AAC.whole(part)
    assert whole is not None
    with pytest.raises(CodecError, match="no aac packet at sample"):
        list(AAC.decoded(io.BytesIO(part[:5000]), whole, 0))


@pytest.mark.parametrize("channels", [1, 2])
def test_he_aac_has_its_true_length_and_level(channels: int) -> None:
    """The decoder gives twice the samples, and two channels for the header's one: the levels are those of the core."""
    audio_format = AudioFormat("aac", 22050, channels)
    plain = [one.data for one in judge.packets(judge.encoded(22050, channels))]
    restored = [judge.with_sbr(data) for data in plain]
    core, heard = samples_of(plain, audio_format), samples_of(restored, audio_format)
    assert heard.shape == core.shape == (channels, 1024 * len(plain))
    assert level_db(heard) == pytest.approx(level_db(core), abs=0.1)
    assert np.max(np.abs(heard)) == pytest.approx(np.max(np.abs(core)), rel=0.1)
    data = b"".join(restored)
    whole = AAC.whole(data)
    assert whole is not None
    assert whole.samples == 1024 * len(plain)
    again = np.concatenate(list(AAC.decoded(io.BytesIO(data), whole, 40 * 1024)), axis=1)
    np.testing.assert_allclose(again, heard[:, 40 * 1024 :], atol=1e-5)


def test_a_file_of_he_aac_lasts_as_long_for_a_player(tmp_path: Path) -> None:
    plain = [one.data for one in judge.packets(judge.encoded(24000, 2))]
    path = saved(tmp_path, "he.aac", b"".join(judge.with_sbr(data) for data in plain))
    assert judge.decoded_samples(path) == 2 * 1024 * len(plain)  # at 48 kHz


def test_packets_of_several_blocks_are_heard() -> None:
    plain = [one.data for one in judge.packets(judge.encoded())][:40]
    doubled = [judge.joined(plain[number : number + 2]) for number in range(0, 40, 2)]
    decoder = PacketDecoder(STEREO)
    heard = np.concatenate([decoder.push(Frame(data, 2048, STEREO, at())) for data in doubled], axis=1)
    np.testing.assert_array_equal(heard, samples_of(plain, STEREO))


def test_what_cannot_be_decoded_is_unknown_and_as_long() -> None:
    packets = [one.data for one in judge.packets(judge.encoded())]
    broken = packets[10][:7] + bytes([0xFF]) * (len(packets[10]) - 7)
    heard = samples_of([*packets[:10], broken, *packets[11:20]], STEREO)
    assert heard.shape == (2, 20 * 1024)
    assert np.isnan(heard[:, 10 * 1024 : 11 * 1024]).all()
    assert not np.isnan(heard[:, 11 * 1024 :]).any()
