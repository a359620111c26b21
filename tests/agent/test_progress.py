import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.progress import Progress, counted, in_bytes, in_time


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_terminal_gets_one_line_with_amount_rate_and_time_left() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, is_terminal=True, now_s=clock)
    progress(0, 4_000_000)
    clock.now_s += 2
    progress(1_000_000, 4_000_000)
    shown = out.getvalue().split("\r")[-1]
    assert shown.rstrip() == "[#######                       ]  25 %  1.0 MB of 4.0 MB, 500.0 kB/s, 0:06 left"
    progress.clear()
    assert out.getvalue().endswith("\r" + " " * len(shown.rstrip()) + "\r")
    progress(4_000_000, 4_000_000)
    progress.end()
    assert out.getvalue().endswith("0:00 left\n")


def test_it_is_not_drawn_for_every_byte() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, is_terminal=True, now_s=clock)
    for done in range(1000):
        progress(done, 1000)
    assert out.getvalue().count("\r") == 1


def test_elsewhere_a_line_for_each_tenth() -> None:
    out = io.StringIO()
    progress = Progress(out, is_terminal=False, now_s=Clock(), unit="files")
    for done in range(101):
        progress(done, 100)
    progress.clear()
    progress.end()
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["0 %: 0 of 100 files", "10 %: 10 of 100 files"]
    assert len(lines) == 11


@given(st.lists(st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)), max_size=20), st.booleans())
def test_no_amount_breaks_it(steps: list[tuple[int, int]], is_terminal: bool) -> None:
    clock = Clock()
    progress = Progress(io.StringIO(), is_terminal=is_terminal, now_s=clock)
    for done, total in steps:
        clock.now_s += 3
        progress(done, total)
    progress.end()


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1500, "1.5 kB"), (2.5e12, "2.5 TB"), (1e16, "10000.0 TB")])
def test_bytes_are_scaled(count: float, text: str) -> None:
    assert in_bytes(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3723, "1:02:03")])
def test_times(seconds: float, text: str) -> None:
    assert in_time(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_what_is_counted_is_named_as_it_is_spoken(count: int, text: str) -> None:
    assert counted(count, "file") == text
