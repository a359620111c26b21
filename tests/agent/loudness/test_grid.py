import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.loudness.grid import Grid
from agent.loudness.rows import row_grid


@given(
    rate=st.sampled_from([8000, 11025, 22050, 44100, 48000]),
    samples=st.integers(0, 3000),
    first=st.integers(0, 3),
    cuts=st.lists(st.integers(0, 3000), max_size=20),
    seed=st.integers(0, 99),
)
def test_blocks_are_those_of_the_whole_however_it_comes(
    rate: int, samples: int, first: int, cuts: list[int], seed: int
) -> None:
    def edge(block: int) -> int:
        return (block * rate + 500) // 1000

    data = np.random.default_rng(seed).integers(-100, 100, (2, samples)).astype(np.float64)
    grid = Grid(edge, (np.fmin, np.fmax, np.add), block=first)
    places = [0, *sorted(cut % (samples + 1) for cut in cuts), samples]
    got: list[tuple[object, ...]] = []
    for low, high in zip(places, places[1:], strict=False):
        piece = data[:, low:high]
        blocks = grid.push((piece, piece, piece))
        for number in range(len(blocks)):
            values = [value[:, number].tolist() for value in blocks.values]
            got.append((blocks.edges[number], blocks.edges[number + 1], values))
    last = grid.finish()
    got.extend((*last.edges[:2], [value[:, 0].tolist() for value in last.values]) for _ in range(len(last)))

    start, wanted, block = edge(first), [], first
    while edge(block) < start + samples:
        low, high = edge(block), min(edge(block + 1), start + samples)
        part = data[:, low - start : high - start]
        wanted.append((low, high, [part.min(1).tolist(), part.max(1).tolist(), part.sum(1).tolist()]))
        block += 1
    assert got == wanted


def test_what_is_not_a_number_spoils_the_power_of_its_block_alone_and_no_extreme() -> None:
    samples = np.full((1, 9600), 0.5, np.float32)
    samples[0, 100] = np.nan
    blocks = row_grid(48000).push((samples, samples, np.square(samples, dtype=np.float64)))
    low, high, energy = blocks.values
    assert low.tolist() == high.tolist() == [[0.5, 0.5]]
    assert np.isnan(energy[0]).tolist() == [True, False]
