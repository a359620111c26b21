"""Losses injected on purpose, of every cause and from 20 ms to 60 s: each is told once with its cause and its length,
nothing else is, and segments and gaps tile the time.

Where a cause has a least or a greatest length, the source says why (lossy_source.py, lossy_card.py).
"""

import random
from pathlib import Path

import pytest

from agent import clock
from agent.model import GapCause
from tests.agent import lossy_card, lossy_judge, lossy_stream
from tests.agent.lossy import Rig, World
from tests.agent.lossy_card import LossyCard
from tests.agent.lossy_judge import Judge
from tests.agent.lossy_source import Injected, LossySource
from tests.agent.lossy_stream import LossyStream

MOST_S, LEAST_S = 60.0, 0.02


def inject(source: LossySource, count: int, seed: int) -> int:
    """So many losses with sound audio between them, every kind; when the source was first asked to record."""
    rng = random.Random(seed)
    kinds = source.kinds()
    begun_ns = clock.now().wall_ns
    first = source.start()
    source.injected.append(Injected(GapCause.STARTING, first, first, begins_ns=begun_ns))
    source.play(rng.uniform(6, 9))
    plan = [(name, share) for name in kinds for share in _shares(-(-count // len(kinds)), rng)]
    rng.shuffle(plan)
    for name, share in plan[:count]:
        make, least_s, most_s = kinds[name]
        make(min(max(LEAST_S * (MOST_S / LEAST_S) ** share, least_s), most_s))
        source.play(rng.uniform(6, 9))
    source.catch_up()
    source.end(GapCause.STOPPED)
    source.rig.end()
    return begun_ns


def _shares(count: int, rng: random.Random) -> list[float]:
    """So many numbers from 0 to 1, spread over all of it."""
    return [(number + rng.random()) / count for number in range(count)]


def lose_of_a_card(folder: Path, monkeypatch: pytest.MonkeyPatch, fill: str, count: int, seed: int) -> None:
    world = World()
    world.patch(monkeypatch)
    rig = Rig(folder, lossy_card.YAML.format(f"fill_gaps_up_to: {fill}"), world)
    source = LossyCard(rig, seed)
    begun_ns = inject(source, count, seed)
    Judge(rig, source, lossy_judge.card_files(rig.recordings), begun_ns, 50_000_000).judge()


def lose_of_a_stream(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, seed: int) -> None:
    world = World()
    world.patch(monkeypatch)
    rig = Rig(folder, lossy_stream.YAML, world)
    source = LossyStream(rig, seed)
    begun_ns = inject(source, count, seed)
    Judge(rig, source, lossy_judge.stream_files(rig.recordings), begun_ns, 150_000_000, 2_100_000_000, 7).judge()


@pytest.mark.parametrize(("fill", "count"), [("1s", 60), ("off", 13), ("60s", 13)])
def test_each_loss_of_a_card_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: str, count: int
) -> None:
    lose_of_a_card(tmp_path, monkeypatch, fill, count, 1)


def test_each_loss_of_a_stream_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_of_a_stream(tmp_path, monkeypatch, 60, 4)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 15))
@pytest.mark.parametrize("fill", ["1s", "off", "60s"])
def test_sixty_losses_of_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: str, seed: int) -> None:
    lose_of_a_card(tmp_path, monkeypatch, fill, 60, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 15))
def test_sixty_losses_of_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    lose_of_a_stream(tmp_path, monkeypatch, 60, seed)
