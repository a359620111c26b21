"""Byte ranges: a table after RFC 9110 and nginx, and generated fields against a model that works byte by byte."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive_api.answers.ranges import MOST_SPANS, Span, parse_ranges

TABLE = [
    # the field, the size, what comes of it (None: whole file, (): 416)
    ("bytes=0-0", 10, ((0, 1),)),
    ("bytes=0-9", 10, ((0, 10),)),
    ("bytes=2-5", 10, ((2, 6),)),
    ("bytes=2-", 10, ((2, 10),)),
    ("bytes=-3", 10, ((7, 10),)),
    ("bytes=-10", 10, ((0, 10),)),
    ("bytes=-99", 10, ((0, 10),)),
    ("bytes=5-99", 10, ((5, 10),)),
    ("BYTES=2-5", 10, ((2, 6),)),
    ("bytes=0002-0005", 10, ((2, 6),)),
    ("bytes= 2-5 ", 10, ((2, 6),)),
    ("bytes=,2-5,", 10, ((2, 6),)),
    ("bytes=0-1 ,\t4-5", 10, ((0, 2), (4, 6))),
    ("bytes=4-5,0-1", 10, ((4, 6), (0, 2))),
    ("bytes=0-3,2-5", 10, ((0, 6),)),
    ("bytes=0-1,2-3", 10, ((0, 4),)),
    ("bytes=6-7,0-1,2-3", 10, ((6, 8), (0, 4))),
    ("bytes=0-0,-1", 10, ((0, 1), (9, 10))),
    ("bytes=0-0,99-", 10, ((0, 1),)),
    ("bytes=99-,-0", 10, ()),
    ("bytes=10-", 10, ()),
    ("bytes=10-20", 10, ()),
    ("bytes=-0", 10, ()),
    ("bytes=0-", 0, ()),
    ("bytes=-5", 0, ()),
    (f"bytes={'9' * 40}-", 10, ()),
    (f"bytes=3-{'9' * 5000}", 10, ((3, 10),)),
    (f"bytes=-{'9' * 40}", 10, ((0, 10),)),
    # more bytes than there are, and what is no range at all
    ("bytes=0-9,0-0", 10, None),
    ("bytes=0-5,3-9", 10, None),
    ("bytes=5-2", 10, None),
    ("bytes=0-1,5-2", 10, None),
    ("bytes=", 10, None),
    ("bytes=,", 10, None),
    ("bytes=-", 10, None),
    ("bytes=--1", 10, None),
    ("bytes=1", 10, None),
    ("bytes=a-b", 10, None),
    ("bytes=+2-5", 10, None),
    ("bytes=1_0-11", 100, None),
    ("bytes=0x1-2", 10, None),
    ("bytes=٢-٥", 10, None),
    ("bytes=1-2;3-4", 10, None),
    ("bytes=1 -2", 10, None),
    ("bytes =1-2", 10, None),
    ("bytes 1-2", 10, None),
    ("items=0-1", 10, None),
    ("", 10, None),
]


@pytest.mark.parametrize(("field", "size", "expected"), TABLE)
def test_the_table(field: str, size: int, expected: tuple[tuple[int, int], ...] | None) -> None:
    found = parse_ranges([field], size)
    assert found == (None if expected is None else tuple(Span(*pair) for pair in expected))


def test_no_field_and_two_fields_mean_the_whole_file() -> None:
    assert parse_ranges([], 10) is None
    assert parse_ranges(["bytes=0-1", "bytes=0-1"], 10) is None


def test_sixteen_pieces_are_served_and_seventeen_are_not() -> None:
    apart = [f"{2 * at}-{2 * at}" for at in range(MOST_SPANS + 1)]
    assert len(parse_ranges([f"bytes={','.join(apart[:-1])}"], 1000) or ()) == MOST_SPANS
    assert parse_ranges([f"bytes={','.join(apart)}"], 1000) is None
    touching = ",".join(f"{at}-{at}" for at in range(500))
    assert parse_ranges([f"bytes={touching}"], 1000) == (Span(0, 500),)


@pytest.mark.parametrize(
    "field",
    [
        "bytes=" + ",".join(f"{2 * at}-{2 * at}" for at in range(10_000)),
        "bytes=" + "0-," * 20_000,
        "bytes=" + "," * 65_000,
        "bytes=" + " " * 65_000 + "x",
        "bytes=" + "9" * 65_000 + "-",
        "bytes=0-0" + ", " * 30_000 + "x",
    ],
)
def test_hostile_fields_cost_next_to_nothing(field: str) -> None:
    """As much as some looks at each character; what grows with the square of the length takes a thousand times that."""
    assert _best_s(lambda: parse_ranges([field], 10**9)) < 30 * _best_s(lambda: sum(map(str.isdigit, field)))


def _best_s(work: Callable[[], object]) -> float:
    times_s = []
    for _ in range(5):
        begin_s = time.thread_time()
        work()
        times_s.append(time.thread_time() - begin_s)
    return min(times_s)


_SPECS = st.one_of(
    st.builds(lambda first, more: f"{first}-{first + more}", st.integers(0, 40), st.integers(0, 20)),
    st.builds(lambda first: f"{first}-", st.integers(0, 40)),
    st.builds(lambda count: f"-{count}", st.integers(0, 40)),
)


def _model(spec: str, size: int) -> set[int]:
    """The bytes of one range, after the words of RFC 9110, 14.1.2."""
    first, last = spec.split("-")
    if not first:
        return set(range(max(0, size - int(last)), size))
    return {at for at in range(size) if at >= int(first) and (not last or at <= int(last))}


@given(st.lists(_SPECS, min_size=1, max_size=8), st.integers(0, 30))
def test_right_ranges_against_the_model(specs: list[str], size: int) -> None:
    wanted = [_model(spec, size) for spec in specs]
    found = parse_ranges(["bytes=" + ",".join(specs)], size)
    if sum(len(some) for some in wanted) > size:
        assert found is None
        return
    assert found is not None
    served = [at for span in found for at in range(span.start, span.stop)]
    assert set(served) == set().union(*wanted)
    assert len(served) == len(set(served))
    edges = {edge for span in found for edge in (span.start, span.stop)}
    assert len(edges) == 2 * len(found), "pieces that touch are one"
    order = [next(i for i, some in enumerate(wanted) if some & set(range(s.start, s.stop))) for s in found]
    assert order == sorted(order)


@given(st.text(alphabet="bytes=-,0123456789 \t+x", max_size=40), st.integers(0, 30))
def test_anything_at_all(field: str, size: int) -> None:
    found = parse_ranges([field], size)
    if found is not None:
        assert re.match(r"[ \t]*bytes=", field, re.IGNORECASE)
        assert all(0 <= span.start < span.stop <= size for span in found)
        assert sum(span.length for span in found) <= size
