"""Ogg streams down the whole line: files of whole packets that follow one another, losses in the ledger, titles."""

from pathlib import Path

import numpy as np
import pytest

from agent.codecs import CONTAINERS
from agent.model import (
    AudioFormat,
    Block,
    CloseReason,
    FinishedSegment,
    GapCause,
    Level,
    Loss,
    RunEnded,
    RunStarted,
    RunStarting,
    SourceItem,
)
from agent.storage.salvage import salvage_source
from tests.agent.build import at, origin
from tests.agent.codecs.ogg_material import (
    OPUS,
    VORBIS,
    checked_length_s,
    decoded,
    format_of,
    oggenc,
    packets_by_ffmpeg,
    pages_of,
    real_ogg,
)
from tests.agent.test_recorder import Line

BOTH = [VORBIS, OPUS]


def paced(pages: list[bytes], audio_format: AudioFormat, *, first: float = 0.0) -> list[SourceItem]:
    """A page each 0.2 s, as ffmpeg made them."""
    begin: list[SourceItem] = [RunStarting(at(first)), RunStarted(audio_format, at(first))]
    return [*begin, *(Block(page, at(first + number * 0.2)) for number, page in enumerate(pages))]


def payload(finished: list[FinishedSegment]) -> list[bytes]:
    """The packets of all files, without those that are for the decoder only."""
    packets = []
    for item in finished:
        found = packets_by_ffmpeg(item.path.read_bytes())
        assert len(found) == item.segment.priming_packets + (item.segment.packets or 0)
        packets += found[item.segment.priming_packets :]
    return packets


@pytest.mark.parametrize("kind", BOTH)
def test_files_follow_one_another_without_a_seam(tmp_path: Path, kind: tuple[str, int, int]) -> None:
    data = real_ogg(*kind, seconds=16.0, tags="artist=Wind|title=Lärm")
    line = Line(tmp_path)
    line.steps([*paced(pages_of(data), format_of(data), first=2), RunEnded(GapCause.STOPPED, None, at(18))])
    segments = [item.segment for item in line.finished]
    assert len(segments) == 4
    assert {segment.container for segment in segments} == {"opus" if kind == OPUS else "ogg"}
    assert [segment.start for segment in segments[1:]] == [segment.end for segment in segments[:-1]]
    assert [segment.reason for segment in segments[:-1]] == [CloseReason.BOUNDARY] * 3
    assert {segment.titles[0].text for segment in segments} == {"Wind - Lärm"}
    assert not segments[0].format.setup
    assert packets_by_ffmpeg(data)[1:] == payload(line.finished)
    whole = decoded_parts(line.finished, kind[2])
    for item, samples in zip(line.finished, whole, strict=True):
        assert len(samples) == item.segment.samples
        assert abs(checked_length_s(item.path) - item.segment.samples / kind[1]) <= 0.001
        assert item.segment.loudness is not None
    (tmp_path / "judge").write_bytes(data)
    judge = decoded(tmp_path / "judge", kind[2])
    joined = np.concatenate(whole)[: len(judge) - 960]
    if kind == VORBIS:
        assert np.array_equal(joined, judge[: len(joined)])
    levels = [heard for heard in line.heard if isinstance(heard, Level)]
    assert len(levels) > 10


def decoded_parts(finished: list[FinishedSegment], channels: int) -> list[np.ndarray]:
    return [decoded(item.path, channels) for item in finished]


@pytest.mark.parametrize("kind", BOTH)
def test_a_damaged_page_is_a_gap_of_its_length(tmp_path: Path, kind: tuple[str, int, int]) -> None:
    data = real_ogg(*kind, seconds=16.0)
    pages = pages_of(data)
    pages[40] = pages[40][:90] + b"?!" + pages[40][92:]
    line = Line(tmp_path)
    line.steps([*paced(pages, format_of(data)), RunEnded(GapCause.STOPPED, None, at(17))])
    corrupt = [gap for gap in line.gaps() if gap[0] is GapCause.CORRUPT]
    ((_, start, end),) = corrupt
    assert end is not None
    assert 0.2 <= end - start <= 0.2 + 0.09
    total = sum(item.segment.samples for item in line.finished) / kind[1] + end - start
    assert abs(total - 16) < 0.05
    assert [item.segment.reason for item in line.finished].count(CloseReason.GAP) == 1
    for item in line.finished:
        assert len(decoded(item.path, kind[2])) == item.segment.samples


@pytest.mark.parametrize("kind", BOTH)
def test_bytes_that_were_lost_before_the_framer_do_not_cost_the_headers(
    tmp_path: Path, kind: tuple[str, int, int]
) -> None:
    data = real_ogg(*kind, seconds=16.0)
    items = paced(pages_of(data), format_of(data))
    middle = items[40]
    assert isinstance(middle, Block)
    items[40] = Block(middle.data[:100], middle.received_at)
    items[41:50] = [Loss(GapCause.QUEUE_OVERFLOW, "too slow", middle.received_at)]
    line = Line(tmp_path)
    line.steps([*items, RunEnded(GapCause.STOPPED, None, at(17))])
    assert [gap[0] for gap in line.gaps()].count(GapCause.QUEUE_OVERFLOW) == 1
    assert not any(gap[0] is GapCause.CORRUPT for gap in line.gaps())
    total = sum(item.segment.samples for item in line.finished) / kind[1]
    assert 16 - 2.3 < total < 16 - 1.8
    assert payload(line.finished)[-1] == packets_by_ffmpeg(data)[-1]


def test_a_song_with_another_set_up_begins_a_new_file(tmp_path: Path) -> None:
    one, other = real_ogg(*VORBIS, seconds=3.0), oggenc(8, 3.0)
    pages = pages_of(one) + pages_of(other)
    line = Line(tmp_path, period_s=60)
    line.steps([*paced(pages, format_of(one)), RunEnded(GapCause.STOPPED, None, at(17))])
    assert [item.segment.reason for item in line.finished] == [CloseReason.FORMAT_CHANGE, CloseReason.STOP]
    assert payload(line.finished) == packets_by_ffmpeg(one)[1:] + packets_by_ffmpeg(other)[1:]
    assert [title.text for title in line.finished[1].segment.titles] == ["Wind - Lärm"]


@pytest.mark.parametrize("kind", BOTH)
def test_what_a_crash_left_is_salvaged(tmp_path: Path, kind: tuple[str, int, int]) -> None:
    data = real_ogg(*kind, seconds=16.0)
    line = Line(tmp_path, period_s=60)
    line.steps(paced(pages_of(data), format_of(data)))
    line.recorder.abandon()
    (left,) = tmp_path.glob("mic/*/*/*/*.o*.part")
    left.write_bytes(left.read_bytes()[:-100])
    (salvaged,) = salvage_source(tmp_path, origin())
    assert salvaged.segment.reason is CloseReason.RECOVERED
    assert len(decoded(salvaged.path, kind[2])) == salvaged.segment.samples
    assert salvaged.segment.samples > 14 * kind[1]
    assert salvaged.segment.loudness is not None
    assert payload([salvaged]) == packets_by_ffmpeg(data)[1:][: salvaged.segment.packets]
    whole = CONTAINERS[salvaged.segment.container].whole(salvaged.path.read_bytes())
    assert whole is not None
    assert whole.samples == salvaged.segment.samples
