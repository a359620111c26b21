"""A file seen through FileView is what its bytes are."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive_api.recordings import view
from archive_api.recordings.view import FileView


@contextmanager
def viewed(data: bytes) -> Iterator[FileView]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield FileView(file.fileno(), len(data))


@pytest.fixture(autouse=True, scope="module")
def small_window() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view, "_WINDOW_BYTES", 8)
        yield


PLACE = st.integers(0, 60)


@given(st.binary(max_size=50), st.lists(st.tuples(PLACE, PLACE), max_size=8))
def test_slices(data: bytes, parts: list[tuple[int, int]]) -> None:
    with viewed(data) as seen:
        assert len(seen) == len(data)
        for start, stop in parts:
            assert seen[start:stop] == data[start:stop]


@given(st.text("ab", max_size=50), st.text("ab", min_size=1, max_size=4), PLACE, PLACE)
def test_finding(text: str, wanted: str, start: int, end: int) -> None:
    data, sought = text.encode(), wanted.encode()
    with viewed(data) as seen:
        assert seen.find(sought, start, end) == data.find(sought, start, end)
        assert seen.rfind(sought, start, end) == data.rfind(sought, start, end)
        assert seen.find(sought) == data.find(sought)
        assert seen.rfind(sought) == data.rfind(sought)


def test_a_file_that_was_cut_short_reads_short() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        seen = FileView(file.fileno(), 10)
        os.ftruncate(file.fileno(), 4)
        assert seen[2:8] == b"23"
        assert seen.find(b"9") == -1
        assert seen.rfind(b"9") == -1
