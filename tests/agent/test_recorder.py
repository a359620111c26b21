import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archive_format.ledger import read_ledger
from agent.codecs import CONTAINERS
from agent.errors import StorageError
from agent.filler import Filler
from agent.gaps import GapAccount
from agent.loudness.meter import Meter
from agent.model import (
    AudioFormat,
    Block,
    Entry,
    EventRule,
    FinishedSegment,
    GapCause,
    Hearing,
    Instant,
    Level,
    Loss,
    RunEnded,
    RunStarted,
    RunStarting,
    SoundEvent,
    SourceItem,
    SplitHere,
    Title,
)
from agent.recorder import Recorder
from agent.segmenter import Segmenter
from agent.storage.ledger import Ledger
from agent.storage.salvage import salvage_source
from agent.timeline import Timeline
from tests.agent.build import MP3_STEREO, NS, S16_MONO, at, mp3_stream, noise, origin, utc, writer
from tests.agent.schemas import validate

HEARING = Hearing(1.0, EventRule(-20.0, 3.0, 0.05, 0.2), None)
UTC_ZONE = ZoneInfo("UTC")


class Line:
    """A recorder with everything below it real; what it finished and saw is kept."""

    def __init__(
        self, recordings: Path, *, period_s: int = 5, container: str = "wav", sync_s: float = 1.0, fill_s: float = 0.0
    ) -> None:
        self.recordings = recordings
        self.finished: list[FinishedSegment] = []
        self.heard: list[SoundEvent | Level] = []
        self.seen: list[SourceItem | Entry] = []
        self.recorder = Recorder(
            Timeline(),
            Filler(up_to_ns=round(fill_s * NS)),
            Segmenter(period_s=period_s, zone=UTC_ZONE),
            GapAccount("mic", UTC_ZONE),
            Meter("mic", HEARING),
            writer(recordings, container=container, sync_s=sync_s),
            Ledger(recordings, "mic"),
            watch=self.seen.append,
            sinks=(self._told,),
        )

    def _told(self, news: FinishedSegment | SoundEvent | Level) -> None:
        if isinstance(news, FinishedSegment):
            self.finished.append(news)
        else:
            self.heard.append(news)

    def steps(self, items: list[SourceItem]) -> None:
        for item in items:
            self.recorder.step(item)
            self.recorder.tick(moment(item))

    def gaps(self) -> list[tuple[GapCause, float, float | None]]:
        """The ledger as it ends up: cause, start and end in seconds after the beginning."""
        data = (self.recordings / "mic" / "gaps.jsonl").read_bytes()
        for raw in data.splitlines():
            validate("gap", json.loads(raw))
        lines = read_ledger(data).values()
        return [
            (
                line.gap.cause,
                (line.gap.start - utc()).total_seconds(),
                None if line.gap.end is None else (line.gap.end - utc()).total_seconds(),
            )
            for line in lines
        ]


def moment(item: SourceItem) -> Instant:
    return item.received_at if isinstance(item, Block | Title) else item.at


def pcm(first: float, blocks: int, raw: bytes, audio_format: AudioFormat = S16_MONO) -> list[SourceItem]:
    """Blocks of 50 ms from `first` seconds on, each there when it is complete."""
    width = 2400 * (audio_format.bytes_per_sample or 1)
    return [
        Block(raw[number * width : (number + 1) * width], at(first + (number + 1) * 0.05)) for number in range(blocks)
    ]


def stored(line: Line) -> bytes:
    return b"".join(soundfile.read(item.path, dtype="int16")[0].tobytes() for item in line.finished)


@pytest.mark.parametrize("container", ["flac", "wav"])
def test_a_card_from_start_to_stop(tmp_path: Path, container: str) -> None:
    raw = noise(2400 * 240)
    line = Line(tmp_path, container=container)
    line.steps([RunStarting(at(-3)), RunStarted(S16_MONO, at(-2)), *pcm(-2, 240, raw)])
    line.steps([RunEnded(GapCause.STOPPED, None, at(10.1))])
    assert stored(line) == raw
    spans = [
        ((item.segment.start - utc()).total_seconds(), (item.segment.end - utc()).total_seconds())
        for item in line.finished
    ]
    assert spans == [(-2.0, 0.0), (0.0, 5.0), (5.0, 10.0)]
    assert [(item.segment.aligned_start, item.segment.aligned_end) for item in line.finished] == [
        (False, True),
        (True, True),
        (True, True),
    ] or [item.segment.reason for item in line.finished][-1] == "stop"
    assert line.gaps() == [(GapCause.STARTING, -3.0, -2.0), (GapCause.STOPPED, 10.0, None)]
    for item in line.finished:
        body = json.loads(item.path.with_suffix(".json").read_bytes())
        validate("segment", body)
        assert body["samples"] == round(body["duration_s"] * 48000)
    first = line.finished[0].segment.gap_before
    assert first is not None
    assert (first.cause, first.end) == (GapCause.STARTING, utc(-2))


