"""Losses injected on purpose into a recording in real time: each is in the ledger with its cause and its length, and
nothing else is.

The sample numbers of the scripted cards tell what is missing in the files; what the ledger says has to be just that.
tests/agent/test_losses.py does the same for every other cause, with a simulated clock.
"""

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.parts.scripted_card import FakeCard, ScriptedCards
from tests.parts.waiting import wait_until
from tests.system.counted import assert_times, holes
from tests.system.running import Json, RunningAgent

Steps = list[list[Any]]
NS = 1_000_000_000
ON = ["audio", None]
OVERRUN = "overrun!!! (at least 2527.189 ms long)"
BOGUS = "overrun!!! (at least -1700000.000 ms long)"
GONE: Steps = [["say", "arecord: pcm_read:2221: read error: No such device"], ["exit", 1]]
AWAY: Steps = [
    ["say", "ALSA lib confmisc.c:165:(snd_config_get_card) Cannot get card index for Mic"],
    ["say", "arecord: main:831: audio open error: No such device"],
    ["exit", 1],
]
WITHIN_S = 0.05
SILENT_S, FIRST_S = 1.8, 1.2
"""A card from which nothing has come for 2 s is taken for hung; at its start, that is from when arecord is started."""
KINDS = ("told", "mute", "gone", "hung")
DECOYS: tuple[Steps, ...] = ([["say", BOGUS]], [["say", OVERRUN]], [["hold", 0.9]], [["hold", 1.6]])


@dataclass
class Plan:
    """What a card plays, start by start, and the causes of what goes missing by it."""

    rng: random.Random
    most_s: float
    plays: list[Steps] = field(default_factory=lambda: [[]])
    causes: list[str] = field(default_factory=list)
    ends_s: float = 0.0

    def calm(self) -> None:
        """Sound audio, with something in it that looks like a loss and is none."""
        seconds = self.rng.uniform(5.5, 6.5)
        self.play([["audio", seconds], *self.rng.choice(DECOYS), ["audio", 4.0]], seconds + 4.0 + 1.6)

    def lose(self, kind: str, share: float) -> None:
        """A loss whose length is `share` (0 to 1) of the way, on a logarithmic scale, from the least to the most."""
        seconds = 0.02 * (self.most_s / 0.02) ** share
        match kind:
            case "told":
                self.play([["lose", min(seconds, SILENT_S)], ["say", OVERRUN]], seconds)
                self.causes.append("overrun")
            case "mute":
                self.play([["lose", min(max(seconds, 0.06), SILENT_S)]], seconds)
                self.causes.append("overrun")
            case "gone":
                self.play(GONE, seconds + 3.0)
                self.plays += [AWAY] * round(seconds)  # it is looked for once a second
                self.plays.append([])
                self.causes.append("device_lost")
            case "hung":
                self.play([["hang"]], 2 * seconds + 5.0)
                self.plays += [[["hang"]]] * round(seconds / 8)  # the second and later ones are waited for longer
                self.plays.append([["lose", min(seconds, FIRST_S)]])
                self.causes.append("stall")

    def phase_ends(self, cause: str) -> None:
        """The agent ends, by whatever cause, while sound audio comes."""
        self.play([ON], 0.0)
        self.plays.append([])
        self.causes.append(cause)

    def play(self, steps: Steps, most_s: float) -> None:
        """More of what the card plays at its newest start; it takes so long at most."""
        self.plays[-1] = [*self.plays[-1], *steps]
        self.ends_s += most_s


def plans(count: int, losses: int, most_s: float, seed: int) -> list[Plan]:
    """So many cards, each with two phases of so many losses together; the agent is killed between the two."""
    rng = random.Random(seed)
    found = [Plan(rng, most_s) for _ in range(count)]
    shares = [(number + rng.random()) / (count * losses) for number in range(count * losses)]
    rng.shuffle(shares)
    for plan in found:
        kinds = [KINDS[number % len(KINDS)] for number in range(losses)]
        rng.shuffle(kinds)
        for number, kind in enumerate(kinds):
            plan.calm()
            plan.lose(kind, shares.pop())
            if number == losses // 2 - 1:
                plan.calm()
                plan.phase_ends("agent_crashed")
        plan.calm()
        plan.phase_ends("agent_stopped")
        plan.calm()
        plan.play([ON], 0.0)
    return found


