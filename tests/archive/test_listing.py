"""The list of recordings, over real folders made by the product's own writer."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent import clock
from agent.storage.files import write_whole
from archive_api.recordings.listing import Entry, Listing
from archive_api.recordings.live import Live, parse_live, read_live
from archive_api.recordings.opening import read_file
from tests.archive.support import RATE, START, ZONE, Recordings, close, source

NOBODY = Live({}, None)


class Listed:
    """A folder with its listing."""

    def __init__(self, recordings: Recordings) -> None:
        self.recordings = recordings
        self.listing = Listing(recordings.folder, recordings.folder / ".state", ZONE)

    def all(self, live: Live | None = None) -> list[Entry]:
        return self.listing.newest(live or read_live(self.recordings.folder, clock.utc_now()), 10_000)

    def names(self) -> list[str]:
        return [entry.name for entry in self.all()]


@pytest.fixture
def listed(recordings: Recordings) -> Listed:
    return Listed(recordings)


def test_a_finished_segment_has_exactly_the_ancestors_fields(listed: Listed) -> None:
    done = listed.recordings.finished(10)
    (entry,) = listed.all()
    assert entry.as_json() == {
        "name": "mic/2026/11/22/mic_2026-11-22T14-00-00.000+0100.flac",
        "size": done.path.stat().st_size,
        "date": "2026-11-22T14:00:00+01:00",
        "duration": 10.0,
        "ext": "flac",
        "recording": False,
    }


def test_newest_first_and_no_more_than_asked(listed: Listed) -> None:
    for minutes in (30, 0, 45, 15):
        listed.recordings.finished(1, start=START + timedelta(minutes=minutes))
    starts = [entry.start for entry in listed.all()]
    assert starts == [START + timedelta(minutes=minutes) for minutes in (45, 30, 15, 0)]
    assert [entry.start for entry in listed.listing.newest(NOBODY, 2)] == starts[:2]


def test_the_hour_that_comes_twice_keeps_its_order_and_its_offsets(listed: Listed) -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    for hours in (1, 0):
        listed.recordings.finished(1, start=first + timedelta(hours=hours))
    dates = [entry.as_json()["date"] for entry in listed.all()]
    assert dates == ["2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+02:00"]


def test_the_open_segment_is_told_as_it_is_safe(listed: Listed) -> None:
    writer = listed.recordings.opened(10)
    listed.recordings.status(source(writer=writer))
    opened = writer.open_segment
    assert opened is not None
    (entry,) = listed.all()
    assert entry.name == opened.file
    assert entry.name.endswith(".flac.part")
    assert entry.size == opened.bytes_safe
    assert entry.duration_s == opened.samples_safe / RATE
    assert entry.recording
    assert entry.as_json()["ext"] == "flac"
    listed.recordings.status(source(writer=writer), age_s=6)
    assert listed.all() == []


def test_a_segment_is_listed_once_on_its_way_to_finished(listed: Listed) -> None:
    writer = listed.recordings.opened(10)
    before = source(writer=writer)
    part = listed.recordings.folder / before["open_segment"]["file"]
    listed.recordings.status(before)
    done = close(writer, START + timedelta(seconds=10))
    assert done is not None
    assert [(e.name, e.recording) for e in listed.all()] == [(done.segment.file, False)]
    # The sidecar is there and the name is not yet: closing.
    done.path.rename(part)
    listed.recordings.status(source(state="stopping"))
    (entry,) = listed.all()
    assert (entry.name, entry.recording, entry.duration_s) == (done.segment.file + ".part", True, 10.0)
    # The status still speaks of audio that has gone.
    part.unlink()
    listed.recordings.status(before)
    assert listed.all() == []


def test_a_sidecar_is_read_again_only_when_it_changed(listed: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    done = listed.recordings.finished(10)
    read: list[str] = []

    def counted(folder: int, name: str, most: int) -> tuple[bytes, os.stat_result] | None:
        read.append(name)
        return read_file(folder, name, most)

    monkeypatch.setattr("archive_api.recordings.listing.read_file", counted)
    for _ in range(3):
        assert listed.all()[0].duration_s == 10
    assert len(read) == 1
    sidecar = done.path.with_suffix(".json")
    fields = json.loads(sidecar.read_bytes())
    write_whole(sidecar, json.dumps({**fields, "duration_s": 11}).encode())
    assert listed.all()[0].duration_s == 11
    assert len(read) == 2


def test_foreign_files_are_listed_from_their_headers(listed: Listed) -> None:
    folder = listed.recordings.folder / "old takes"
    folder.mkdir()
    for name in ("Ünï “x”.wav", "b.FLAC"):
        soundfile.write(folder / name, np.zeros(RATE * 3, np.int16), RATE, format=name[-4:].strip(".").upper())
        os.utime(folder / name, (START.timestamp(), START.timestamp()))
    (folder / "notes.txt").write_text("no audio")
    (folder / "broken.wav").write_bytes(b"no audio either")
    entries = {entry.name: entry for entry in listed.all()}
    assert set(entries) == {"old takes/Ünï “x”.wav", "old takes/b.FLAC", "old takes/broken.wav"}
    assert entries["old takes/b.FLAC"].as_json() == {
        "name": "old takes/b.FLAC",
        "size": (folder / "b.FLAC").stat().st_size,
        "date": "2026-11-22T14:00:00+01:00",
        "duration": 3.0,
        "ext": "flac",
        "recording": False,
    }
    assert entries["old takes/Ünï “x”.wav"].duration_s == 3
    assert entries["old takes/broken.wav"].duration_s is None
    (folder / "broken.wav").write_bytes((folder / "Ünï “x”.wav").read_bytes())
    assert {entry.duration_s for entry in listed.all()} == {3.0}


def test_a_sidecar_of_another_file_or_kind_is_not_believed(listed: Listed) -> None:
    done = listed.recordings.finished(10)
    twin = done.path.with_suffix(".wav")
    soundfile.write(twin, np.zeros(RATE, np.int16), RATE)
    other = listed.recordings.folder / "song.wav"
    soundfile.write(other, np.zeros(RATE * 2, np.int16), RATE)
    for text in ('{"tz": "Nowhere/Land"}', "[]", "17", "{", "[" * 5000, '{"duration_s": NaN}'):
        other.with_suffix(".json").write_text(text)
        assert {entry.name: entry.duration_s for entry in listed.all()} == {
            done.segment.file: 10,
            done.segment.file[:-4] + "wav": 1,
            "song.wav": 2,
        }


def test_what_must_not_be_seen_is_not_listed(listed: Listed, tmp_path: Path) -> None:
    folder = listed.recordings.folder
    done = listed.recordings.finished(1)
    (folder / ".state").mkdir()
    (folder / ".state" / "x.wav").write_bytes(b"x")
    (folder / ".hidden.wav").write_bytes(b"x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.wav").write_bytes(b"x")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "linked.wav").symlink_to(tmp_path / "outside" / "x.wav")
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "fifo.wav")
    (Path(os.fsdecode(os.fsencode(folder) + b"/latin-\xfc.wav"))).write_bytes(b"x")
    done.path.with_suffix(".json").rename(done.path.with_name("gone.json"))
    assert listed.names() == [done.segment.file]


def test_a_state_folder_by_another_name_is_hidden_too(recordings: Recordings) -> None:
    (recordings.folder / "private").mkdir()
    (recordings.folder / "private" / "x.wav").write_bytes(b"x")
    assert Listing(recordings.folder, recordings.folder / "private", ZONE).newest(NOBODY, 10) == []
    assert len(Listing(recordings.folder, recordings.folder / ".state", ZONE).newest(NOBODY, 10)) == 1


def test_a_missing_folder_is_said_to_be(tmp_path: Path) -> None:
    listing = Listing(tmp_path / "none", tmp_path / "none" / ".state", ZONE)
    with pytest.raises(OSError, match="No such"):
        listing.newest(NOBODY, 10)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"17", b"null", b'{"ts": 5}', b'{"ts": "2026-11-22T13:00:00"}', b"\xff", b"[" * 100_000]
)
def test_a_broken_status_means_that_the_agent_does_not_run(data: bytes) -> None:
    live = parse_live(data, START)
    assert not live.running
    assert live.active == []
    assert live.open_audio == []


@pytest.mark.parametrize(("age_s", "running"), [(0, True), (5, True), (5.001, False), (-4, True), (-60, False)])
def test_how_old_a_status_may_be(age_s: float, *, running: bool) -> None:
    data = b'{"ts": "2026-11-22T13:00:00.000Z", "active": ["a.flac.part"], "sources": [5, {"open_segment": null}]}'
    live = parse_live(data, START + timedelta(seconds=age_s))
    assert live.running is running
    assert live.active == (["a.flac.part"] if running else [])
    assert live.open_audio == []
