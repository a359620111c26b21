"""A fresh line finds what an earlier one left, and its status tells the truth."""

from datetime import timedelta
from pathlib import Path

import pytest

from agent import clock
from agent.app import Run, build_line
from agent.archive_format.times import to_ms
from agent.config import load
from agent.model import (
    Block,
    Desired,
    Gap,
    GapCause,
    GapLine,
    Instant,
    RunEnded,
    RunStarted,
    RunStarting,
    SourceItem,
    SourceState,
    SourceStatus,
)
from agent.recorder import Recorder
from agent.status import StatusBoard
from agent.storage.ledger import Ledger
from tests.agent.build import S16_MONO
from tests.archive.support import START, Recordings


@pytest.fixture
def board() -> StatusBoard:
    board = StatusBoard()
    board.put(SourceStatus("mic", "mic", "test", SourceState.STARTING, Desired.RECORD, START))
    return board


def line(folder: Path, board: StatusBoard) -> Recorder:
    config = folder / "config.yaml"
    config.write_text("agent: {id: shed}\nrecording: {directory: .}\nsources: [{id: mic, type: test}]\n")
    settings = load(config)
    run = Run(settings, "boot", "run", "uid", "now")
    return build_line(run, settings.sources[0], board, lambda _: None, GapCause.AGENT_CRASHED)


def gap(begin_s: float, end_s: float, cause: GapCause) -> GapLine:
    at = START + timedelta(seconds=begin_s)
    return GapLine("end", Gap(f"{begin_s}", "mic", at, START + timedelta(seconds=end_s), cause))


def test_after_a_crash_the_gap_begins_where_the_newest_segment_ended(tmp_path: Path, board: StatusBoard) -> None:
    Recordings(tmp_path).finished(5)
    line(tmp_path, board)
    now = board.of("mic").gap or Ledger(tmp_path, "mic").open_gap()
    assert now is not None
    assert (now.cause, now.start) == (GapCause.AGENT_CRASHED, START + timedelta(seconds=5))


def test_what_a_gap_covers_already_is_not_missing_twice(tmp_path: Path, board: StatusBoard) -> None:
    """After the segment there was a gap, and the file that ended it was lost in a power cut."""
    Recordings(tmp_path).finished(5)
    Ledger(tmp_path, "mic").append(gap(5, 20, GapCause.DISCONNECTED))
    line(tmp_path, board)
    now = Ledger(tmp_path, "mic").open_gap()
    assert now is not None
    assert (now.cause, now.start) == (GapCause.AGENT_CRASHED, START + timedelta(seconds=20))


def test_a_first_run_of_which_nothing_is_left_has_its_gap(tmp_path: Path, board: StatusBoard) -> None:
    Ledger(tmp_path, "mic").append(gap(0, 1, GapCause.STARTING))
    line(tmp_path, board)
    now = Ledger(tmp_path, "mic").open_gap()
    assert now is not None
    assert (now.cause, now.start) == (GapCause.AGENT_CRASHED, START + timedelta(seconds=1))


def test_a_run_that_ends_before_its_clock_is_known_leaves_no_state_of_recording(
    tmp_path: Path, board: StatusBoard
) -> None:
    recorder = line(tmp_path, board)
    now = clock.now()

    def at(seconds: float) -> Instant:
        moved = round(seconds * 1e9)
        return Instant(now.wall_ns + moved, now.boottime_ns + moved, now.monotonic_ns + moved)

    items: list[SourceItem] = [RunStarting(at(0)), RunStarted(S16_MONO, at(0))]
    items += [Block(bytes(4800), at(0.05 * number)) for number in (1, 2, 3)]
    for item in (*items, RunEnded(GapCause.DISCONNECTED, "hung up", at(0.2))):
        recorder.step(item, at(0.2))
    status = board.of("mic")
    assert (status.state, status.last_error) == (SourceState.RECONNECTING, "hung up")
    assert status.open_segment is None
    assert status.gap is not None
    assert status.gap.start == to_ms(status.gap.start)
