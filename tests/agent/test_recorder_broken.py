"""Packets that are well framed but broken, through the whole line: stored as they came, and accounted for."""

import json
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agent.archive_format.ledger import read_ledger, read_lines
from agent.archive_format.times import ms_of
from agent.codecs import CONTAINERS
from agent.codecs.packet_decoder import PacketDecoder
from agent.day_account import DayAccount
from agent.model import (
    Block,
    Frame,
    Gap,
    GapCause,
    GapLine,
    RunEnded,
    RunStarted,
    RunStarting,
    SourceItem,
    Title,
)
from agent.repair.repair import Repair
from agent.storage.history import newest
from agent.storage.ledger import Ledger
from agent.storage.relevel import relevel
from agent.storage.salvage import salvage_source
from agent.verify.places import groups
from tests.agent.broken import BREAKABLE, broken, by_chance, damaged, lost_by_a_player
from tests.agent.build import UTC_ZONE, at, origin, real_mp3, utc
from tests.agent.codecs.ogg_material import real_ogg, units_of
from tests.agent.codecs.test_contract import format_of, frames, stream, together
from tests.agent.recorded import record
from tests.agent.schemas import validate
from tests.agent.test_recorder import Line, moment
from tests.agent.verify.support import found
from tests.parts.icecast import CODECS


def numbers_of(codec: str) -> list[int]:
    """One alone and three in a row; FLAC has few frames, long ones."""
    return [20, 30, 31, 32] if codec in ("flac", "oggflac") else [40, 120, 121, 122]


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


# --- sound streams ----------------------------------------------------------------------------------------------------

SOUND: dict[str, tuple[Frame, ...]] = {}


def cold_starts(packets: list[Frame], every: int) -> None:
    for first in range(0, len(packets) - 30, every):
        decoder = PacketDecoder(packets[0].format)
        for frame in packets[first : first + 30]:
            decoder.push(frame)
            assert decoder.broken == (), f"packet {first}"


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_is_broken_wherever_a_decoder_is_started(codec: str, tmp_path: Path) -> None:
    packets = list(frames(codec))
    primes = len(together(codec).priming)
    primed = [
        Frame(one.data, one.samples, one.format, one.received_at, (), tuple(p.data for p in packets[n - primes : n]))
        for n, one in enumerate(packets)
        if n >= primes
    ]
    cold_starts(primed, 1 if codec in ("flac", "oggflac") else 3)
    line = record(tmp_path, codec)
    assert entries(line) == []
    assert all(one.gap.cause is not GapCause.CORRUPT for one in ledger(tmp_path))


@pytest.mark.parametrize("extra", ["-b:a 8k -application voip -frame_duration 10", "-frame_duration 2.5", "-b:a 24k"])
def test_no_mode_of_opus_is_broken(extra: str) -> None:
    units = [unit for unit in units_of([real_ogg("libopus", 48000, 1, extra=extra)]) if isinstance(unit, Frame)]
    for first in range(0, len(units), 3):
        decoder = PacketDecoder(units[0].format)
        for frame in units[first:]:
            decoder.push(frame)
            assert decoder.broken == ()


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (22050, 1)])
@pytest.mark.parametrize("variable", [False, True])
def test_mp3_packets_that_lean_on_what_is_not_there_are_sound(rate: int, channels: int, variable: bool) -> None:
    """At the start of a run, at a seam, behind a reconnect: the bit reservoir of the first packets is missing."""
    data = real_mp3(rate, channels, 4.0, variable=variable)
    whole = CONTAINERS["mp3"].whole(data)
    assert whole is not None
    framed = units_of_mp3(data)
    cold_starts(framed, 1)


def units_of_mp3(data: bytes) -> list[Frame]:
    from agent.codecs.mp3 import FRAMING

    first = FRAMING.find(data)
    assert first is not None
    return [
        Frame(data[place : place + here.length], here.samples, here.format, at())
        for place, here in FRAMING.walk(data, first[0], first[1])
    ]


# --- crashes ----------------------------------------------------------------------------------------------------------


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
    told = {gap.id for gap in entries(line)}
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
