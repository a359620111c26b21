"""What the tests of the archive share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive.page_support import PHONE, Page
from tests.archive.support import Recordings, Served, serving
from tests.parts.browser import Browser


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


@pytest.fixture
def page(served: Served, recordings: Recordings) -> Iterator[Page]:
    """The page, not yet opened, in a window of a desktop."""
    with Browser() as browser:
        yield Page(browser, served, recordings)


@pytest.fixture
def phone(served: Served, recordings: Recordings) -> Iterator[Page]:
    """The same in a window as narrow as that of a phone."""
    with Browser(viewport=PHONE) as browser:
        yield Page(browser, served, recordings)
