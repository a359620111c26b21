"""Short gaps of a card on disk: silence in the file, listed in its sidecar and in the ledger, heard by no meter.

The card makes a constant, so that every zero in a file is a filled sample.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.archive_format.ledger import read_ledger
from agent.archive_format.levels import read_levels
from agent.loudness.meter import Meter
from agent.model import (
    Block,
    CloseReason,
    EventRule,
    Gap,
    GapCause,
    GapHeld,
    GapLine,
    Hearing,
    Level,
    Loss,
    RunEnded,
    RunStarted,
    RunStarting,
    SoundEvent,
    SourceItem,
)
from agent.storage.ledger import Ledger
from agent.storage.salvage import salvage_source
from tests.agent.build import EPOCH_NS, MP3_STEREO, NS, S16_MONO, at, mp3_stream, origin, utc
from tests.agent.schemas import validate
from tests.agent.test_recorder import Line, moment

LOUD = (np.ones(2400, "<i2") * 8192).tobytes()
"""50 ms at -12 dBFS."""
Make = Callable[[float, float, float, float], list[SourceItem]]
ALL_HEARD = Hearing(1.0, EventRule(-20.0, 3.0, 0.05, 0.2), EventRule(-60.0, 3.0, 0.05, 0.2))


def card(first_s: float, seconds: float) -> list[SourceItem]:
    count = round(seconds * 20)
    return [Block(LOUD, at(first_s + (number + 1) * 0.05)) for number in range(count)]


def lost(first_s: float, before_s: float, gap_s: float, after_s: float) -> list[SourceItem]:
    """A run with an overrun in it."""
    again_s = first_s + before_s + gap_s
    items: list[SourceItem] = [RunStarting(at(first_s)), RunStarted(S16_MONO, at(first_s)), *card(first_s, before_s)]
    return [*items, Loss(GapCause.OVERRUN, "overrun!!!", at(again_s)), *card(again_s, after_s)]


def replaced(first_s: float, before_s: float, gap_s: float, after_s: float) -> list[SourceItem]:
    """An arecord that ends, and another one."""
    again_s = first_s + before_s + gap_s
    gone = RunEnded(GapCause.DEVICE_LOST, "gone", at(first_s + before_s))
    items: list[SourceItem] = [RunStarting(at(first_s)), RunStarted(S16_MONO, at(first_s)), *card(first_s, before_s)]
    items += [gone, RunStarting(at(again_s - 0.1)), RunStarted(S16_MONO, at(again_s))]
    return [*items, *card(again_s, after_s)]


def sidecars(recordings: Path) -> list[dict[str, object]]:
    found = [json.loads(path.read_bytes()) for path in sorted((recordings / "mic").glob("*/*/*/*.json"))]
    for one in found:
        validate("segment", one)
    return found


def in_ledger(recordings: Path) -> list[Gap]:
    path = recordings / "mic" / "gaps.jsonl"
    return [line.gap for line in read_ledger(path.read_bytes()).values()] if path.exists() else []


def zeros(path: Path) -> int:
    return int((soundfile.read(path, dtype="int16")[0] == 0).sum())


@pytest.mark.parametrize("make", [lost, replaced])
@pytest.mark.parametrize("container", ["flac", "wav"])
def test_file_time_stays_wall_time_and_what_is_filled_is_listed(tmp_path: Path, make: Make, container: str) -> None:
    line = Line(tmp_path, period_s=60, container=container, fill_s=1.0)
    items = make(0, 10, 0.7, 10)
    line.steps([*items, RunEnded(GapCause.STOPPED, None, at(20.7))])
    (finished,) = line.finished
    segment = finished.segment
    assert (segment.start, segment.end, segment.samples) == (utc(0), utc(20.7), round(20.7 * 48000))
    (gap,) = segment.gaps
    cause = GapCause.OVERRUN if make is lost else GapCause.DEVICE_LOST
    assert (gap.cause, gap.start, gap.end, gap.filled_samples) == (cause, utc(10), utc(10.7), round(0.7 * 48000))
    values, _ = soundfile.read(finished.path, dtype="int16")
    assert np.flatnonzero(values == 0).tolist() == list(range(480_000, 480_000 + gap.filled_samples))
    (body,) = sidecars(tmp_path)
    assert (body["missing_s"], body["overruns"], body["duration_s"]) == (0.7, int(make is lost), 20.7)
    assert gap in in_ledger(tmp_path)
    raw = [json.loads(one) for one in (tmp_path / "mic" / "gaps.jsonl").read_bytes().splitlines()]
    assert [(one["at"], one["filled_samples"]) for one in raw if one["id"] == gap.id] == [
        ("begin", gap.filled_samples),
        ("end", gap.filled_samples),
    ]


def test_what_is_filled_feeds_neither_meters_nor_events(tmp_path: Path) -> None:
    """A loud event and its levels go on through it, no silence begins, and its rows say that nothing was heard."""
    line = Line(tmp_path, period_s=60, fill_s=1.0)
    line.recorder._meter = Meter("mic", ALL_HEARD)
    line.steps([*lost(0, 10, 0.72, 10), RunEnded(GapCause.STOPPED, None, at(20.72))])
    events = [one for one in line.heard if isinstance(one, SoundEvent)]
    assert [(one.type, one.edge) for one in events] == [("loud", "start"), ("loud", "end")]
    assert events[-1].ended_by is CloseReason.STOP
    (finished,) = line.finished
    assert finished.segment.loudness is not None
    assert finished.segment.loudness.rms_dbfs == -12.0
    levels = [one for one in line.heard if isinstance(one, Level) and not one.slow]
    assert {one.rms_dbfs for one in levels} == {-12.0}
    assert not any(one.silent for one in levels)
    rows = read_levels(finished.path.with_name(finished.path.stem + ".levels.npy"))
    heard = ~np.isnan(rows["mean_square"][:, 0])
    assert np.flatnonzero(~heard).tolist() == list(range(100, 108)), "a row in which anything is filled is unmeasured"
    assert np.allclose(rows["mean_square"][heard, 0], 1 / 16)
    assert not rows["max"][100:107].any()


def test_a_longer_gap_ends_the_file(tmp_path: Path) -> None:
    line = Line(tmp_path, period_s=60, fill_s=0.5)
    line.steps([*replaced(0, 10, 0.7, 10), RunEnded(GapCause.STOPPED, None, at(20.7))])
    first, second = (finished.segment for finished in line.finished)
    assert (first.reason, first.end, second.start, first.gaps) == ("gap", utc(10), utc(10.7), ())
    assert second.gap_before is not None
    assert (second.gap_before.start, second.gap_before.end) == (utc(10), utc(10.7))


def test_a_gap_over_a_boundary_is_two_gaps_one_in_each_file(tmp_path: Path) -> None:
    line = Line(tmp_path, period_s=10, fill_s=1.0)
    line.steps([*replaced(1, 8.7, 0.7, 5), RunEnded(GapCause.STOPPED, None, at(15.4))])
    first, second = (finished.segment for finished in line.finished)
    assert (first.reason, first.end, second.start) == ("boundary", utc(10), utc(10))
    (before,), (behind,) = first.gaps, second.gaps
    assert (before.start, before.end, before.filled_samples) == (utc(9.7), utc(10), 14_400)
    assert (behind.start, behind.end, behind.filled_samples) == (utc(10), utc(10.4), 19_200)
    assert before.id != behind.id
    assert [gap for gap in in_ledger(tmp_path) if gap.filled_samples] == [before, behind]
    assert first.samples == 9 * 48000


def test_streams_are_never_filled(tmp_path: Path) -> None:
    line = Line(tmp_path, period_s=60, fill_s=60.0)
    items: list[SourceItem] = [RunStarting(at(0))]
    for first_s, number in ((0.0, 0), (3.0, 1000)):
        items.append(RunStarted(MP3_STEREO, at(first_s)))
        items += [Block(one, at(first_s + n * 0.026)) for n, one in enumerate(mp3_stream(100, first=number), 1)]
        items.append(RunEnded(GapCause.DISCONNECTED, "hung up", at(first_s + 2.6)))
    line.steps(items)
    assert [finished.segment.reason for finished in line.finished] == ["gap", "gap"]
    assert not any(finished.segment.gaps for finished in line.finished)


@pytest.mark.parametrize("cause", [GapCause.STOPPED, GapCause.AGENT_STOPPED])
def test_an_end_lets_go_of_what_is_held(tmp_path: Path, cause: GapCause) -> None:
    line = Line(tmp_path, period_s=60, fill_s=60.0)
    items = replaced(0, 5, 0.5, 0)[:-2]
    line.steps([*items, RunEnded(cause, None, at(5.3))])
    (finished,) = line.finished
    assert (finished.segment.end, finished.segment.reason) == (utc(5), "gap")
    assert [(gap.cause, gap.start) for gap in in_ledger(tmp_path)][1:] == [
        (GapCause.DEVICE_LOST, utc(5)),
        (cause, utc(5.3)),
    ]


def test_what_is_held_is_let_go_at_midnight_and_when_time_is_up(tmp_path: Path) -> None:
    """The ledger then has a gap that lasts, and one line for the midnight."""
    to_midnight_s = 11 * 3600
    assert (EPOCH_NS // NS + to_midnight_s) % 86_400 == 0
    for name, begun_s, ticks in (("midnight", to_midnight_s - 3.0, (-2.0, 0.5)), ("long", 100.0, (1.0, 65.5))):
        folder = tmp_path / name
        line = Line(folder, period_s=86_400, fill_s=60.0)
        line.steps(replaced(begun_s - 10, 10, 0.5, 0)[:-2])
        (held,) = [one for one in line.seen if isinstance(one, GapHeld)]
        assert len(in_ledger(folder)) == 1
        for tick_s in ticks:
            assert not line.finished
            line.recorder.tick(at(tick_s + (to_midnight_s if name == "midnight" else begun_s)))
        lines = [one for one in line.seen if isinstance(one, GapLine) and one.gap.id == held.gap.id]
        assert [one.at for one in lines] == ["begin", "midnight"][: 2 if name == "midnight" else 1]
        line.steps([RunEnded(GapCause.STOPPED, None, at(begun_s + 70))])
        assert len(line.finished) == 1


def killed(line: Line, recordings: Path, copy: Path) -> None:
    """What a start after a kill at this moment makes of it, as app.build_line has it."""
    line.recorder._writer.settle()  # a copy that is made while files are renamed is of no moment at all
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(recordings, copy)
    salvaged = salvage_source(copy, origin())
    Ledger(copy, "mic").complete(gap for finished in salvaged for gap in finished.segment.gaps)


def moments(line: Line, items: list[SourceItem]) -> Iterator[None]:
    for item in items:
        line.recorder.step(item)
        yield
        line.recorder.tick(moment(item))
        yield


@pytest.mark.parametrize("container", ["flac", "wav"])
@pytest.mark.parametrize("make", [lost, replaced])
def test_whenever_it_is_killed_silence_is_a_gap_of_file_and_ledger(tmp_path: Path, make: Make, container: str) -> None:
    """Before the gap, while it is held, while it is filled, and after."""
    recordings = tmp_path / "recordings"
    line = Line(recordings, period_s=7, container=container, sync_s=0.5, fill_s=1.0)
    filled = 0
    for number, _ in enumerate(moments(line, make(0, 6.5, 0.8, 3.5))):
        if number < 200:
            continue
        killed(line, recordings, tmp_path / "copy")
        bodies = sidecars(tmp_path / "copy")
        gaps = in_ledger(tmp_path / "copy")
        for body in bodies:
            silent = zeros(tmp_path / "copy" / str(body["file"]))
            told = body["gaps"]
            assert isinstance(told, list)
            # To the millisecond that the times of a sidecar have.
            assert abs(silent - sum(gap["filled_samples"] for gap in told)) <= 48, number
            assert all(gap["end"] <= str(body["end"]) for gap in told)
            assert {gap["id"] for gap in told} <= {gap.id for gap in gaps}
            filled = max(filled, silent)
        assert sum(gap.filled_samples for gap in gaps) <= 38_400 + 96
        assert not [gap for gap in gaps if gap.end is None], "then the ledger of the start begins where the audio ends"
    assert filled > 10_000
    line.steps([RunEnded(GapCause.STOPPED, None, at(10.8))])
