import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.load import SIGNALS
from agent.model import SampleFormat
from agent.sources.signal import encode, make_signal


@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("first", [0, 2400, 192_000, 48_000 * 3600])
def test_the_same_arguments_make_the_same_samples_within_full_scale(kind: str, first: int) -> None:
    one, other = (make_signal(kind, first, 2400, 48000) for _ in range(2))
    assert one.shape == (2400,)
    assert np.array_equal(one, other)
    assert np.abs(one).max() <= 1


def level_dbfs(kind: str, first: int, count: int) -> float:
    blocks = [make_signal(kind, at, 2400, 48000) for at in range(first, first + count, 2400)]
    return float(10 * np.log10(np.mean(np.concatenate(blocks) ** 2) + 1e-20))


def test_bursts_are_faint_for_four_seconds_and_loud_for_one() -> None:
    assert level_dbfs("bursts", 0, 4 * 48000) == pytest.approx(-60, abs=1)
    assert level_dbfs("bursts", 4 * 48000, 48000) == pytest.approx(-15, abs=4)
    assert level_dbfs("silence", 0, 4800) < -190


def test_a_tone_joins_from_block_to_block() -> None:
    whole = make_signal("tone", 0, 9600, 48000)
    parts = np.concatenate([make_signal("tone", at, 2400, 48000) for at in range(0, 9600, 2400)])
    assert np.allclose(whole, parts)


@given(st.sampled_from(SampleFormat), st.integers(1, 4), st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_every_layout_keeps_the_signal_on_every_channel(
    layout: SampleFormat, channels: int, values: list[float]
) -> None:
    data = encode(np.array(values), channels, layout)
    assert len(data) == len(values) * channels * layout.bytes_per_sample
    if layout is SampleFormat.FLOAT_LE:
        found = np.frombuffer(data, "<f4").astype(float)
    elif layout is SampleFormat.S16_LE:
        found = np.frombuffer(data, "<i2") / 32767
    elif layout is SampleFormat.S24_3LE:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        found = (wide.reshape(-1).view("<i4") >> 8) / (2**23 - 1)
    else:
        found = np.frombuffer(data, "<i4") / (2 ** (layout.bits - 1) - 1)
    assert np.allclose(found.reshape(-1, channels), np.array(values)[:, np.newaxis], atol=2**-15)
