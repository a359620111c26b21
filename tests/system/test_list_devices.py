"""`isr-agent list-devices`: what can be recorded, for people and for programs."""

import json
import subprocess
import sys
from pathlib import Path

from tests.parts.scripted_card import FakeCard, ScriptedCards
from tests.system.running import REPOSITORY


def listed(cards: ScriptedCards, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", "list-devices", *options],
        env=cards.env | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_table_and_json(tmp_path: Path) -> None:
    cards = ScriptedCards(tmp_path, [FakeCard(20, "Mic", "Rode NT"), FakeCard(21, "Mic_1", "Rode NT")])
    table = listed(cards)
    assert table.returncode == 0
    assert table.stdout.splitlines()[0].split() == ["DEVICE", "NAME", "USB", "PORT", "ALSA", "NAME"]
    assert "hw:CARD=Mic_1,DEV=0" in table.stdout
    first, second = json.loads(listed(cards, "--json").stdout)
    assert first == {
        "device": "hw:CARD=Mic,DEV=0",
        "name": "Rode NT, USB Audio",
        "card": "Mic",
        "number": "hw:20,0",
        "usb": None,
        "port": None,
    }
    assert second["device"] == "hw:CARD=Mic_1,DEV=0"
    cards.plug()
    nothing = listed(cards)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "No sound card was found." in nothing.stderr
