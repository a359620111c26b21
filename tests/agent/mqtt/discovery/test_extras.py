from pathlib import Path

import pytest

from agent.config import load
from agent.mqtt.discovery import Memory, discovery_for
from agent.mqtt.discovery.ownership import Announced
from agent.mqtt.message import Message
from agent.mqtt.topics import Topics

CONFIG = """\
agent: {id: shed, name: Garden shed, state_directory: state}
mqtt: {discovery: {enabled: ENABLED, prefix: ha}}
sources:
  - {id: mic, type: test}
  - {id: radio, type: icecast, url: "http://localhost/live"}
"""


@pytest.fixture(autouse=True)
def _state(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()


def announced(folder: Path, enabled: str) -> list[str] | None:
    """What is said after a connection; None where there is nothing that could say anything."""
    file = folder / "config.yaml"
    file.write_text(CONFIG.replace("ENABLED", enabled), encoding="utf-8")
    extras = discovery_for(load(file), Topics("isr", "shed"), uid="ab" * 16, jitter=lambda: 0.0)
    if not extras:
        return None
    assert list(extras[0].announce(0.0)) == []
    return [said.topic for said in extras[0].due(5.0) if isinstance(said, Message)]


def test_the_configured_sources_are_announced(tmp_path: Path) -> None:
    assert announced(tmp_path, "true") == [f"ha/device/shed/{node}/config" for node in ("agent", "mic", "radio")]


def test_switched_off_there_is_nothing_unless_something_is_to_be_taken_back(tmp_path: Path) -> None:
    assert announced(tmp_path, "false") is None
    Memory(tmp_path / "state").keep({"ha/device/shed/mic/config": Announced({"state": "sensor"})})
    assert announced(tmp_path, "false") == ["ha/device/shed/mic/config"]
