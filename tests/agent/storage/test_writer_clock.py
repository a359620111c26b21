"""What a sidecar says of the clock: the worst that the kernel said, and the steps at its edges; through a crash too."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.model import ClockStep, CloseReason, SegmentClose
from agent.storage.salvage import salvage_source
from agent.storage.writer import SegmentWriter
from tests.agent.build import at, origin, pcm_frame, pushed, ticked, utc
from tests.agent.storage.test_writer import checked, data, opened

FORWARD, BACK = ClockStep(utc(0), 3600.0), ClockStep(utc(0.5), -10.0)


def asking(recordings: Path, answers: list[bool | None]) -> SegmentWriter:
    """A writer whose kernel answers so, one after the other."""
    asked = iter(answers)
    return SegmentWriter(
        recordings, origin(), pcm_container="flac", sync_interval_s=2.0, synchronized=lambda: next(asked)
    )


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([True, True, True], True),
        ([False, True, True], False),
        ([True, False, True], False),
        ([True, True, False], False),
        ([True, None, True], None),
        ([None, None, False], False),
    ],
)
def test_it_is_synchronised_only_where_it_was_all_the_time(
    tmp_path: Path, answers: list[bool | None], *, said: bool | None
) -> None:
    files = asking(tmp_path, answers)
    pushed(files, opened())
    ticked(files, at(100))
    pushed(files, data(pcm_frame(24000, 0.5), 0.5))
    finished = pushed(files, SegmentClose(utc(0.5), CloseReason.BOUNDARY, True, None))
    assert finished is not None
    checked(tmp_path, finished)
    assert finished.segment.clock.synchronized is said


def test_steps_stand_at_their_edges(tmp_path: Path) -> None:
    files = asking(tmp_path, [True] * 3)
    pushed(files, replace(opened(), steps=(FORWARD,)))
    pushed(files, data(pcm_frame(24000, 0.5), 0.5))
    finished = pushed(files, SegmentClose(utc(0.5), CloseReason.CLOCK_STEP, False, None, steps=(BACK,)))
    assert finished is not None
    body = checked(tmp_path, finished)
    clock = body["clock"]
    assert isinstance(clock, dict)
    assert clock["steps"] == [
        {"at": "2026-11-22T13:00:00.000Z", "by_s": 3600.0},
        {"at": "2026-11-22T13:00:00.500Z", "by_s": -10.0},
    ]


def test_a_crash_keeps_what_was_said_of_the_clock(tmp_path: Path) -> None:
    files = asking(tmp_path, [True, False, False])
    pushed(files, replace(opened(), steps=(FORWARD,)))
    files.push(data(pcm_frame(24000, 0.5), 0.5))
    files.tick(at(100))
    files.abandon()
    (recovered,) = salvage_source(tmp_path, origin())
    assert recovered.segment.clock.steps == (FORWARD,)
    assert recovered.segment.clock.synchronized is False
