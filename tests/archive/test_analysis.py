"""Waveform, loud sections and level rows against a plain reckoning sample by sample."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agent.archive_format.levels import Rows, header, load_levels, row_start, row_type
from agent.loudness.rows import RowMaker
from archive_api.analysis.sections import JOINED_ROWS, VALUES_MOST, sections, waveform
from archive_api.analysis.store import LevelStore

RATES = st.sampled_from([1000, 8000, 11025, 22050, 44100])


@st.composite
def signals(draw: st.DrawFn) -> tuple[NDArray[np.float32], int]:
    """Noise whose loudness jumps, of one to three channels, up to three seconds."""
    rate = draw(RATES)
    samples = draw(st.integers(0, 3 * rate))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    steps = np.repeat(random.choice([0, 0.01, 0.3], samples // 500 + 1), 500)[:samples]
    data = (random.uniform(-1, 1, (draw(st.integers(1, 3)), samples)) * steps).astype(np.float32)
    return data, rate


def rows_of(data: NDArray[np.float32], rate: int, cuts: list[int]) -> Rows:
    maker = RowMaker(rate, data.shape[0])
    edges = [0, *sorted(cut % (data.shape[1] + 1) for cut in cuts), data.shape[1]]
    rows = [maker.push(data[:, start:stop]) for start, stop in itertools.pairwise(edges)]
    return np.concatenate([*rows, maker.finish()])


@given(signals(), st.lists(st.integers(0, 10**6), max_size=8))
def test_how_blocks_are_cut_changes_nothing(signal: tuple[NDArray[np.float32], int], cuts: list[int]) -> None:
    data, rate = signal
    pieces, whole = rows_of(data, rate, cuts), rows_of(data, rate, [])
    assert (pieces[["sample", "min", "max"]] == whole[["sample", "min", "max"]]).all()
    # Added up in another order, so the last of 24 bits may differ.
    assert np.allclose(pieces["mean_square"], whole["mean_square"], rtol=1e-6)


@given(signals())
def test_rows_are_what_their_samples_say(signal: tuple[NDArray[np.float32], int]) -> None:
    data, rate = signal
    rows = rows_of(data, rate, [])
    wanted = next(n for n in range(100) if row_start(n, rate) >= data.shape[1])
    assert len(rows) == wanted
    for number, row in enumerate(rows):
        part = data[:, row_start(number, rate) : row_start(number + 1, rate)].astype(np.float64)
        assert row["sample"] == row_start(number, rate)
        assert np.allclose(row["mean_square"], np.mean(part**2, axis=1), rtol=1e-6)
        assert (row["min"] == np.rint(part.min(axis=1) * 32768)).all()
        assert (row["max"] == np.minimum(32767, np.rint(part.max(axis=1) * 32768))).all()
        assert math.isnan(row["lufs_m"])


def made(squares: list[float], rate: int = 1000) -> Rows:
    """Rows of one channel with these mean squares; the peak is their root."""
    rows = np.zeros(len(squares), row_type(1))
    rows["sample"] = [row_start(number, rate) for number in range(len(squares))]
    rows["mean_square"][:, 0] = squares
    rows["min"][:, 0] = -np.rint(np.sqrt(np.nan_to_num(squares)) * 32768)
    return rows


@given(st.lists(st.sampled_from([0.0, 0.01, 0.5, math.nan]), max_size=60), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_sections_are_runs_joined_over_short_drops(squares: list[float], threshold: float) -> None:
    loud = [math.sqrt(0 if math.isnan(square) else np.float32(square)) >= threshold for square in squares]
    runs: list[list[int]] = []
    for number, is_loud in enumerate(loud):
        if is_loud and runs and number - runs[-1][-1] <= JOINED_ROWS + 1:
            runs[-1].append(number)
        elif is_loud:
            runs.append([number])
    wanted = [(run[0] / 10, (run[-1] + 1) / 10) for run in runs]
    found = sections(made(squares), 100 * len(squares), 1000, threshold)
    assert [(one["start"], one["end"]) for one in found] == wanted
    for one, run in zip(found, runs, strict=True):
        peak = max(math.sqrt(np.nan_to_num(squares[number])) for number in range(run[0], run[-1] + 1))
        assert one["peak"] == pytest.approx(peak, abs=1e-4)


@given(st.integers(0, 30_000), st.integers(1, 100))
def test_a_waveform_has_few_values_and_all_of_the_energy(count: int, last: int) -> None:
    squares = np.random.default_rng(count).uniform(0, 1, count)
    samples = max(0, 100 * (count - 1) + last)
    values, interval_s = waveform(made(squares.tolist()), samples)
    group = round(interval_s * 10)
    assert len(values) == -(-count // group) <= VALUES_MOST
    assert group == 1 or -(-count // (group - 1)) > VALUES_MOST
    for number, value in enumerate(values[:50]):
        part = squares[number * group : (number + 1) * group]
        weights = np.full(len(part), 100.0)
        if (number + 1) * group >= count:
            weights[-1] = last
        assert value == pytest.approx(math.sqrt(np.average(part, weights=weights)), abs=2e-6)


def test_the_store_forgets_what_was_not_used_longest(tmp_path_factory: pytest.TempPathFactory) -> None:
    size = len(header(1, 0))
    store = LevelStore(tmp_path_factory.mktemp("levels"), files_most=3, bytes_most=10 * size)
    for number in range(3):
        _keep(store, f"k{number}", size)
    assert store.find("k0") is not None
    _keep(store, "k3", size)
    assert [store.find(f"k{number}") is not None for number in range(4)] == [True, False, True, True]
    _keep(store, "k4", 9 * size)
    assert [store.find(f"k{number}") is not None for number in range(5)] == [False, False, False, True, True]


def _keep(store: LevelStore, key: str, size: int) -> None:
    written = store.begin()
    written.write_bytes(bytes(size))
    store.keep(written, key, 8000, 1)


def test_a_file_that_is_no_series_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("levels") / "x.npy"
    for data in (b"", b"\x93NUMPY", header(1, 0)[:100], header(1, 0).replace(b"sample", b"simple")):
        file.write_bytes(data)
        with file.open("rb") as opened, pytest.raises(ValueError):  # noqa: PT011
            load_levels(opened)
