"""Frames: what they hold can be taken apart where its units end, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Frame
from tests.agent.build import MP3_STEREO, at, pcm_frame, singly, together

SIZES = st.lists(st.integers(1, 500), min_size=1, max_size=20)


def packets(sizes: list[int]) -> list[Frame]:
    return [Frame(bytes([number]) * size, 1152, MP3_STEREO, at(1)) for number, size in enumerate(sizes)]


@given(SIZES)
def test_packets_that_came_together_are_the_packets(sizes: list[int]) -> None:
    assert singly(together(packets(sizes))) == packets(sizes)


@given(SIZES, st.integers(0, 20))
def test_a_frame_of_packets_is_divided_between_any_two(sizes: list[int], place: int) -> None:
    single = packets(sizes)
    count = min(place, len(single))
    first, second = together(single).split(1152 * count)
    for part, wanted in ((first, single[:count]), (second, single[count:])):
        assert part.samples == 1152 * len(wanted)
        if wanted:
            assert part == together(wanted)
        else:
            assert (part.data, part.borders) == (b"", ())


def test_a_packet_is_never_cut_in_two() -> None:
    with pytest.raises(ValueError, match="no packet of this mp3 frame ends behind sample 100"):
        together(packets([10, 10])).split(100)


@given(st.integers(1, 100), st.integers(0, 100))
def test_pcm_is_divided_behind_any_sample(samples: int, place: int) -> None:
    frame = pcm_frame(samples)
    first, second = frame.split(min(place, samples))
    assert first.samples == min(place, samples)
    assert first.samples + second.samples == samples
    assert first.data + second.data == frame.data
