"""Cards that hang, go, dry up, are busy or refuse: each has its state, its words and its gap, and records again."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.parts.scripted_card import FakeCard, ScriptedCards
from tests.parts.waiting import wait_until
from tests.system.counted import RATE, assert_accounted, assert_times, heard, holes
from tests.system.running import RunningAgent

pytestmark = pytest.mark.real_time

ON = ["audio", None]
GONE = [["say", "arecord: pcm_read:2221: read error: No such device"], ["exit", 1]]
PLAYS = {
    "Hung": [[["audio", 4.0], ["hang"]], [ON]],
    "Deaf": [[["deaf"], ["audio", 4.0], ["hang"]], [ON]],
    "Gone": [[["audio", 4.0], ["bytes", 3], *GONE], [ON]],
    "Dried": [
        [["audio", 4.0], ["hold", 2.0], ["say", "arecord: pcm_read:2221: read error: Input/output error"], ["exit", 1]],
        [ON],
    ],
    "Bad": [[["audio", 4.0], ["say", "arecord: pcm_read:2221: read error: File descriptor in bad state"], ["exit", 1]]],
}


def configured(*sources: str) -> str:
    lines = "".join(f"  - {{type: alsa, channels: 2, {source}}}\n" for source in sources)
    return f"agent: {{id: shed, timezone: UTC}}\nrecording: {{period: 1m, fill_gaps_up_to: off}}\nsources:\n{lines}"


def named(*names: str) -> list[str]:
    return [f"id: {name.lower()}, device: 'hw:CARD={name}'" for name in names]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "arecord" in Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def test_each_is_replaced_and_its_gap_has_its_cause_and_length(tmp_path: Path) -> None:
    names = ("Hung", "Deaf", "Gone", "Dried")
    cards = ScriptedCards(
        tmp_path / "cards",
        [FakeCard(number, name) for number, name in enumerate(names)],
        plays={name: PLAYS[name] for name in names},
    )
    with RunningAgent(tmp_path / "agent", configured(*named(*names)), env=cards.env) as agent:
        for source in ("hung", "deaf"):
            status = agent.wait_for_state(source, "stalled")
            assert "no audio for 2 s or more although arecord runs" in status["last_error"]
            assert status["gap"]["cause"] == "stall"
        for source in ("hung", "deaf", "gone", "dried"):
            agent.wait_for_segments(source, 1, timeout_s=10)
            assert agent.wait_for_state(source, "recording")["last_error"] is None
        wait_until(lambda: agent.source("hung")["open_segment"]["samples_safe"] > RATE, 10, "a second of it to be safe")
        assert len(cards.starts("Hung")) == 2, "it was replaced once"
        pids = [start.pid for name in names for start in cards.starts(name)]
        assert agent.stop() == 0
    assert not [pid for pid in pids if is_running(pid)]

    for source, cause in (("hung", "stall"), ("deaf", "stall"), ("gone", "device_lost"), ("dried", "stall")):
        assert_accounted(agent, source, [cause], within_s=0.05)
        assert_times(agent, cards, source)
    for source in ("hung", "deaf"):
        (hole,) = holes(agent, source)
        silent_s = (cards.starts(source.title())[1].mono_ns - cards.mono_ns_of(hole.after, RATE)) / 1e9
        assert 2.0 < silent_s < 3.5, f"{source} was replaced after {silent_s:.2f} s"
    assert holes(agent, "gone")[0].length_s < 1.5
    log = agent.log()
    for words in ("hung: hw:CARD=Hung: no audio for 2 s", "gone: hw:CARD=Gone: the device went away"):
        assert log.count(words) == 1


def test_each_refusal_is_told_in_its_own_words_and_once(tmp_path: Path) -> None:
    cards = ScriptedCards(
        tmp_path / "cards",
        [FakeCard(1, "Busy", busy=True), FakeCard(2, "Mic"), FakeCard(3, "Bad")],
        rates=[44100],
        channels=4,
        plays={"Bad": PLAYS["Bad"]},
    )
    config = configured(
        *named("Busy", "Away"),
        "id: number, device: 'hw:9,0'",
        "id: format, device: 'hw:CARD=Mic', sample_format: S24_LE",
        "id: rate, device: 'hw:CARD=Mic', sample_rate: 48000",
        "id: usb, device: 'usb:046d:0825'",
        "id: nonsense, device: 'nonsense:1'",
    )
    config += "  - {type: alsa, id: many, channels: 6, device: 'hw:CARD=Mic', sample_rate: 44100}\n"
    with RunningAgent(tmp_path / "agent", config, env=cards.env) as agent:
        expected = {
            "busy": ("reconnecting", "hw:CARD=Busy: the device is busy. arecord: "),
            "away": ("error", "hw:CARD=Away: the device is not there. arecord: ALSA lib confmisc.c"),
            "number": ("error", "hw:9,0: the device is not there. arecord: ALSA lib confmisc.c"),
            "format": ("error", "the card does not offer this sample_format"),
            "many": ("error", "the card does not offer this number of channels"),
            "rate": ("error", "the card cannot run at 48000 Hz, only at 44100 Hz"),
            "usb": ("error", "there is no sound card with the USB identity 'usb:046d:0825'"),
            "nonsense": ("error", "ALSA knows no PCM of this name"),
        }
        for source, (state, message) in expected.items():
            status = agent.wait_for_state(source, state)
            assert message in status["last_error"], source
            assert status["gap"]["cause"] == "device_lost"
        assert "- S16_LE" in agent.source("format")["last_error"], "the last words of arecord"
        # It is free again, and recorded soon.
        wait_until(lambda: agent.log().count("the device is busy") == 1, 5, "the first word in the log")
        cards.plug(FakeCard(1, "Busy"), FakeCard(2, "Mic"), FakeCard(3, "Away"))
        cards.change(rates=None)
        for source in ("busy", "away"):
            agent.wait_for_state(source, "recording", timeout_s=5)
        assert agent.stop() == 0
    for message in ("the device is busy", "hw:CARD=Away: the device is not there", "does not offer this sample_format"):
        assert agent.log().count(message) == 1, "once per outage"
    assert agent.segments("many") == agent.segments("format") == []


def test_nothing_is_recorded_of_a_card_that_runs_at_another_rate(tmp_path: Path) -> None:
    cards = ScriptedCards(tmp_path / "cards", rates=[44100])
    with RunningAgent(tmp_path / "agent", configured("id: mic, device: 'hw:CARD=Mic'"), env=cards.env) as agent:
        agent.wait_for_state("mic", "error")
        wait_until(lambda: len(cards.starts("Mic")) > 2, 10, "more tries")
        assert agent.stop() == 0
    assert agent.segments("mic") == []
    assert agent.unfinished() == []


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_child_that_is_deaf_to_signals_does_not_outlive_the_agent(tmp_path: Path, end: str) -> None:
    cards = ScriptedCards(tmp_path / "cards", plays={"Mic": [[["deaf"], ON]]})
    with RunningAgent(tmp_path / "agent", configured("id: mic, device: 'hw:CARD=Mic'"), env=cards.env) as agent:
        agent.wait_for_state("mic", "recording")
        (start,) = cards.starts("Mic")
        assert is_running(start.pid)
        if end == "stop":
            assert agent.stop() == 0
            assert agent.unfinished() == []
            joined = np.concatenate(heard(agent, "mic"))
            assert (np.diff(joined) == 1).all()
            assert "did not end in time" not in agent.log()
        else:
            agent.kill()
        wait_until(lambda: not is_running(start.pid), 5, "arecord to end with the agent")