@given(st.integers(0, 1 << 32), st.sampled_from(["pcm", "mp3"]), st.sampled_from([5, 10]))
@settings(max_examples=25, deadline=None)
def test_what_the_source_delivered_is_what_the_files_hold(
    tmp_path_factory: pytest.TempPathFactory, seed: int, codec: str, period_s: int
) -> None:
    """Bytes in chunks of any size, with splits and titles between them: nothing lost, nothing twice, nothing moved."""
    rng = random.Random(seed)
    audio_format = S16_MONO if codec == "pcm" else MP3_STEREO
    raw = noise(48000 * 12, seed=seed) if codec == "pcm" else b"".join(mp3_stream(460))
    line = Line(tmp_path_factory.mktemp("line"), period_s=period_s, container="flac")
    items: list[SourceItem] = [RunStarting(at(0)), RunStarted(audio_format, at(0))]
    done = 0
    while done < len(raw):
        piece = raw[done : done + rng.choice([1, 100, 4801, 65536])]
        done += len(piece)
        now = at(12 * done / len(raw))
        items.append(Block(piece, now))
        if rng.random() < 0.02:
            items.append(SplitHere(now))
        if rng.random() < 0.02:
            items.append(Title("x", now))
    line.steps([*items, RunEnded(GapCause.DISCONNECTED, None, at(13))])
    segments = [item.segment for item in line.finished]
    if codec == "pcm":
        assert stored(line) == raw
    else:
        payload = b"".join(item.path.read_bytes()[item.segment.payload_offset :] for item in line.finished)
        assert payload == raw
        assert sum(segment.packets or 0 for segment in segments) == 460
    for segment, following in zip(segments, segments[1:], strict=False):
        assert segment.end == following.start


def test_a_loss_is_a_gap_of_the_length_that_the_clock_tells(tmp_path: Path) -> None:
    raw = noise(2400 * 80)
    line = Line(tmp_path, period_s=60)
    items: list[SourceItem] = [RunStarting(at(0)), RunStarted(S16_MONO, at(0)), *pcm(0, 40, raw)]
    items += [Loss(GapCause.OVERRUN, "overrun!!!", at(2.7)), *pcm(2.7, 40, raw[2400 * 2 * 40 :])]
    line.steps([*items, RunEnded(GapCause.DEVICE_LOST, "gone", at(4.7))])
    assert stored(line) == raw
    assert line.gaps() == [
        (GapCause.STARTING, 0.0, 0.0),
        (GapCause.OVERRUN, 2.0, 2.7),
        (GapCause.DEVICE_LOST, 4.7, None),
    ]
    assert [item.segment.reason for item in line.finished] == ["gap", "gap"]


def test_half_a_sample_before_a_loss_is_not_completed_with_bytes_from_behind_it(tmp_path: Path) -> None:
    raw = noise(2400 * 20)
    line = Line(tmp_path, period_s=60)
    items: list[SourceItem] = [RunStarting(at(0)), RunStarted(S16_MONO, at(0)), *pcm(0, 10, raw)]
    items += [Block(b"\x7f", at(0.5)), Loss(GapCause.QUEUE_OVERFLOW, "", at(0.9)), *pcm(1.0, 10, raw[2400 * 2 * 10 :])]
    line.steps([*items, RunEnded(GapCause.STOPPED, None, at(1.6))])
    assert stored(line) == raw


def test_audio_before_its_run_is_a_fault_of_the_program(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="announced"):
        Line(tmp_path).steps([Block(b"xx", at(0))])


