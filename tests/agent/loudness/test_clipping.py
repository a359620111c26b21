import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.loudness.clipping import Clipping


@given(
    full=st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=20),
    cuts=st.lists(st.integers(0, 100), max_size=10),
)
def test_runs_of_three_and_more_count_in_full_however_they_come(full: list[tuple[bool, int]], cuts: list[int]) -> None:
    row = [1.0 if is_full else 0.2 for is_full, length in full for _ in range(length)]
    data = np.array([row, [-value for value in row]], np.float32).reshape(2, -1)
    text = "".join("x" if value == 1.0 else "." for value in row)
    wanted = 2 * sum(len(run) for run in text.split(".") if len(run) >= 3)
    clipping = Clipping(2, 1.0)
    places = sorted({0, data.shape[1], *(cut % (data.shape[1] + 1) for cut in cuts)})
    pieces = [data[:, low:high] for low, high in zip(places, places[1:], strict=False)]
    counts = [clipping.push(piece) for piece in pieces]
    assert [count.shape for count in counts] == [(1, piece.shape[1]) for piece in pieces]
    assert sum(int(count.sum()) for count in counts) == wanted
