"""A fresh line finds what an earlier one left, and its status tells the truth."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent import clock
from agent.archive_format.ledger import read_lines
from agent.archive_format.sidecar import encode, segment_json
from agent.archive_format.times import to_ms
from agent.config import load
from agent.line_builder import Run, build_line
from agent.model import (
    Block,
    CloseReason,
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
from agent.storage.forgotten import note_forgotten
from agent.storage.history import newest
from agent.storage.ledger import Ledger
from tests.agent.build import MP3_STEREO, S16_MONO, mp3_stream
from tests.agent.storage.not_files import NOT_FILES
from tests.archive.support import START, Recordings


@pytest.fixture
def board() -> StatusBoard:
    board = StatusBoard()
    board.put(SourceStatus("mic", "mic", "test", SourceState.STARTING, Desired.RECORD, START))
    return board


def line(folder: Path, board: StatusBoard, source: str = "{id: mic, type: test}") -> Recorder:
    config = folder / "config.yaml"
    config.write_text(f"agent: {{id: shed}}\nrecording: {{directory: .}}\nsources: [{source}]\n")
    settings = load(config)
    run = Run(settings, "boot", "run", "uid", "now")
    return build_line(run, settings.sources[0], board, lambda _: None, GapCause.AGENT_CRASHED)


def soon(seconds: float) -> Instant:
    """So many seconds from now."""
    now, moved = clock.now(), round(seconds * 1e9)
    return Instant(now.wall_ns + moved, now.boottime_ns + moved, now.monotonic_ns + moved)


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


def test_what_the_newest_file_ends_with_is_not_recorded_again(tmp_path: Path, board: StatusBoard) -> None:
    """A stream comes back after the agent was started anew, with a burst that reaches into the file."""
    stream, source = mp3_stream(400), "{id: mic, type: icecast, url: 'http://127.0.0.1/live.mp3'}"
    for packets, seconds in ((stream[:300], -3.0), (stream[200:], -0.5)):
        recorder = line(tmp_path, board, source)
        items: list[SourceItem] = [RunStarting(soon(seconds)), RunStarted(MP3_STEREO, soon(seconds))]
        items += [Block(b"".join(packets), soon(seconds)), RunEnded(GapCause.DISCONNECTED, None, soon(seconds))]
        for item in items:
            recorder.step(item)
        recorder.abandon()
    older, newer = sorted(newest(tmp_path, "mic", 10), key=lambda segment: segment.start)
    assert (older.packets, newer.packets) == (300, 100)
    assert newer.start == older.end
    assert newer.gap_before is not None
    assert newer.gap_before.duration_s == 0


@pytest.mark.parametrize("is_open", [False, True])
def test_a_restart_where_there_is_audio_already_says_so_in_every_file(
    tmp_path: Path, board: StatusBoard, is_open: bool
) -> None:
    """The clock was set back by some hours, and the agent started anew before it had caught up."""
    now, recordings = to_ms(clock.utc_now()), Recordings(tmp_path)
    for minute in (0.5, 1.5):
        recordings.finished(60, start=now + timedelta(minutes=minute))
    if is_open:
        recordings.opened(1, start=now - timedelta(minutes=5))
        recordings.abandon()
    source = "{id: mic, type: test, period: 30s}"
    recorder = line(tmp_path, board, source)
    items: list[SourceItem] = [RunStarting(soon(0)), RunStarted(S16_MONO, soon(0))]
    items += [Block(bytes(96_000), soon(number + 1.0)) for number in range(240)]
    for item in (*items, RunEnded(GapCause.STOPPED, None, soon(240))):
        recorder.step(item)
    recorder.abandon()
    reached = now + timedelta(minutes=2.5)
    first, *rest = [one for one in newest(tmp_path, "mic", 100)[::-1] if one.format == S16_MONO]
    assert first.clock.overlap_s == pytest.approx((reached - first.start).total_seconds(), abs=0.1)
    begun = now + timedelta(minutes=0.5)
    for one in rest:
        wanted_s = (reached - one.start).total_seconds() if one.start < reached and one.end > begun else 0.0
        assert one.clock.overlap_s == pytest.approx(wanted_s, abs=0.1) or one.reason is CloseReason.STOP
    assert sum(one.clock.overlap_s > 0 for one in rest) >= 4


def test_a_run_that_ends_before_its_clock_is_known_leaves_no_state_of_recording(
    tmp_path: Path, board: StatusBoard
) -> None:
    recorder = line(tmp_path, board)
    items: list[SourceItem] = [RunStarting(soon(0)), RunStarted(S16_MONO, soon(0))]
    items += [Block(bytes(4800), soon(0.05 * number)) for number in (1, 2, 3)]
    for item in (*items, RunEnded(GapCause.DISCONNECTED, "hung up", soon(0.2))):
        recorder.step(item)
    status = board.of("mic")
    assert (status.state, status.last_error) == (SourceState.RECONNECTING, "hung up")
    assert status.open_segment is not None, "the audio may go on in it before long"
    assert status.gap is not None
    recorder.tick(soon(0.5))
    recorder.tick(soon(6.0))
    status = board.of("mic")
    assert (status.state, status.open_segment) == (SourceState.RECONNECTING, None)
    assert status.gap is not None
    assert status.gap.start == to_ms(status.gap.start)


def test_a_filled_gap_of_a_file_that_was_finished_before_a_crash_gets_into_the_ledger(
    tmp_path: Path, board: StatusBoard
) -> None:
    """Its silence was safe and the file complete, and then came the crash, before a word was in the ledger."""
    finished = Recordings(tmp_path).finished(5)
    filled = replace(gap(1, 1.7, GapCause.OVERRUN).gap, filled_samples=33_600)
    sidecar = finished.path.with_suffix(".json")
    sidecar.write_bytes(encode(segment_json(replace(finished.segment, gaps=(filled,)))))
    for _ in range(2):
        line(tmp_path, board).abandon()
    lines = (tmp_path / "mic" / "gaps.jsonl").read_bytes()
    told = [one for one in read_lines(lines) if one.gap.id == filled.id]
    assert [(one.at, one.gap.end) for one in told] == [("begin", None), ("end", filled.end)]


@pytest.mark.parametrize("is_dated", [True, False])
def test_what_was_forgotten_on_purpose_is_not_told_again(tmp_path: Path, board: StatusBoard, is_dated: bool) -> None:
    """The file that a filled gap lies in may outlive its lines. What a wrong clock has dated is not old for that."""
    finished = Recordings(tmp_path).finished(5)
    filled = replace(gap(1, 1.7, GapCause.OVERRUN).gap, filled_samples=33_600)
    told = replace(finished.segment, gaps=(filled,), clock=replace(finished.segment.clock, synchronized=is_dated))
    finished.path.with_suffix(".json").write_bytes(encode(segment_json(told)))
    note_forgotten(tmp_path / "mic", START + timedelta(hours=1))
    line(tmp_path, board).abandon()
    lines = read_lines((tmp_path / "mic" / "gaps.jsonl").read_bytes())
    assert [one.at for one in lines if one.gap.id == filled.id] == ([] if is_dated else ["begin", "end"])


@pytest.mark.timeout(30)
@pytest.mark.parametrize("how", NOT_FILES)
def test_nothing_of_the_name_of_the_ledger_keeps_a_source_from_recording(
    tmp_path: Path, board: StatusBoard, how: str
) -> None:
    Recordings(tmp_path).finished(5)
    NOT_FILES[how](tmp_path / "mic" / "gaps.jsonl")
    line(tmp_path, board)
    now = Ledger(tmp_path, "mic").open_gap()
    assert now is not None
    assert (now.cause, now.start) == (GapCause.AGENT_CRASHED, START + timedelta(seconds=5))
