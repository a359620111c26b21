"""Whatever a system test has recorded is sound, and `isr-agent verify` says so."""

from collections.abc import Iterator

import pytest

from tests.system.running import MADE


@pytest.fixture(autouse=True)
def sound_recordings() -> Iterator[None]:
    """After each test, all that its agents recorded is verified, unless the test says why not (`spoiled`)."""
    yield
    while MADE:
        MADE.pop().verify()
