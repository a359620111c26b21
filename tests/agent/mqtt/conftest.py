from collections.abc import Iterator

import pytest

from tests.agent.mqtt.rig import clean_up


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    yield
    clean_up()
