"""The index is what is in the folder, however it came to be there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import FinishedSegment
from agent.storage.files import write_whole
from archive_api.index import describe
from archive_api.index.describe import Box
from archive_api.index.filters import Filters
from archive_api.index.row import Row
from archive_api.index.watch import Changes, Watcher
from tests.archive.index.rig import HOUR_NS, Scanned, content, edit, loud, reading
from tests.archive.support import RATE, START, Recordings, close
from tests.archive.test_snapshots import mp3_bytes

MIC = "mic/2026/11/22/mic_2026-11-22T14-00-00.000+0100.flac"


@pytest.fixture
def scanned(recordings: Recordings, tmp_path: Path) -> Iterator[Scanned]:
    with closing(Scanned(recordings.folder, tmp_path / "state")) as made:
        yield made


def test_a_finished_segment_is_what_its_sidecar_says(recordings: Recordings, scanned: Scanned) -> None:
    done = recordings.finished(10)
    titles = [{"at": "2026-11-22T13:00:01.000Z", "offset_s": 1, "text": t} for t in ("Ärger", "Ende")]
    edit(
        done.path.with_suffix(".json"),
        loudness={"rms_dbfs": -40.5, "peak_dbfs": -12},
        events=[
            loud("2026-11-22T13:00:01.500Z"),
            {**loud("2026-11-22T13:00:03Z", kind="silence"), "end": None},
        ],
        titles=titles,
        missing_s=0.25,
    )
    scanned.everything()
    assert scanned.rows() == [
        Row(
            file=MIC,
            id=done.segment.id,
            agent="shed",
            source="mic",
            container="flac",
            codec="flac",
            start_ms=1795352400000,
            end_ms=1795352410000,
            duration_s=10.0,
            bytes=done.path.stat().st_size,
            samples=80000,
            sample_rate_hz=RATE,
            channels=1,
            state="done",
            reason="boundary",
            missing_s=0.25,
            rms_dbfs=-40.5,
            peak_dbfs=-12.0,
            loud_events=1,
            title="Ärger",
            tz="Europe/Berlin",
        )
    ]
    found = content(scanned.path)
    assert [title[1:] for title in found["titles"]] == [
        (0, 1795352401000, "Ärger", "ärger"),
        (1, 1795352401000, "Ende", "ende"),
    ]
    assert [event[3:7] for event in found["events"]] == [
        ("loud", 1795352401500, 1795352401500, 1.5),
        ("silence", 1795352403000, None, 1.5),
    ]
    assert found["sums"] == [("shed", "mic", 1, done.path.stat().st_size)]
    assert scanned.told() == [("closed", MIC)]


def test_from_open_to_closed_to_deleted(recordings: Recordings, scanned: Scanned) -> None:
    writer = recordings.opened(5)
    scanned.everything()
    (row,) = scanned.rows()
    assert (row.file, row.state, row.start_ms, row.end_ms) == (MIC, "open", 1795352400000, 1795352400000)
    assert scanned.told() == [("opened", MIC)]
    scanned.everything()
    assert scanned.told() == []
    done = close(writer, START + timedelta(seconds=5))
    assert done is not None
    scanned.everything()
    assert (scanned.rows()[0].id, scanned.rows()[0].state) == (row.id, "done")
    assert scanned.told() == [("closed", MIC)]
    done.path.unlink()
    scanned.everything()
    assert scanned.rows() == []
    assert scanned.told() == [("deleted", MIC)]
    assert content(scanned.path)["sums"] == []


def deleted(done: FinishedSegment) -> None:
    """As the agent deletes: the sidecar says so, then the audio goes."""
    sidecar = done.path.with_suffix(".json")
    told = {"at": "2026-11-23T00:00:00.000Z", "why": "max_age"}
    write_whole(sidecar, json.dumps({**json.loads(sidecar.read_bytes()), "rev": 2, "deleted": told}).encode())
    done.path.unlink()


def test_what_the_agent_has_deleted_is_still_known(recordings: Recordings, scanned: Scanned) -> None:
    done = recordings.finished(5)
    other = recordings.finished(5, start=START + timedelta(minutes=5))
    scanned.everything()
    scanned.told()
    deleted(done)
    scanned.everything()
    assert scanned.told() == [("deleted", MIC)]
    assert [row.file for row in scanned.rows()] == [other.segment.file]
    assert content(scanned.path)["sums"] == [("shed", "mic", 1, other.path.stat().st_size)]
    with reading(scanned.path) as reader:
        row = reader.by_id(done.segment.id)
        assert row is not None
        assert (row.file, row.state, row.bytes) == (MIC, "deleted", 0)
        asked = Filters(states=frozenset({"deleted"}))
        assert reader.closed(asked, None, None, 10) == reader.closed(asked, [("shed", "mic")], None, 10) == [row]
        everything = Filters(states=frozenset({"deleted", "done"}))
        assert len(reader.closed(everything, None, None, 10)) == 2
        (total,) = reader.totals()
        assert total.first.file == total.last.file == other.segment.file
    scanned.everything()
    assert scanned.told() == []
    done.path.with_suffix(".json").unlink()
    scanned.everything()
    assert scanned.told() == []
    assert len(content(scanned.path)["segments"]) == 1


def test_a_fresh_look_finds_the_deleted_too_and_tells_nobody(recordings: Recordings, scanned: Scanned) -> None:
    done = recordings.finished(5)
    deleted(done)
    lost = recordings.finished(5, start=START + timedelta(minutes=5))
    lost.path.unlink()
    scanned.everything()
    assert scanned.told() == []
    assert scanned.rows() == []
    assert content(scanned.path)["sums"] == []
    assert len(content(scanned.path)["segments"]) == 1


def test_files_without_sidecar(recordings: Recordings, scanned: Scanned, tmp_path: Path) -> None:
    folder = recordings.folder / "old takes"
    folder.mkdir()
    soundfile.write(folder / "Ünï.wav", np.zeros(RATE * 3, np.int16), RATE)
    (folder / "vbr.mp3").write_bytes(mp3_bytes(tmp_path, 7, "-q:a", "5"))
    (folder / "junk.flac").write_bytes(b"no audio")
    (folder / "empty.mp3").write_bytes(b"")
    done = recordings.finished(2)
    done.path.with_suffix(".json").unlink()
    for path in folder.iterdir():
        os.utime(path, (START.timestamp(), START.timestamp()))
    scanned.everything()
    rows = {row.file.rpartition("/")[2]: row for row in scanned.rows()}
    wav = rows["Ünï.wav"]
    assert (wav.agent, wav.source, wav.start_ms, wav.duration_s, wav.state) == (None, None, 1795352400000, 3.0, "done")
    assert wav.id.startswith("f-")
    assert "/" not in wav.id
    assert {name: row.state for name, row in rows.items() if row.source is None} == {
        "Ünï.wav": "done",
        "vbr.mp3": "done",
        "junk.flac": "damaged",
        "empty.mp3": "damaged",
    }
    ours = rows[done.path.name]
    assert (ours.agent, ours.source, ours.start_ms, ours.duration_s) == ("shed", "mic", 1795352400000, 2.0)
    before = {row.file: row.id for row in scanned.rows()}
    (folder / "junk.flac").write_bytes(b"still no audio")
    scanned.everything()
    assert {row.file: row.id for row in scanned.rows()} == before
    assert content(scanned.path)["sums"] == [("shed", "mic", 1, ours.bytes)]


def test_what_is_cut_short_is_damaged(recordings: Recordings, scanned: Scanned) -> None:
    done = recordings.finished(10)
    os.truncate(done.path, 1000)
    scanned.everything()
    (row,) = scanned.rows()
    assert (row.state, row.bytes, row.id) == ("damaged", 1000, done.segment.id)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 5},
        {"id": "../../etc"},
        {"titles": 7},
        {"titles": [{"at": "2026-11-22T13:00:00Z", "text": "\ud800 half"}]},
        {"samples": 1 << 70},
        {"duration_s": "long"},
        {"loudness": {"rms_dbfs": None, "peak_dbfs": None}},
        {"loudness": []},
        {"start": "9999-12-31T23:59:59Z", "end": "0001-01-01T00:00:00Z"},
        {"tz": "No/Where"},
        {"file": "elsewhere/2026/other.flac"},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_odd_sidecars_keep_nothing_else_from_being_read(
    recordings: Recordings, scanned: Scanned, fields: dict[str, object]
) -> None:
    done = recordings.finished(2)
    other = recordings.finished(2, start=START + timedelta(minutes=15))
    edit(done.path.with_suffix(".json"), **fields)
    scanned.everything()
    rows = {row.file: row for row in scanned.rows()}
    assert set(rows) == {done.segment.file, other.segment.file}
    assert rows[done.segment.file].id.replace("-", "").isalnum()
    assert rows[done.segment.file].end_ms >= rows[done.segment.file].start_ms


@pytest.mark.parametrize(
    "fields",
    [
        {"duration_s": -5.0},
        {"duration_s": 1e308},
        {"duration_s": 40_000_000},
        {"end": "9999-12-31T23:59:59.999Z"},
        {"end": "2028-11-22T13:00:00Z", "duration_s": 2.0},
        {"missing_s": 1e300},
        {"loudness": {"rms_dbfs": -20.0, "peak_dbfs": 1e300}},
    ],
    ids=str,
)
def test_numbers_that_no_recording_has_make_no_sidecar(
    recordings: Recordings, scanned: Scanned, fields: dict[str, object]
) -> None:
    """A file of 8000 years would hide every gap of its source, and a number of 300 digits fits no row of the page."""
    done = recordings.finished(2)
    edit(done.path.with_suffix(".json"), **fields)
    scanned.everything()
    (row,) = scanned.rows()
    assert (row.source, row.duration_s, row.end_ms - row.start_ms) == ("mic", 2.0, 2000)
    assert (row.missing_s, row.peak_dbfs) == (None, None)


def test_a_copy_is_another_recording(recordings: Recordings, scanned: Scanned) -> None:
    done = recordings.finished(2)
    shutil.copytree(recordings.folder / "mic", recordings.folder / "backup" / "mic")
    scanned.everything()
    rows = scanned.rows()
    assert len({row.id for row in rows}) == 2
    assert {row.start_ms for row in rows} == {1795352400000}
    assert [row.id for row in rows if row.file == done.segment.file] == [done.segment.id]


def test_hidden_folders_links_and_odd_files_are_no_recordings(
    recordings: Recordings, scanned: Scanned, tmp_path: Path
) -> None:
    folder = recordings.folder
    done = recordings.finished(1)
    for hidden in (folder / ".state", folder / ".other", tmp_path / "outside"):
        hidden.mkdir()
        (hidden / "x.wav").write_bytes(b"x")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "linked.wav").symlink_to(tmp_path / "outside" / "x.wav")
    (folder / "folder.wav").mkdir()
    (folder / "some.flac.part").write_bytes(b"a download of somebody else")
    os.mkfifo(folder / "fifo.wav")
    (Path(os.fsdecode(os.fsencode(folder) + b"/latin-\xfc.wav"))).write_bytes(b"x")
    scanned.everything()
    assert set(scanned.files()) == {done.segment.file}


def test_a_folder_that_cannot_be_read_leaves_the_index_as_it_is(recordings: Recordings, scanned: Scanned) -> None:
    recordings.finished(1)
    scanned.everything()
    recordings.folder.rename(recordings.folder.with_name("away"))
    with pytest.raises(OSError, match="No such"):
        scanned.everything()
    with pytest.raises(OSError, match="No such"):
        scanned.changed_folders()
    assert set(scanned.files()) == {MIC}


def test_only_what_changed_is_read_again(
    recordings: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = recordings.finished(1)
    recordings.finished(1, start=START + timedelta(minutes=15))
    read: list[str] = []
    real = describe.finished

    def counted(folder: int, file: str, status: os.stat_result, box: Box) -> Row:
        read.append(file)
        return real(folder, file, status, box)

    monkeypatch.setattr("archive_api.index.describe.finished", counted)
    with closing(Scanned(recordings.folder, tmp_path / "state", ahead_ns=HOUR_NS)) as late:
        late.everything()
        assert len(read) == 2
        read.clear()
        written = late.store._base.total_changes
        late.everything()
        late.changed_folders()
        assert read == []
        assert late.store._base.total_changes == written  # a card does not like to be written for nothing
        edit(done.path.with_suffix(".json"), missing_s=3)
        late.changed_folders()
        assert read == [done.segment.file]
    # What has only just changed may change again within one step of the clock of the file system.
    with closing(Scanned(recordings.folder, tmp_path / "fresh")) as early:
        early.everything()
        read.clear()
        early.changed_folders()
        assert len(read) == 2


FOLDERS = ("mic/2026/11/22", "mic/2026/11/23", "radio/2026/11/22", "takes")
NAMES = ("a", "b", "c")
OPS = (
    "record",
    "open",
    "foreign",
    "delete",
    "strip",
    "retitle",
    "cut",
    "move",
    "close",
    "date",
    "drop folder",
    "move folder",
)
STEP = st.tuples(
    st.sampled_from(OPS), st.sampled_from(FOLDERS), st.sampled_from(NAMES), st.sampled_from(FOLDERS), st.booleans()
)


class Playground:
    """A recordings folder in which anybody does anything, with one real recording to make others from."""

    def __init__(self, root: Path) -> None:
        made = Recordings(root / "made").finished(0.2)
        self.audio = made.path.read_bytes()
        self.sidecar = json.loads(made.path.with_suffix(".json").read_bytes())
        self.folder = root / "rec"
        self.folder.mkdir()
        self.count = 0

    def step(self, what: str, folder: str, name: str, other: str) -> None:
        self.count += 1
        here, there = self.folder / folder, self.folder / other
        audio = here / f"{name}.flac"
        if what in ("record", "open", "foreign"):
            here.mkdir(parents=True, exist_ok=True)
            self._add(what, here, audio)
        elif what == "delete":
            audio.unlink(missing_ok=True)
        elif what == "strip":
            audio.with_suffix(".json").unlink(missing_ok=True)
        elif what == "retitle" and audio.with_suffix(".json").exists():
            title = {"at": "2026-11-22T13:00:00Z", "offset_s": 0, "text": "la" * self.count}
            edit(audio.with_suffix(".json"), titles=[title], events=[loud("2026-11-22T13:00:00Z")] * (self.count % 3))
        elif what == "cut" and audio.exists() and audio.stat().st_size > 2:
            with audio.open("r+b") as file:
                file.truncate(audio.stat().st_size - 1)
        elif what == "move" and audio.exists():
            there.mkdir(parents=True, exist_ok=True)
            audio.rename(there / f"{name}-{self.count}.flac")
        elif what == "close" and Path(f"{audio}.part").exists():
            write_whole(audio.with_suffix(".json"), self._told(audio))
            Path(f"{audio}.part").rename(audio)
        elif what == "date" and audio.with_suffix(".wav").exists():
            os.utime(audio.with_suffix(".wav"), (self.count, self.count))
        elif what == "drop folder":
            shutil.rmtree(here, ignore_errors=True)
        elif what == "move folder" and here.exists():
            moved = here if here.parent == self.folder else here.parent
            moved.rename(self.folder / f"moved {self.count}")

    def _add(self, what: str, here: Path, audio: Path) -> None:
        if what == "foreign":
            (here / f"{audio.stem}.wav").write_bytes(b"RIFF" + b"x" * self.count)
            return
        part = Path(f"{audio}.part")
        if what == "open" and not audio.exists():
            write_whole(here / f"{audio.stem}.json.part", self._told(audio))
            part.write_bytes(self.audio)
        elif what == "record":
            part.unlink(missing_ok=True)
            write_whole(audio.with_suffix(".json"), self._told(audio))
            write_whole(audio, self.audio)

    def _told(self, audio: Path) -> bytes:
        file = audio.relative_to(self.folder).as_posix()
        return json.dumps({**self.sidecar, "file": file, "id": f"id-{self.count}"}).encode()


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, max_size=25), is_late=st.booleans())
def test_catching_up_gives_the_same_as_a_fresh_scan(
    steps: list[tuple[str, str, str, str, bool]], *, is_late: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        playground = Playground(root)
        wake = os.eventfd(0, os.EFD_CLOEXEC)
        try:
            with (
                Watcher() as watcher,
                closing(Scanned(playground.folder, root / "kept", ahead_ns=HOUR_NS * is_late)) as kept,
            ):
                kept.scanner._on_folder = watcher.add
                kept.everything()
                for what, folder, file, other, is_look in steps:
                    playground.step(what, folder, file, other)
                    if is_look:
                        _follow(kept, watcher.wait(0, wake))
                _follow(kept, watcher.wait(0, wake))
                followed = content(kept.path)
                _check_told(kept)
                kept.everything()
                caught_up = content(kept.path)
        finally:
            os.close(wake)
        with closing(Scanned(playground.folder, root / "fresh")) as fresh:
            fresh.everything()
            assert followed == content(fresh.path)
            assert caught_up == content(fresh.path)


def _follow(kept: Scanned, changes: Changes) -> None:
    assert not changes.all
    for folder in sorted(changes.folders):
        for _ in kept.scanner.folder(folder):
            continue


def _check_told(kept: Scanned) -> None:
    """Who only listens knows which recordings there are, too."""
    known: dict[str, str] = {}
    for what, row in kept.changes:
        if what == "deleted":
            del known[row.file]
        else:
            known[row.file] = "closed" if what == "moved" else what
    states = {file: "opened" if state == "open" else "closed" for file, state in kept.files().items()}
    assert known == states
