"""Overruns as arecord tells them, held against what was really lost."""

import time
from pathlib import Path

import pytest

from tests.parts.scripted_card import FakeCard, ScriptedCards
from tests.parts.waiting import wait_until
from tests.system.counted import RATE, assert_accounted, assert_times, heard, holes
from tests.system.running import RunningAgent

pytestmark = pytest.mark.real_time

BOGUS = "overrun!!! (at least -1700000.000 ms long)"
OVERRUN = "overrun!!! (at least 2527.189 ms long)"
ON = ["audio", None]
PLAYS = {
    # a message, and nothing is missing; nor where what comes next is late for a while
    "Bogus": [["audio", 4.0], ["say", BOGUS], ["audio", 3.0], ["say", OVERRUN], ON],
    "Late": [["audio", 4.0], ["hold", 0.9], ["say", OVERRUN], ON],
    # a message and a loss, long and short, with a number that is far too large
    "Lossy": [["audio", 4.0], ["lose", 1.5], ["say", OVERRUN], ["audio", 4.0], ["lose", 0.06], ["say", OVERRUN], ON],
    "Twice": [["audio", 4.0], ["lose", 0.7], ["say", OVERRUN], ["audio", 0.1], ["lose", 0.8], ["say", BOGUS], ON],
    # a loss, and not a word
    "Mute": [["audio", 4.0], ["lose", 0.5], ON],
}


def test_what_arecord_says_is_believed_as_far_as_the_clock_bears_it_out(tmp_path: Path) -> None:
    cards = ScriptedCards(
        tmp_path / "cards",
        [FakeCard(number, name) for number, name in enumerate(PLAYS)],
        plays={name: [steps] for name, steps in PLAYS.items()},
    )
    sources = "".join(
        f"  - {{id: {name.lower()}, type: alsa, device: 'hw:CARD={name}', channels: 2}}\n" for name in PLAYS
    )
    config = f"agent: {{id: shed, timezone: UTC}}\nrecording: {{period: 30s}}\nsources:\n{sources}"
    with RunningAgent(tmp_path / "agent", config, env=cards.env) as agent:
        for name in PLAYS:
            agent.wait_for_state(name.lower(), "recording")
        started_ns = max(cards.starts(name)[0].mono_ns for name in PLAYS)
        wait_until(lambda: time.monotonic_ns() > started_ns + 16_000_000_000, 30, "the plays to be over")
        assert agent.stop() == 0

    for source in ("bogus", "late"):
        assert holes(agent, source) == []
        assert_accounted(agent, source, [])
        assert all(segment["reason"] in ("boundary", "shutdown") for segment in agent.segments(source))
    assert_accounted(agent, "lossy", ["overrun", "overrun"], within_s=0.02)
    assert_accounted(agent, "mute", ["overrun"], within_s=0.02)
    for source in ("bogus", "late", "lossy", "mute"):
        assert_times(agent, cards, source)

    # Two losses with hardly any audio between them: together they are right.
    lost_s = sum(hole.length_s for hole in holes(agent, "twice"))
    told = [gap for gap in agent.gaps("twice") if gap["cause"] == "overrun"]
    assert abs(sum(gap["duration_s"] for gap in told) - lost_s) < 0.05
    assert 1.49 < lost_s < 1.51
    assert len(heard(agent, "twice")[-1]) > RATE
    ledgers = "".join((agent.recordings / name.lower() / "gaps.jsonl").read_text() for name in PLAYS)
    assert "at least" not in ledgers, "a number of arecord's stands in the ledger"
