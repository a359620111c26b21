"""Packets that are well framed but broken, through the whole line: stored as they came, and accounted for."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from agent.archive_format.ledger import read_lines
from agent.archive_format.times import ms_of
from agent.day_account import DayAccount
from agent.model import (
    Gap,
    GapCause,
    GapLine,
)
from tests.agent.broken import BREAKABLE, broken, by_chance, damaged, lost_by_a_player, numbers_of
from tests.agent.build import UTC_ZONE, utc
from tests.agent.codecs.test_contract import frames
from tests.agent.recorded import record
from tests.agent.schemas import validate
from tests.agent.test_recorder import Line
from tests.agent.verify.support import found


def entries(line: Line) -> list[Gap]:
    return [gap for item in line.finished for gap in item.segment.gaps]


def ledger(recordings: Path) -> list[GapLine]:
    return list(read_lines((recordings / "mic" / "gaps.jsonl").read_bytes()))


def places(line: Line) -> list[tuple[int, int]]:
    """Where the entries lie, as samples of the whole recording, by their times."""
    told, before = [], 0
    for item in line.finished:
        segment = item.segment
        rate = segment.format.sample_rate_hz
        for gap in segment.gaps:
            begin = before + round((gap.start - segment.start).total_seconds() * rate)
            told.append((begin, begin + gap.filled_samples))
        before += segment.samples
    return told


def nearest(edges: list[int], sample: int) -> int:
    """The number of the edge that is nearest."""
    return int(np.abs(np.array(edges) - sample).argmin())


@pytest.mark.parametrize("codec", BREAKABLE)
def test_a_broken_packet_is_stored_and_listed_in_its_place_with_its_length(tmp_path: Path, codec: str) -> None:
    wrong = {number: broken(codec, number) for number in numbers_of(codec)}
    line = record(tmp_path, codec, data=damaged(codec, wrong))
    sent = list(frames(codec))
    assert sum(item.segment.samples for item in line.finished) == sum(frame.samples for frame in sent)
    assert sum(item.segment.packets or 0 for item in line.finished) == len(sent)
    stored = b"".join(item.path.read_bytes() for item in line.finished)
    for number, packet in wrong.items():
        # FLAC frames have other numbers in their file, Ogg packets may be cut by pages.
        assert packet[16 : 16 + 40] in stored, number
    starts = [sum(frame.samples for frame in sent[:number]) for number in range(len(sent) + 1)]
    expected = [sent[number].samples for number in wrong]
    assert sum(gap.filled_samples for gap in entries(line)) == sum(expected)
    rate = sent[0].format.sample_rate_hz
    # To less than half a packet: dates still move in the first seconds of a run.
    told = [number for begin, end in places(line) for number in range(nearest(starts, begin), nearest(starts, end))]
    assert told == list(wrong)
    for item in line.finished:
        body = json.loads(item.path.with_suffix(".json").read_bytes())
        validate("segment", body)
        gaps = item.segment.gaps
        assert all(gap.cause is GapCause.CORRUPT and "cannot be decoded" in (gap.detail or "") for gap in gaps)
        assert body["missing_s"] == round(sum(gap["duration_s"] for gap in body["gaps"]), 3)
        lost_s = sum(gap.filled_samples for gap in gaps) / rate
        assert body["missing_s"] == pytest.approx(lost_s, abs=0.002 * len(gaps) + 0.01)
        assert lost_by_a_player(item) == sum(gap.filled_samples for gap in gaps)
        assert all(item.segment.start <= gap.start < (gap.end or gap.start) <= item.segment.end for gap in gaps)


@pytest.mark.parametrize("codec", BREAKABLE)
def test_the_ledger_and_the_account_of_the_day_tell_the_same(tmp_path: Path, codec: str) -> None:
    line = record(tmp_path, codec, data=damaged(codec, {n: broken(codec, n) for n in numbers_of(codec)}))
    lines = ledger(tmp_path)
    account = DayAccount(UTC_ZONE)
    for one in lines:
        validate("gap", json.loads((tmp_path / "mic" / "gaps.jsonl").read_bytes().splitlines()[lines.index(one)]))
        account.line(one)
    for item in line.finished:
        account.finished(item.segment)
    for gap in entries(line):
        assert [(one.at, one.gap.end) for one in lines if one.gap.id == gap.id] == [("begin", None), ("end", gap.end)]
    told = {one.gap.id for one in lines if one.gap.cause is GapCause.CORRUPT}
    assert told == {gap.id for gap in entries(line)}
    first, last = line.finished[0].segment, line.finished[-1].segment
    assert first.gap_before is not None
    assert first.gap_before.start == utc(0)
    today = account.today(ms_of(last.end))
    missing_s = sum(one.gap.duration_s or 0.0 for one in lines if one.at == "end")
    assert missing_s > sum(gap.filled_samples for gap in entries(line)) / first.format.sample_rate_hz * 0.9
    assert today.missing_s == pytest.approx(missing_s, abs=0.001)
    assert today.recorded_s + today.missing_s == pytest.approx((last.end - utc(0)).total_seconds(), abs=0.001)
    assert today.completeness_pct is not None
    assert today.completeness_pct < 100
    assert account.lost_s(ms_of(last.end)) == pytest.approx(missing_s, abs=0.001)
    assert found(tmp_path) == []


def test_a_vorbis_packet_that_says_it_is_no_audio_is_a_loss_as_long_as_the_granules_tell(tmp_path: Path) -> None:
    """The framer cannot take it for audio, so it is not in a file, and the gap lies between two."""
    packet = frames("vorbis")[100].data
    line = record(tmp_path, "vorbis", data=damaged("vorbis", {100: bytes([packet[0] | 1]) + packet[1:]}))
    assert entries(line) == []
    (gap,) = [one.gap for one in ledger(tmp_path) if one.gap.cause is GapCause.CORRUPT and one.at == "end"]
    assert gap.duration_s is not None
    assert gap.duration_s > 0
    assert [lost_by_a_player(item) for item in line.finished] == [0] * len(line.finished)
    assert found(tmp_path) == []


# --- by chance --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("codec", ["mp3", "aac", "vorbis", "opus", "oggflac", "flac"])
def test_the_entries_are_what_a_player_loses(tmp_path: Path, codec: str, seed: int) -> None:
    moments = random.Random(seed)
    wrong = {n: by_chance(codec, n, moments) for n in moments.sample(range(len(frames(codec)) - 1), 12)}
    line = record(tmp_path, codec, data=damaged(codec, wrong))
    for item in line.finished:
        assert sum(gap.filled_samples for gap in item.segment.gaps) == lost_by_a_player(item), item.segment.file
    assert found(tmp_path) == []


@pytest.mark.parametrize("codec", BREAKABLE)
def test_broken_packets_at_every_edge(tmp_path: Path, codec: str) -> None:
    """The first of a stream, the last, and those on both sides of a seam."""
    sound = record(tmp_path / "sound", codec)
    seams, count = [], 0
    for item in sound.finished:
        count += item.segment.packets or 0
        seams.append(count)
    numbers = [0, seams[0] - 1, seams[0], seams[1], seams[-1] - 1]
    line = record(tmp_path / "broken", codec, data=damaged(codec, {n: broken(codec, n) for n in numbers}))
    expected = [sum(frames(codec)[n].samples for n in part) for part in (numbers[:2], numbers[2:3], numbers[3:])]
    assert [sum(gap.filled_samples for gap in item.segment.gaps) for item in line.finished] == expected
    assert line.finished[0].segment.gaps[0].start == line.finished[0].segment.start
    assert line.finished[-1].segment.gaps[-1].end == line.finished[-1].segment.end
    assert found(tmp_path / "broken") == []


@pytest.mark.parametrize("codec", BREAKABLE)
def test_a_stream_of_broken_packets_alone(tmp_path: Path, codec: str) -> None:
    """No player gets anything out of it, and nothing stops."""
    line = record(tmp_path, codec, data=damaged(codec, {n: broken(codec, n) for n in range(len(frames(codec)))}))
    for item in line.finished:
        assert sum(gap.filled_samples for gap in item.segment.gaps) == item.segment.samples
        assert item.segment.loudness is None
    assert found(tmp_path) == []
