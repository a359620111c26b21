"""What a scripted card's own sample numbers say of what the agent recorded and what it wrote down as missing."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.parts.pulse import counters
from tests.parts.scripted_card import ScriptedCards
from tests.system.running import Json, RunningAgent, pcm, utc_ns

RATE = 48000
FIRST_CAUSES = ("starting", "agent_stopped")


class Hole(NamedTuple):
    """Samples that are missing between two that were recorded: `after` is the last one before, `length_s` how much."""

    after: int
    length_s: float


def heard(agent: RunningAgent, source: str) -> list[NDArray[np.int64]]:
    """The numbers of the recorded samples, file by file, without the silence that fills gaps: it is as long as told."""
    return [numbers[numbers > 0] for numbers in _in_files(agent, source)]


def _in_files(agent: RunningAgent, source: str) -> list[NDArray[np.int64]]:
    """The same with the silence, which has the number 0."""
    files = []
    for segment in agent.segments(source):
        numbers = counters(pcm(agent.path(segment))).astype(np.int64)
        filled = sum(gap["filled_samples"] for gap in segment["gaps"])
        assert np.count_nonzero(numbers == 0) - filled in (0, 1), f"{segment['file']}: silence that nothing tells of"
        files.append(numbers)
    return files


def holes(agent: RunningAgent, source: str) -> list[Hole]:
    """What is missing in the files of a source; nothing is ever there twice."""
    joined = np.concatenate(heard(agent, source))
    steps = np.diff(joined)
    assert (steps > 0).all(), f"{source}: a sample was recorded twice"
    return [Hole(int(joined[at]), (int(steps[at]) - 1) / RATE) for at in np.flatnonzero(steps != 1)]


def told(agent: RunningAgent, source: str) -> list[Json]:
    """The gaps in the ledger between the first sample and the last."""
    return [gap for gap in agent.gaps(source) if gap["cause"] not in FIRST_CAUSES]


def assert_accounted(agent: RunningAgent, source: str, causes: list[str], within_s: float = 0.05) -> None:
    """The ledger has exactly the holes that there are: with these causes in order, each with its true length."""
    lost, gaps = holes(agent, source), told(agent, source)
    assert [gap["cause"] for gap in gaps] == causes, (source, gaps)
    assert len(lost) == len(causes), (source, lost, gaps)
    for hole, gap in zip(lost, gaps, strict=True):
        off_s = gap["duration_s"] - hole.length_s
        assert abs(off_s) <= within_s, f"{source}: {hole.length_s:.3f} s are missing, told {gap['duration_s']:.3f} s"


def assert_times(agent: RunningAgent, cards: ScriptedCards, source: str, within_s: float = 0.02) -> None:
    """Every file begins with the sample that was made at the time of its name; consecutive ones join."""
    segments = agent.segments(source)
    for segment, numbers in zip(segments, _in_files(agent, source), strict=True):
        silent = int(np.argmax(numbers > 0))  # a gap that is filled may begin in the file before
        off_ns = utc_ns(segment["start"]) - cards.wall_ns_of(int(numbers[silent]) - silent, RATE)
        assert abs(off_ns) <= within_s * 1e9, f"{segment['file']} is off by {off_ns / 1e6:+.1f} ms"
    for before, after in pairwise(segments):
        assert before["end"] <= after["start"]
