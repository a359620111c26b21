import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.codecs.flac_crc import crc8, crc16, crc16_moved
from tests.parts import flac as judge


@given(st.binary(max_size=300), st.integers(0, 40_000))
def test_the_checksums_are_those_of_a_walk_over_the_bytes(data: bytes, zeros: int) -> None:
    assert crc8(data) == judge.crc(data, 0x07, 8)
    assert crc16(data) == judge.crc(data, 0x8005, 16)
    assert crc16_moved(crc16(data), zeros) == judge.crc(data + bytes(zeros), 0x8005, 16)


@pytest.mark.parametrize("size", [1, 15, 16, 30, 4095, 9000, 70_001])
def test_data_of_any_size(size: int) -> None:
    for seed in range(5):
        data = np.random.default_rng(seed).bytes(size)
        checksum = judge.crc(data, 0x8005, 16)
        assert crc16(data) == checksum
        assert crc16(data + checksum.to_bytes(2, "big")) == 0


def test_a_frame_costs_a_fraction_of_a_walk() -> None:
    data = np.random.default_rng(0).bytes(9000)
    best = {}
    for name, checksum in (("folded", crc16), ("walked", lambda frame: judge.crc(frame, 0x8005, 16))):
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            checksum(data)
            times.append(time.perf_counter() - begin)
        best[name] = min(times)
    assert best["folded"] * 5 < best["walked"]
