"""Streams that break off and come back, down the whole line: what the files hold, and what the ledger says."""

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.ledger import read_ledger
from agent.filler import Filler
from agent.gaps import GapAccount
from agent.loudness.meter import Meter
from agent.model import Block, Gap, GapCause, RunEnded, RunStarted, RunStarting, SourceItem, Tail
from agent.recorder import Recorder
from agent.segmenter import Segmenter
from agent.storage.ledger import Ledger
from agent.storage.salvage import salvage_source
from agent.storage.tail import read_tail
from agent.timeline import Timeline
from tests.agent.build import MP3_STEREO, at, mp3_stream, origin, utc, writer
from tests.agent.stream import PACKET_S, Connection, connections
from tests.agent.test_recorder import HEARING, UTC_ZONE, Line

STREAM = mp3_stream(6000)


def said(connection: Connection, stream: list[bytes], rng: random.Random, *, cuts: bool = True) -> list[SourceItem]:
    """The bytes of a connection as they come, cut anywhere; it may break off in the middle of a packet."""
    live = at(connection.live * PACKET_S)
    items: list[SourceItem] = [RunStarting(live), RunStarted(MP3_STEREO, live)]
    for number in range(connection.first, connection.end):
        cut = rng.randrange(417) if cuts else 0
        now = at(connection.arrives_s(number))
        items += [Block(piece, now) for piece in (stream[number][:cut], stream[number][cut:]) if piece]
    half = Block(stream[connection.end][: rng.randrange(1, 400)], at(connection.ends_s))
    return [*items, half, RunEnded(GapCause.DISCONNECTED, None, at(connection.ends_s))]


def stored(line: Line) -> bytes:
    return b"".join(item.path.read_bytes()[item.segment.payload_offset :] for item in line.finished)


def gaps(recordings: Path) -> list[Gap]:
    lines = read_ledger((recordings / "mic" / "gaps.jsonl").read_bytes())
    return [line.gap for line in lines.values()]


@given(connections(whole_bursts=True), st.integers(0, 1 << 32), st.sampled_from([5, 3600]))
@settings(max_examples=25, deadline=None)
def test_no_packet_is_stored_twice_and_gaps_are_as_long_as_what_is_missing(
    tmp_path_factory: pytest.TempPathFactory, made: list[Connection], seed: int, period_s: int
) -> None:
    """Whole bursts, which are either as good as none or reach back to what was recorded."""
    made = [replace(one, burst=one.burst if one.burst > 8 else 0) for one in made]
    rng = random.Random(seed)
    line = Line(tmp_path_factory.mktemp("line"), period_s=period_s)
    expected, missing = b"", []
    end = 0
    for connection in made:
        shared = end - connection.first
        begin = connection.first if shared < 8 else end
        expected += b"".join(STREAM[begin : connection.end])
        if end and shared <= 0:
            missing.append(-shared)
        elif end and shared >= 8:
            missing.append(0)
        elif end:
            return  # Fewer than eight shared packets are stored twice, and time overlaps.
        line.steps(said(connection, STREAM, rng))
        end = connection.end
    assert stored(line) == expected
    segments = [item.segment for item in line.finished]
    for segment, following in pairwise(segments):
        assert (following.start - segment.end).total_seconds() >= -0.002
    found = [gap.duration_s for gap in gaps(line.recordings) if gap.cause is GapCause.DISCONNECTED]
    assert found[:-1] == pytest.approx([packets * PACKET_S for packets in missing], abs=0.004)
    assert sum(segment.packets or 0 for segment in segments) == len(expected) // 417


def test_where_the_burst_covers_the_outage_times_join_exactly(tmp_path: Path) -> None:
    """Twenty times; jitter on the way, and the dates are as good in the end as at the beginning."""
    rng, line = random.Random(1), Line(tmp_path, period_s=3600)
    live = 200
    for _ in range(20):
        end = live + rng.randrange(20, 120)
        items = said(Connection(live, 160, end), STREAM, rng)
        for number, item in enumerate(items):
            if isinstance(item, Block) and rng.random() < 0.7:
                later = (item.received_at.wall_ns - at().wall_ns) / 1e9 + rng.random() * 0.04
                items[number] = Block(item.data, at(later))
        line.steps(items)
        live = end + rng.randrange(1, 120)
    segments = [item.segment for item in line.finished]
    assert len(segments) == 20
    assert stored(line) == b"".join(STREAM[40:end])
    for segment, following in pairwise(segments):
        assert segment.end == following.start
        assert following.gap_before is not None
        assert following.gap_before.duration_s == 0
    assert (segments[-1].end - utc()).total_seconds() == pytest.approx(end * PACKET_S, abs=0.01)


def after_restart(recordings: Path, now_s: float) -> tuple[Line, Tail | None]:
    """A line as app.build_line makes it for what an earlier one left."""
    salvage_source(recordings, origin())
    tail = read_tail(recordings, "mic", at(now_s), origin().boot)
    line = Line(recordings, period_s=5)
    line.recorder = Recorder(
        Timeline(tail=tail),
        Filler(up_to_ns=0),
        Segmenter(period_s=5, zone=UTC_ZONE),
        GapAccount("mic", UTC_ZONE, open_gap=Ledger(recordings, "mic").open_gap()),
        Meter("mic", HEARING),
        writer(recordings, sync_s=1.0),
        Ledger(recordings, "mic"),
        watch=line.seen.append,
        sinks=(line._told,),
        tail=tail,
    )
    return line, tail


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("end", [400, 577, 580])
def test_a_burst_after_a_restart_is_recognised(tmp_path: Path, end: int, *, crash: bool) -> None:
    """The first run ends 2.4 s into a file, or some packets behind a boundary; the second begins with 160 old ones."""
    before = Line(tmp_path, period_s=5)
    items = said(Connection(0, 0, end), STREAM, random.Random(0))
    before.steps(items[:-1] if crash else [*items[:-1], RunEnded(GapCause.AGENT_STOPPED, None, at(end * PACKET_S))])
    before.recorder.abandon()
    line, tail = after_restart(tmp_path, (end + 90) * PACKET_S)
    assert tail is not None
    assert tail.packets == tuple(STREAM[end - len(tail.packets) : end])
    line.steps(said(Connection(end + 100, 160, end + 300), STREAM, random.Random(1)))
    segments = [json.loads(path.read_bytes()) for path in sorted(tmp_path.rglob("mic_*.json"))]
    files = [(tmp_path / segment["file"]).read_bytes()[segment["payload_offset"] :] for segment in segments]
    assert b"".join(files) == b"".join(STREAM[: end + 300])
    for segment, following in pairwise(segments):
        assert segment["end"] == following["start"]
