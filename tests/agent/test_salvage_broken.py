"""Entries of broken packets after a crash: none is lost, none is there twice, and verify agrees."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest

from agent.archive_format.ledger import read_ledger
from agent.archive_format.names import name_of
from agent.codecs import CONTAINERS
from agent.model import Block, GapCause, RunEnded, RunStarted, RunStarting, SourceItem, Title
from agent.repair.repair import Repair
from agent.storage.history import newest
from agent.storage.ledger import Ledger
from agent.storage.relevel import relevel
from agent.storage.salvage import salvage, salvage_source
from agent.verify.places import groups
from tests.agent.broken import BREAKABLE, broken, damaged, lost_by_a_player, numbers_of
from tests.agent.build import at, origin
from tests.agent.codecs.test_contract import format_of, frames, stream
from tests.agent.recorded import record
from tests.agent.schemas import validate
from tests.agent.test_recorder import Line, moment
from tests.agent.verify.support import found


def killed(line: Line, recordings: Path, copy: Path) -> None:
    """What a start after a kill at this moment makes of it, as build_line has it."""
    line.recorder._writer.settle()
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(recordings, copy)
    salvaged = [finished.segment for finished in salvage_source(copy, origin())]
    Ledger(copy, "mic").complete(gap for one in (*salvaged, *newest(copy, "mic", 16)) for gap in one.gaps)


@pytest.mark.parametrize("run", [1, 12])
@pytest.mark.parametrize("codec", BREAKABLE)
def test_whenever_it_is_killed_no_entry_is_lost_or_there_twice(tmp_path: Path, codec: str, run: int) -> None:
    recordings, copy = tmp_path / "recordings", tmp_path / "copy"
    step = 5 if codec in ("flac", "oggflac") else 17
    wrong = [number for number in range(4, len(frames(codec)) - 1) if number % step < run]
    data = damaged(codec, {number: broken(codec, number) for number in wrong})
    line = Line(recordings, period_s=3, sync_s=0.5)
    items: list[SourceItem] = [RunStarting(at()), RunStarted(format_of(codec), at())]
    pieces = 60
    edges = [number * len(data) // pieces for number in range(pieces + 1)]
    items += [Block(data[low:high], at(n / 10)) for n, (low, high) in enumerate(zip(edges, edges[1:], strict=False), 1)]
    items.insert(30, Title("a song", at(2.75)))
    most = 0
    for number, item in enumerate(items):
        line.recorder.step(item)
        if number % 3:
            line.recorder.tick(moment(item))
        if number < 10:
            continue
        killed(line, recordings, copy)
        segments = sorted(copy.glob("mic/*/*/*/*.json"))
        told = 0
        for path in segments:
            body = json.loads(path.read_bytes())
            validate("segment", body)
            told += sum(gap["filled_samples"] for gap in body["gaps"])
        assert [one for one in found(copy) if one.check in ("decode", "counts", "sidecar", "levels")] == [], number
        known = read_ledger((copy / "mic" / "gaps.jsonl").read_bytes()).values()
        assert sum(one.gap.filled_samples for one in known) == told, number
        assert all(one.at == "end" for one in known if one.gap.filled_samples)
        most = max(most, told)
    assert most >= 5 * frames(codec)[0].samples
    line.steps([RunEnded(GapCause.AGENT_STOPPED, None, at(6.1))])
    assert found(recordings) == []


@pytest.mark.parametrize("codec", BREAKABLE)
def test_without_its_sidecar_so_far_the_audio_tells(tmp_path: Path, codec: str) -> None:
    wrong = {number: broken(codec, number) for number in numbers_of(codec)}
    record(tmp_path, codec, data=damaged(codec, wrong), leave_open=True)
    for path in tmp_path.rglob("*.json.part"):
        path.unlink()
    (salvaged,) = salvage_source(tmp_path, origin())
    assert sum(gap.filled_samples for gap in salvaged.segment.gaps) == lost_by_a_player(salvaged)
    assert [one for one in found(tmp_path) if one.check == "decode"] == []


@pytest.mark.parametrize(("most_s", "step"), [(60.0, 4), (1.8, 12)])
@pytest.mark.parametrize("codec", BREAKABLE)
def test_where_a_power_cut_took_the_end_that_the_sidecar_tells_of(
    tmp_path: Path, codec: str, most_s: float, step: int
) -> None:
    """It is written before the audio is safe; the entries are those of the packets that are left, and no others."""
    wrong = {number: broken(codec, number) for number in range(10, len(frames(codec)), step)}
    for item in record(tmp_path / "sound", codec, data=damaged(codec, wrong)).finished:
        audio, sidecar = item.path.read_bytes(), item.path.with_suffix(".json").read_bytes()
        levels = item.path.with_suffix(".levels.npy").read_bytes()
        known = {gap.id for gap in item.segment.gaps}
        for number, length in enumerate(range(len(audio) * 6 // 10, len(audio), len(audio) // 20)):
            copy = tmp_path / f"{item.path.stem}{number}"
            part = copy / item.path.relative_to(tmp_path / "sound")
            part.parent.mkdir(parents=True)
            part.with_name(part.name + ".part").write_bytes(audio[:length])
            part.with_suffix(".json.part").write_bytes(sidecar)
            part.with_suffix(".levels.npy.part").write_bytes(levels)
            name = name_of(PurePosixPath(item.segment.file))
            assert name is not None
            salvaged = salvage(copy, name, origin(), decoded_max_s=most_s)
            assert salvaged is not None
            assert [str(one) for one in found(copy) if one.check in ("decode", "counts", "sidecar", "levels")] == []
            assert {gap.id for gap in salvaged.segment.gaps} <= known
            ends = [salvaged.segment.start, *(gap.end for gap in salvaged.segment.gaps if gap.end is not None)]
            assert ends == sorted(ends)
            assert ends[-1] <= salvaged.segment.end


@pytest.mark.parametrize("most_s", [1.0, 3.0])
def test_levels_are_not_given_up_for_entries(tmp_path: Path, most_s: float) -> None:
    """Where decoding all of it would take too long at a start, the rows that are known stay."""
    line = record(tmp_path, "mp3", data=damaged("mp3", {10: broken("mp3", 10)}))
    item = line.finished[0]
    levels = item.path.with_suffix(".levels.npy")
    series = levels.read_bytes()
    whole = CONTAINERS["mp3"].whole(item.path.read_bytes())
    assert whole is not None
    measured = relevel(item.path, levels, CONTAINERS["mp3"], whole, decoded_max_s=most_s, broken_from=0)
    assert measured.loudness is not None
    assert len(levels.read_bytes()) == len(series)
    assert [run.end - run.begin for run in measured.broken] == ([1152] if most_s > 2 else [])


@pytest.mark.parametrize("codec", BREAKABLE)
def test_a_sidecar_that_is_written_anew_has_the_entries_of_the_ledger(tmp_path: Path, codec: str) -> None:
    line = record(tmp_path, codec, data=damaged(codec, {n: broken(codec, n) for n in numbers_of(codec)}))
    told = {gap.id for item in line.finished for gap in item.segment.gaps}
    for item in line.finished:
        item.path.with_suffix(".json").unlink()
    for group in groups(tmp_path):
        list(Repair("boot", lambda: datetime.now(UTC)).group(group))
    listed = {gap["id"] for path in tmp_path.rglob("*.json") for gap in json.loads(path.read_bytes())["gaps"]}
    assert listed == told
    assert [one for one in found(tmp_path) if one.check == "decode"] == []


def test_what_is_held_when_the_line_breaks_off_is_written(tmp_path: Path) -> None:
    line = Line(tmp_path, period_s=60)
    data = stream("mp3")
    line.steps([RunStarting(at()), RunStarted(format_of("mp3"), at())])
    pieces = [data[low : low + 1600] for low in range(0, 64_000, 1600)]
    blocks = [Block(piece, at(number / 10)) for number, piece in enumerate(pieces, 1)]
    line.steps(list(blocks[:-3]))
    for block in blocks[-3:]:
        line.recorder.step(block)  # and no tick: the queue has more
    line.recorder.abandon()
    (salvaged,) = salvage_source(tmp_path, origin())
    stored = salvaged.path.read_bytes()[salvaged.segment.payload_offset :]
    assert data.startswith(stored)
    assert len(stored) > 64_000 - 1000
