import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.codecs.pcm import PcmFramer
from agent.model import AudioFormat, SampleFormat
from tests.agent.build import MP3_STEREO, at, block, chunked, cut_places

formats = st.builds(AudioFormat.pcm, st.just(48000), st.integers(1, 8), st.sampled_from(SampleFormat))


@given(formats, st.binary(max_size=400), cut_places)
def test_whole_samples_come_out_whatever_the_chunks(audio_format: AudioFormat, data: bytes, cuts: list[int]) -> None:
    framer = PcmFramer(audio_format)
    frames = [
        frame for number, part in enumerate(chunked(data, cuts)) for frame in framer.push(block(part, number / 10))
    ]
    width = audio_format.bytes_per_sample
    assert width is not None
    assert b"".join(frame.data for frame in frames) == data[: len(data) // width * width]
    for frame in frames:
        assert len(frame.data) == frame.samples * width > 0
        assert frame.format == audio_format


def test_a_frame_is_stamped_with_its_last_byte() -> None:
    framer = PcmFramer(AudioFormat.pcm(48000, 1, SampleFormat.S16_LE))
    assert list(framer.push(block(b"\1", 1.0))) == []
    (frame,) = framer.push(block(b"\2", 2.0))
    assert (frame.data, frame.received_at) == (b"\1\2", at(2.0))


def test_a_compressed_format_is_refused() -> None:
    with pytest.raises(ValueError, match="not PCM"):
        PcmFramer(MP3_STEREO)