def test_a_gap_over_midnight_has_its_line(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.steps([RunEnded(GapCause.STOPPED, None, at(0))])
    for hour in range(1, 13):
        line.recorder.tick(at(3600 * hour))
    data = (tmp_path / "mic" / "gaps.jsonl").read_bytes()
    assert [json.loads(raw)["at"] for raw in data.splitlines()] == ["begin", "midnight"]


# --- a disk that takes nothing ---------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for about 400 KB; without the right to mount, a limit on the size of files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode == 0:
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("container", ["flac", "wav"])
def test_a_full_disk_is_a_storage_error_and_what_was_written_is_finished_once_there_is_room(
    small_disk: Path, container: str
) -> None:
    raw = noise(2400 * 200)
    line = Line(small_disk, period_s=60, container=container)
    line.steps([RunStarting(at(0)), RunStarted(S16_MONO, at(0))])
    with pytest.raises(StorageError, match="cannot write"):
        line.steps(pcm(0, 200, raw))
    line.recorder.abandon()
    (part,) = small_disk.rglob(f"*.{container}.part")
    whole = CONTAINERS[container].whole(part.read_bytes())
    assert whole is not None
    # Room for the sidecar, nothing more: what is there is finished.
    os.truncate(part, part.stat().st_size - 40_000)
    (finished,) = salvage_source(small_disk, origin())
    values, _ = soundfile.read(finished.path, dtype="int16")
    assert np.array_equal(values, np.frombuffer(raw, "<i2")[: len(values)])
    assert len(values) == finished.segment.samples > 48000
    assert not list(small_disk.rglob("*.part"))


def test_a_limit_on_the_size_of_files_is_a_storage_error_too(tmp_path: Path) -> None:
    """The other way to see a disk fill up, where no file system can be mounted: in a process of its own."""
    script = """
        import resource, sys
        from pathlib import Path
        from tests.agent.test_recorder import *
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        line = Line(Path(sys.argv[1]), period_s=60)
        line.steps([RunStarting(at(0)), RunStarted(S16_MONO, at(0))])
        try:
            line.steps(pcm(0, 200, noise(2400 * 200)))
        except StorageError as error:
            line.recorder.abandon()
            (finished,) = salvage_source(Path(sys.argv[1]), origin())
            print(error.message, finished.segment.samples)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.stdout == f"cannot write: File too large {(100_000 - 104) // 2}\n"


def test_items_are_shown_to_the_watch_in_order(tmp_path: Path) -> None:
    line = Line(tmp_path)
    items: list[SourceItem] = [RunStarting(at(0)), RunStarted(S16_MONO, at(0)), *pcm(0, 10, noise(24000))]
    line.steps([*items, RunEnded(GapCause.STOPPED, None, at(0.6))])
    seen = [item for item in line.seen if isinstance(item, RunStarting | RunStarted | Block | RunEnded)]
    assert seen == [*items, RunEnded(GapCause.STOPPED, None, at(0.6))]


def radio(first_s: float, number: int, *, title: str | None, url: str) -> list[SourceItem]:
    """A connection of 60 packets (1.6 s), with a title at its beginning."""
    items: list[SourceItem] = [RunStarted(MP3_STEREO, at(first_s), url)]
    items += [] if title is None else [Title(title, at(first_s))]
    packets = mp3_stream(60, first=1000 * number)
    return [*items, *(Block(data, at(first_s + 0.026 * place)) for place, data in enumerate(packets))]


@pytest.mark.parametrize("end", [RunEnded, Loss])
def test_a_title_and_an_address_are_those_of_the_connection_and_of_no_other(
    tmp_path: Path, end: type[RunEnded] | type[Loss]
) -> None:
    """After an outage the title of before it is not known to be on air; nor on another address."""
    line = Line(tmp_path, period_s=3600)
    ended: list[SourceItem] = [end(GapCause.DISCONNECTED, "hung up", at(second)) for second in (2.0, 12.0, 22.0)]
    line.steps([RunStarting(at(0)), *radio(0.1, 1, title="old", url="http://one/"), ended[0]])
    line.steps([*radio(10, 2, title=None, url="http://two/"), ended[1]])
    line.steps([*radio(20, 3, title="new", url="http://one/"), ended[2]])
    line.steps([RunEnded(GapCause.AGENT_STOPPED, None, at(23))])
    segments = [finished.segment for finished in line.finished]
    assert [[title.text for title in segment.titles] for segment in segments] == [["old"], [], ["new"]]
    assert [segment.url for segment in segments] == ["http://one/", "http://two/", "http://one/"]


def test_a_title_goes_on_from_file_to_file_of_one_connection(tmp_path: Path) -> None:
    line = Line(tmp_path, period_s=3600)
    items = radio(0.1, 1, title="song", url="http://one/")
    line.steps([RunStarting(at(0)), *items[:40], SplitHere(at(1.2)), *items[40:]])
    line.steps([RunEnded(GapCause.AGENT_STOPPED, None, at(2))])
    assert [[title.text for title in finished.segment.titles] for finished in line.finished] == [["song"], ["song"]]