def lose(folder: Path, *, count: int, losses: int, most_s: float, seed: int) -> None:
    planned = plans(count, losses, most_s, seed)
    names = [f"Mic{number}" for number in range(count)]
    cards = ScriptedCards(
        folder / "cards",
        [FakeCard(number, name) for number, name in enumerate(names)],
        plays={name: plan.plays for name, plan in zip(names, planned, strict=True)},
    )
    sources = "".join(
        f"  - {{id: {name.lower()}, type: alsa, device: 'hw:CARD={name}', channels: 2}}\n" for name in names
    )
    config = f"agent: {{id: shed, timezone: UTC}}\nrecording: {{period: 15s}}\nsources:\n{sources}"
    with RunningAgent(folder / "agent", config, env=cards.env) as agent:
        at_peace(agent, cards, planned, phase=0)
        agent.kill()
        agent.start()
        at_peace(agent, cards, planned, phase=1)
        agent.part.send_signal(signal.SIGSTOP)  # what the cards say meanwhile waits in their pipes
        wait_for(2.5)
        agent.part.send_signal(signal.SIGCONT)
        wait_for(4.0)
        assert agent.stop() == 0
        wait_for(1.0)
        agent.start()
        at_peace(agent, cards, planned, phase=2)
        assert agent.stop() == 0
    for name, plan in zip(names, planned, strict=True):
        judge(agent, name.lower(), plan.causes)
        assert_times(agent, cards, name.lower())


def wait_for(seconds: float) -> None:
    """Until so much time has gone by: the time itself is what is waited for."""
    until_s = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until_s, seconds + 5, "the time to go by")


def at_peace(agent: RunningAgent, cards: ScriptedCards, planned: list[Plan], *, phase: int) -> None:
    """Every card plays the last of its plays of this phase, and has played all in it but the audio without end."""

    def is_at_peace() -> bool:
        return all(_rest_s(cards, f"Mic{number}", plan, phase) < 0 for number, plan in enumerate(planned))

    wait_until(is_at_peace, max(plan.ends_s for plan in planned) * 1.5 + 30, f"phase {phase} to be over", poll_s=0.1)
    for number in range(len(planned)):
        agent.wait_for_state(f"mic{number}", "recording")


def _rest_s(cards: ScriptedCards, card: str, plan: Plan, phase: int) -> float:
    """How long until a card has nothing left to do in a phase; a good while where that cannot be told yet."""
    lasts = [number for number, play in enumerate(plan.plays) if play and play[-1] == ON]
    starts = cards.starts(card)
    if len(starts) <= lasts[phase]:
        return 60.0
    steps = plan.plays[lasts[phase]]
    took_s = sum(float(step[1]) for step in steps if step[0] in ("audio", "lose", "hold") and step[1] is not None)
    return took_s + 1.0 - (time.monotonic_ns() - starts[lasts[phase]].mono_ns) / NS


def judge(agent: RunningAgent, source: str, causes: list[str]) -> None:
    """What the ledger tells is what is missing: as often, for those causes in order, and as long."""
    lost, outages = holes(agent, source), list(outages_of(agent, source))
    told = ["+".join(dict.fromkeys(gap["cause"] for gap in outage)) for outage in outages]  # a cut parts a filled gap
    assert told == causes, (source, lost, outages)
    assert len(lost) == len(outages), (source, lost, outages)
    for hole, outage in zip(lost, outages, strict=True):
        told_s = sum(gap["duration_s"] for gap in outage)
        print(f"{source}: {outage[0]['cause']} of {hole.length_s:.3f} s, told {told_s:.3f} s")
        assert abs(told_s - hole.length_s) <= WITHIN_S, (source, hole, outage)
        assert all(gap["missing"] and gap["at"] == "end" for gap in outage)


def outages_of(agent: RunningAgent, source: str) -> Iterator[list[Json]]:
    """The gaps between the first sample and the last one; those that touch are one outage."""
    first, last = agent.segments(source)[0]["start"], agent.segments(source)[-1]["end"]
    gaps = [gap for gap in agent.gaps(source) if gap["start"] >= first and gap["start"] < last]
    outage = gaps[:1]
    for before, after in pairwise(gaps):
        if before["end"] != after["start"]:
            yield outage
            outage = []
        outage.append(after)
    if outage:
        yield outage


def test_every_loss_of_four_cards_is_told(tmp_path: Path) -> None:
    lose(tmp_path, count=4, losses=4, most_s=3.0, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_sixty_losses_of_up_to_a_minute(tmp_path: Path) -> None:
    lose(tmp_path, count=6, losses=10, most_s=60.0, seed=2)
