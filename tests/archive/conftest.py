"""What the tests of the archive share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive.support import Recordings, Served, serving


@pytest.fixture
def recordings(tmp_path: Path) -> Iterator[Recordings]:
    """An empty recordings folder, `tmp_path/rec`."""
    made = Recordings(tmp_path / "rec")
    yield made
    made.abandon()


@pytest.fixture
def served(tmp_path: Path, recordings: Recordings) -> Iterator[Served]:
    """The real archive, serving that folder."""
    with serving(tmp_path) as archive:
        yield archive


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One archive for tests that change nothing, with one recording of half a minute."""
    folder = tmp_path_factory.mktemp("shared")
    Recordings(folder / "rec").finished(30)
    with serving(folder) as archive:
        yield archive
