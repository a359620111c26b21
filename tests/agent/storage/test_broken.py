"""Entries of broken packets that are found again: put together, and with what the ledger has told of them."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codecs.decoding import Broken, in_runs
from agent.gaps import broken_gap, filled_lines
from agent.model import AudioFormat, Clock, GapCause, Segment
from agent.storage.broken import as_told, with_broken
from agent.storage.ledger import Ledger
from tests.agent.build import utc

RATE = 48000
PACKET = 960


def segment(packets: int) -> Segment:
    end = utc(packets * PACKET / RATE)
    clock = Clock(True, 0.0, None, 0.0, ((0, utc()), (packets * PACKET, end)))
    audio_format = AudioFormat("opus", RATE, 2)
    return Segment(
        "1", "shed", "mic", "b", "r", "mic/a.opus", "opus", audio_format, utc(), end, "UTC", packets * PACKET, packets,
        1000, 100, False, clock,
    )  # fmt: skip


def spans(numbers: set[int]) -> list[tuple[int, int]]:
    return [(number * PACKET, (number + 1) * PACKET) for number in sorted(numbers)]


@given(st.sets(st.integers(0, 60)))
def test_runs_hold_each_packet_once_and_never_touch(numbers: set[int]) -> None:
    runs = in_runs(spans(numbers))
    assert {sample // PACKET for run in runs for sample in range(run.begin, run.end, PACKET)} == numbers
    assert sum(run.packets for run in runs) == len(numbers)
    assert all(one.end < two.begin for one, two in zip(runs, runs[1:], strict=False))


@given(st.sets(st.integers(0, 60)))
def test_entries_lie_in_the_segment_one_behind_the_other(numbers: set[int]) -> None:
    gaps = with_broken(segment(61), in_runs(spans(numbers))).gaps
    assert sum(gap.filled_samples for gap in gaps) == len(numbers) * PACKET
    edges = [edge for gap in gaps for edge in (gap.start, gap.end)]
    assert edges == sorted(edge for edge in edges if edge is not None)
    assert all(edge is not None and utc() <= edge <= segment(61).end for edge in edges)
    assert all(gap.cause is GapCause.CORRUPT for gap in gaps)


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(0, 60))
@settings(max_examples=40)
def test_what_the_ledger_has_told_keeps_its_name(
    tmp_path_factory: pytest.TempPathFactory, numbers: set[int], count: int
) -> None:
    """Its first entries: a crash came before the others were safe."""
    recordings = tmp_path_factory.mktemp("recordings")
    found = with_broken(segment(61), in_runs(spans(numbers)))
    told = tuple(replace(gap, id=f"told-{number}") for number, gap in enumerate(found.gaps[:count]))
    Ledger(recordings, "mic").append(*(line for gap in told for line in filled_lines(gap)))
    gaps = as_told(found, recordings).gaps
    assert gaps == (*told, *found.gaps[len(told) :])


def test_what_the_ledger_tells_of_other_packets_is_not_taken(tmp_path: Path) -> None:
    found = with_broken(segment(61), [Broken(0, 2 * PACKET, 2)])
    other = broken_gap("mic", utc(0.5), utc(0.52), 1, PACKET)
    Ledger(tmp_path, "mic").append(*filled_lines(other))
    assert as_told(found, tmp_path) == found
    assert as_told(found, tmp_path / "nowhere") == found
