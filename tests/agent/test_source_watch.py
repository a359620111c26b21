from datetime import datetime

import pytest

from agent.model import (
    Desired,
    Gap,
    GapCause,
    GapHeld,
    GapLine,
    OpenSegment,
    RunEnded,
    RunStarted,
    RunStarting,
    SegmentData,
    SegmentOpen,
    SourceState,
    SourceStatus,
    Title,
)
from agent.source_watch import SourceWatch
from agent.status import StatusBoard
from tests.agent.build import S16_MONO, at, pcm_frame, utc

OPEN = OpenSegment("a.part", utc(0), 1, 2)


class Watched:
    """A watch with a board and a clock that the test moves."""

    def __init__(self) -> None:
        self.board = StatusBoard()
        self.board.put(SourceStatus("mic", "Mic", "alsa", SourceState.STARTING, Desired.RECORD, utc(0)))
        self.told: list[SourceStatus] = []
        self.board.listen(self.told.append)
        self.now: datetime = utc(0)
        self.opened: OpenSegment | None = OPEN
        self.watch = SourceWatch("mic", self.board, open_segment=lambda: self.opened, hears=True, now=lambda: self.now)

    @property
    def status(self) -> SourceStatus:
        return self.board.of("mic")

    def recording(self) -> "Watched":
        self.watch(RunStarted(S16_MONO, at(1)))
        self.now = utc(1)
        self.watch(SegmentOpen(utc(1), 0.0, S16_MONO, aligned_start=False))
        return self


def ended(cause: GapCause, *, permanent: bool = False) -> RunEnded:
    return RunEnded(cause, "why", at(5), "what to do", permanent)


def test_recording_begins_with_the_first_file() -> None:
    watched = Watched()
    watched.watch(RunStarting(at(0)))
    assert watched.status.state is SourceState.STARTING
    watched.watch(RunStarted(S16_MONO, at(1)))
    assert watched.status.format == S16_MONO
    watched.recording()
    assert (watched.status.state, watched.status.since, watched.status.open_segment) == (
        SourceState.RECORDING,
        utc(1),
        OPEN,
    )


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        (GapCause.STOPPED, SourceState.STOPPED),
        (GapCause.SCHEDULED, SourceState.STOPPED),
        (GapCause.AGENT_STOPPED, SourceState.STOPPED),
        (GapCause.STALL, SourceState.STALLED),
        (GapCause.DISCONNECTED, SourceState.RECONNECTING),
        (GapCause.DEVICE_LOST, SourceState.RECONNECTING),
    ],
)
def test_the_end_of_a_run_says_why(cause: GapCause, state: SourceState) -> None:
    watched = Watched().recording()
    watched.watch(Title("song", at(2)))
    assert watched.status.title == "song"
    watched.now, watched.opened = utc(5), None
    watched.watch(ended(cause))
    status = watched.status
    assert (status.state, status.since, status.last_error) == (state, utc(5), "why (what to do)")
    assert (status.open_segment, status.title) == (None, None)


def test_while_a_break_may_yet_be_filled_there_is_a_gap_and_the_file_stays_open() -> None:
    watched = Watched().recording()
    gap = Gap("01920000-0000-7000-8000-000000000000", "mic", utc(5), None, GapCause.DEVICE_LOST)
    watched.watch(GapHeld(gap))
    watched.watch(ended(GapCause.DEVICE_LOST))
    status = watched.status
    assert (status.state, status.gap, status.open_segment) == (SourceState.RECONNECTING, gap, OPEN)
    watched.watch(SegmentData(pcm_frame(10), utc(5.5), is_filled=True))
    assert (watched.status.state, watched.status.gap) == (SourceState.RECONNECTING, gap)
    watched.now = utc(6)
    watched.watch(SegmentData(pcm_frame(10), utc(6)))
    status = watched.status
    assert (status.state, status.gap, status.since, status.last_error) == (SourceState.RECORDING, None, utc(6), None)
    later = Gap("01920000-0000-7000-8000-000000000001", "mic", utc(8), None, GapCause.DEVICE_LOST)
    watched.watch(GapHeld(later))
    watched.watch(GapLine("end", gap))  # the ledger hears of the first one when its silence is safe
    assert watched.status.gap == later


def test_what_never_worked_is_an_error_and_what_has_worked_is_not() -> None:
    fresh = Watched()
    fresh.watch(ended(GapCause.DEVICE_LOST, permanent=True))
    assert fresh.status.state is SourceState.ERROR
    used = Watched().recording()
    used.watch(ended(GapCause.DEVICE_LOST, permanent=True))
    assert used.status.state is SourceState.RECONNECTING


@pytest.mark.parametrize("cause", [GapCause.STALL, GapCause.DISCONNECTED])
def test_another_try_does_not_hide_the_trouble(cause: GapCause) -> None:
    watched = Watched().recording()
    watched.now = utc(5)
    watched.watch(ended(cause))
    state = watched.status.state
    watched.now = utc(9)
    watched.watch(RunStarting(at(9)))
    watched.watch(ended(cause))
    assert (watched.status.state, watched.status.since) == (state, utc(5)), "since when, not since the last try"


def test_recovery_takes_the_error_away() -> None:
    watched = Watched().recording()
    watched.watch(ended(GapCause.DISCONNECTED))
    watched.recording()
    assert (watched.status.state, watched.status.last_error) == (SourceState.RECORDING, None)


def test_a_gap_is_shown_while_it_lasts() -> None:
    watched = Watched()
    gap = Gap("x", "mic", utc(0), None, GapCause.STALL)
    watched.watch(GapLine("begin", gap))
    assert watched.status.gap == gap
    watched.watch(GapLine("midnight", gap))
    assert watched.status.gap == gap
    watched.watch(GapLine("end", gap))
    assert watched.status.gap is None


def test_a_new_run_has_no_title_until_the_station_says_one() -> None:
    watched = Watched().recording()
    watched.watch(Title("song", at(2)))
    watched.watch(RunStarted(S16_MONO, at(3)))
    assert watched.status.title is None


def test_nobody_is_told_of_what_has_not_changed() -> None:
    watched = Watched().recording()
    told = len(watched.told)
    for _ in range(3):
        watched.watch(SegmentData(pcm_frame(10), utc(2)))
    assert len(watched.told) == told
