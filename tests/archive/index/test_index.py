"""The index as a thread keeps it: notifications, listeners, files of it that are broken or of another time."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import IsrError
from archive_api.index import index as index_module
from archive_api.index import watch
from archive_api.index.describe import Box
from archive_api.index.filters import Filters
from archive_api.index.index import Index, IndexUnavailableError
from archive_api.index.rebuild import rebuild
from archive_api.index.store import is_damage, open_store, remove
from archive_api.index.watch import Watcher, matters
from tests.archive.index.rig import BOX, Scanned, content, edit, fill
from tests.archive.support import START, Recordings, close
from tests.parts.waiting import wait_until


class Kept:
    """An index with its thread."""

    def __init__(self, root: Path, box: Box = BOX) -> None:
        self.index = Index(root / "state", root / "rec", root / "rec" / ".state", box)
        self.told: list[tuple[str, str]] = []
        self.index.listen(lambda change: self.told.append((change[0], change[1].file)))

    def files(self) -> dict[str, str] | None:
        try:
            with self.index.reading() as reader:
                rows = [*reader.closed(Filters(), None, None, 1000), *reader.open_ones()]
        except IndexUnavailableError:
            return None
        return {row.file: row.state for row in rows}

    def wait_for(self, files: dict[str, str]) -> None:
        wait_until(lambda: self.files() == files, 10, f"{files} in the index")


@contextlib.contextmanager
def keeping(root: Path, box: Box = BOX) -> Iterator[Kept]:
    kept = Kept(root, box)
    kept.index.start()
    try:
        yield kept
    finally:
        kept.index.stop()


def test_it_follows_and_tells(recordings: Recordings, tmp_path: Path) -> None:
    done = recordings.finished(1)
    with keeping(tmp_path) as kept:
        kept.wait_for({done.segment.file: "done"})
        wait_until(lambda: kept.index.is_caught_up, 10, "the end of the first look")
        assert kept.told == []
        writer = recordings.opened(1, source="radio", start=START + timedelta(days=3))  # all its folders are new
        opened = writer.open_segment
        assert opened is not None
        file = opened.file.removesuffix(".part")
        kept.wait_for({done.segment.file: "done", file: "open"})
        assert close(writer, START + timedelta(days=3, seconds=1))
        kept.wait_for({done.segment.file: "done", file: "done"})
        shutil.rmtree(recordings.folder / "mic")
        kept.wait_for({file: "done"})
        wait_until(lambda: len(kept.told) == 3, 10, "the third word")
        assert kept.told == [("opened", file), ("closed", file), ("deleted", done.segment.file)]


def test_what_happened_while_nobody_looked_is_found_at_the_start(recordings: Recordings, tmp_path: Path) -> None:
    done = recordings.finished(1)
    with keeping(tmp_path) as kept:
        kept.wait_for({done.segment.file: "done"})
    later = recordings.finished(1, start=START + timedelta(minutes=15))
    done.path.unlink()
    with keeping(tmp_path) as kept:
        kept.wait_for({later.segment.file: "done"})
        wait_until(lambda: kept.index.is_caught_up, 10, "the end of the first look")
        assert kept.told == []


def test_without_notifications_it_looks_by_itself(
    recordings: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_watcher: Watcher, _folder: str, _descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watch.Watcher, "add", refuse)
    monkeypatch.setattr(index_module, "_FOLDERS_EVERY_BLIND_S", 0.2)
    with keeping(tmp_path) as kept:
        kept.wait_for({})
        done = recordings.finished(1)
        kept.wait_for({done.segment.file: "done"})
        done.path.unlink()
        kept.wait_for({})
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == ["no notifications for all folders"]


def test_now_and_then_it_looks_at_everything(
    recordings: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_ALL_EVERY_S", 0.2)
    monkeypatch.setattr(watch.Watcher, "add", lambda *_: None)
    done = recordings.finished(1)
    with keeping(tmp_path) as kept:
        kept.wait_for({done.segment.file: "done"})
        os.truncate(done.path, 100)  # its folder does not show it
        kept.wait_for({done.segment.file: "damaged"})


@pytest.mark.parametrize("trouble", ["junk", "torn", "foreign base", "older", "other box", "gone"])
def test_a_broken_or_older_index_is_built_anew(recordings: Recordings, tmp_path: Path, trouble: str) -> None:
    done = recordings.finished(1)
    with keeping(tmp_path) as kept:
        kept.wait_for({done.segment.file: "done"})
        path = kept.index.path
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if trouble == "junk":
        path.write_bytes(b"no index at all" * 1000)
    elif trouble == "torn":
        data = bytearray(path.read_bytes())
        data[4096 : len(data) // 2] = os.urandom(len(data) // 2 - 4096)
        path.write_bytes(data)
    elif trouble == "gone":
        path.unlink()
    elif trouble != "other box":
        with contextlib.closing(sqlite3.connect(path)) as base:
            base.execute("DROP TABLE segments")
            base.execute("PRAGMA user_version = 0" if trouble == "older" else "PRAGMA application_id = 5")
    box = Box("other", BOX.zone) if trouble == "other box" else BOX
    with keeping(tmp_path, box) as kept:
        kept.wait_for({done.segment.file: "done"})


def test_damage_that_a_reader_finds_is_mended(recordings: Recordings, tmp_path: Path) -> None:
    done = recordings.finished(1)
    with keeping(tmp_path) as kept:
        kept.wait_for({done.segment.file: "done"})
        wait_until(lambda: kept.index.is_caught_up, 10, "the end of the first look")
        with contextlib.closing(sqlite3.connect(kept.index.path)) as base:
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = kept.index.path.stat().st_size
        with kept.index.path.open("r+b") as file:
            file.write(os.urandom(size))
        wait_until(lambda: kept.files() == {done.segment.file: "done"}, 10, "an index that can be read")
        wait_until(lambda: not select.select([kept.index._wake], [], [], 0)[0], 10, "the thread to rest")


def test_an_index_in_the_place_of_another_is_kept(recordings: Recordings, tmp_path: Path) -> None:
    done = recordings.finished(1)
    with keeping(tmp_path) as kept:
        kept.wait_for({done.segment.file: "done"})
        wait_until(lambda: kept.index.is_caught_up, 10, "the end of the first look")
        remove(kept.index.path)
        later = recordings.finished(1, start=START + timedelta(minutes=15))
        kept.wait_for({done.segment.file: "done", later.segment.file: "done"})


def test_a_folder_that_comes_late_is_indexed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with keeping(tmp_path) as kept:
        wait_until(lambda: caplog.records, 10, "a word about it")
        done = Recordings(tmp_path / "rec").finished(1)
        kept.wait_for({done.segment.file: "done"})
        wait_until(lambda: len(caplog.records) == 2, 10, "a word about its end")
    assert [record.getMessage() for record in caplog.records] == [
        "the index is not kept at the moment: No such file or directory",
        "the index is kept again",
    ]


def test_a_listener_that_fails_hurts_nobody(
    recordings: Recordings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_change: object) -> None:
        raise RuntimeError("no")

    with keeping(tmp_path) as kept:
        kept.index.listen(fail)
        heard = threading.Event()
        kept.index.listen(lambda _change: heard.set())
        wait_until(lambda: kept.index.is_caught_up, 10, "the end of the first look")
        recordings.finished(1)
        assert heard.wait(10)
    assert "a listener of the index failed" in caplog.text


def test_a_state_folder_that_cannot_be_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    index = Index(tmp_path / "file" / "state", tmp_path, tmp_path / ".state", BOX)
    with pytest.raises(IsrError, match="Not a directory") as caught:
        index.start()
    assert "archive.state_directory" in str(caught.value)


def test_what_can_change_the_index() -> None:
    for name in ("a.flac", "a.WAV", "a.flac.part", "a.json", "gaps.jsonl"):
        assert matters(name), name
    for name in ("status.json", "status.json.tmp", "a.json.part", "a.json.part.tmp", "a.levels.npy"):
        assert not matters(name), name


def test_many_words_about_nothing_do_not_put_off_the_rest(tmp_path: Path) -> None:
    """The agent writes its status every second, for ever."""
    stop = threading.Event()

    def chatter() -> None:
        while not stop.wait(0.02):
            (tmp_path / "status.json").write_text("{}")

    wake = os.eventfd(0, os.EFD_CLOEXEC)
    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        with Watcher() as watcher:
            folder = os.open(tmp_path, os.O_RDONLY)
            watcher.add("here", folder)
            os.close(folder)
            assert not watcher.wait(0.3, wake)
            (tmp_path / "x.flac").write_bytes(b"")
            assert watcher.wait(10, wake).folders == {"here"}
    finally:
        stop.set()
        thread.join()
        os.close(wake)


def test_a_rebuilt_index_is_the_same(recordings: Recordings, tmp_path: Path) -> None:
    """By way of opening, closing, moving, changing and deleting, and at one go."""
    with keeping(tmp_path) as kept:
        wait_until(lambda: kept.index.is_caught_up, 10, "the end of the first look")
        first = recordings.finished(1)
        writer = recordings.opened(1, source="radio")
        second = recordings.finished(1, start=START + timedelta(minutes=15))
        recordings.opened(1, source="tower")
        (recordings.folder / "x.wav").write_bytes(b"x")
        wait_until(lambda: len(kept.files() or {}) == 5, 10, "five recordings")
        edit(first.path.with_suffix(".json"), titles=[{"at": "2026-11-22T13:00:00Z", "offset_s": 0, "text": "A"}])
        close(writer, START + timedelta(seconds=1))
        second.path.rename(recordings.folder / "kept.flac")
        (recordings.folder / "x.wav").unlink()
        wait_until(lambda: sorted((kept.files() or {}).values()) == ["done", "done", "done", "open"], 10, "four")
        wait_until(lambda: len(content(kept.index.path)["titles"]) == 1, 10, "the title")
        before = content(kept.index.path)
        seen: list[tuple[int, int]] = []
        assert rebuild(kept.index, lambda done, total: seen.append((done, total))) == 4
        assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert content(kept.index.path) == before
        with contextlib.closing(Scanned(recordings.folder, tmp_path / "fresh")) as fresh:
            fresh.everything()
            assert content(fresh.path) == before
        # The server goes on with it.
        first.path.unlink()
        wait_until(lambda: len(kept.files() or {}) == 3, 10, "three recordings")
        assert sorted(path.name.split("-")[0] for path in kept.index.path.parent.iterdir()) == [
            "index.sqlite",
            "index.sqlite",
            "index.sqlite",
            "reindex.lock",
        ]


def test_readers_see_the_old_index_until_the_new_one_is_whole(recordings: Recordings, tmp_path: Path) -> None:
    recordings.finished(1)
    index = Index(tmp_path / "state", recordings.folder, recordings.folder / ".state", BOX)
    (tmp_path / "state").mkdir()
    fill(index.path, 3000, settings=index.settings)
    lengths = []

    def look(_done: int, _total: int) -> None:
        with index.reading() as reader:
            lengths.append(reader.totals()[0].segments)

    rebuild(index, look)
    assert lengths == [750]
    with index.reading() as reader:
        assert [(total.source, total.segments) for total in reader.totals()] == [("mic", 1)]


def test_one_reindex_at_a_time(recordings: Recordings, tmp_path: Path) -> None:
    recordings.finished(1)
    index = Index(tmp_path / "state", recordings.folder, recordings.folder / ".state", BOX)

    def again(_done: int, _total: int) -> None:
        with pytest.raises(IsrError, match="another reindex"):
            rebuild(index, lambda _done, _total: None)

    assert rebuild(index, again) == 1


def test_a_damaged_index_can_be_rebuilt_and_a_missing_folder_leaves_it(recordings: Recordings, tmp_path: Path) -> None:
    recordings.finished(1)
    index = Index(tmp_path / "state", recordings.folder, recordings.folder / ".state", BOX)
    (tmp_path / "state").mkdir()
    index.path.write_bytes(b"junk" * 5000)
    assert rebuild(index, lambda _done, _total: None) == 1
    recordings.folder.rename(tmp_path / "away")
    with pytest.raises(IsrError, match="No such file"):
        rebuild(index, lambda _done, _total: None)
    with index.reading() as reader:
        assert len(reader.totals()) == 1


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    with contextlib.closing(open_store(tmp_path / "index.sqlite", "")) as store:
        store._base.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError, match="full") as caught, store.writing():
            store.keep_folder("x" * 10_000_000, None)
    assert not is_damage(caught.value)
