"""The page in a real Chromium, against the real service: lists, plays, says how things are."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from agent.archive_format.times import rfc3339
from agent.storage.writer import SegmentWriter
from tests.archive.index.rig import edit
from tests.archive.page_support import PLAYER, WAIT_S, Page
from tests.archive.support import ROOT, START, close, feed, source


def test_plays_a_recording_and_seeks(page: Page) -> None:
    done = page.recordings.finished(600)
    page.recordings.status(source(state="stopped"))
    page.open()
    page.shows("tr.file", "14:00:00")
    page.shows("tr.file", "10:00")
    page.shows("tr.day", "Sunday, 22 November 2026")
    page.find("tr.file button").click()
    page.plays_beyond(0.3)
    assert page.player("duration") == 600
    page.shows("#playing", "Mic, 14:00:00")
    expect(page.find("tr.file")).to_have_attribute("aria-current", "true")
    expect(page.find("tr.file button")).to_have_attribute("aria-label", "Pause Mic, 14:00:00")
    page.browser.page.evaluate(f"{PLAYER}.currentTime = 500")
    page.plays_beyond(500.3)
    size = done.path.stat().st_size
    starts = [int(field.removeprefix("bytes ").partition("-")[0]) for field in page.audio_ranges()]
    assert max(starts) > size // 2
    page.find("tr.file button").click()
    page.browser.wait_for(lambda: page.browser.page.evaluate(f"{PLAYER}.paused"), WAIT_S, "the pause")
    page.find("#player-close").click()
    page.hides("#player")
    page.assert_well()


def test_a_title_without_end_leaves_room_for_the_next(phone: Page) -> None:
    for number in range(2):
        done = phone.recordings.finished(5, start=START + timedelta(minutes=number))
        text = "on <i>and</i> on, " * 50 if number else "short"
        edit(done.path.with_suffix(".json"), titles=[{"at": rfc3339(START), "offset_s": 0.0, "text": text}])
    phone.open()
    phone.shows("tr.file >> nth=0", "on <i>and</i> on")
    phone.shows("tr.file >> nth=1", "short")
    heights = phone.find("tr.file").evaluate_all("(rows) => rows.map((row) => row.getBoundingClientRect().height)")
    assert heights[0] < 2 * heights[1]
    phone.assert_well()


def test_follows_a_recording_that_goes_on(page: Page) -> None:
    writer = page.recordings.opened(3)
    page.recordings.status(source(writer=writer))
    page.open()
    page.shows("tr.file .rec", "REC")
    page.find("tr.file button").click()
    page.shows("#player-note", "Being recorded")
    page.browser.wait_for(lambda: page.browser.page.evaluate(f"{PLAYER}.ended"), WAIT_S, "the end of the snapshot")
    first = page.player("duration")
    assert 2 < first <= 3
    feed(writer, START + timedelta(seconds=3), 6, seed=2)
    page.recordings.status(source(writer=writer))
    page.plays_beyond(first + 0.3)
    assert page.player("duration") > first + 4
    close(writer, START + timedelta(seconds=9))
    page.recordings.status(source(state="stopped"))
    expect(page.find("tr.file .rec")).to_have_count(0, timeout=WAIT_S * 1000)
    page.browser.wait_for(lambda: page.player("duration") == 9, WAIT_S, "the finished file")
    page.browser.wait_for(lambda: page.browser.page.evaluate(f"{PLAYER}.ended"), WAIT_S, "its end")
    assert page.player("currentTime") == pytest.approx(9, abs=0.1)
    lengths = {asked.url.rpartition("len=")[2] for asked in page.browser.requests if "len=" in asked.url}
    assert len(lengths) == 2
    page.assert_well()


def test_every_container_plays(page: Page) -> None:
    page.recordings.finished(5, source="wave", container="wav")
    writer = page.recordings.opened(5, source="open", container="wav")
    page.recordings.status(source("open", writer=writer))
    page.open()
    for name in ("Play wave, 14:00:00", "Play Open, 14:00:00"):
        page.browser.page.get_by_role("button", name=name).click()
        page.browser.wait_for(lambda: page.player("duration") == 5, WAIT_S, name)
        page.plays_beyond(0.2)
    page.assert_well()


def test_a_recording_opened_by_its_address_plays(page: Page) -> None:
    done = page.recordings.finished(5)
    page.browser.page.goto(page.served.url(f"/stream/{done.segment.file}"))
    ready = "document.querySelector('video, audio')?.readyState > 0"
    page.browser.wait_for(lambda: page.browser.page.evaluate(ready), WAIT_S, "Chromium's own player")


def test_states_come_and_go(page: Page) -> None:
    page.recordings.status(source(state="stopped"))
    page.open()
    page.shows(".card", "Stopped since ")
    page.shows(".card", "14:00:00")  # behind its date, unless the test is run on that very day
    assert page.find(".rec").count() == 0
    writer = page.recordings.opened(5)
    page.recordings.status(source(writer=writer))
    page.shows(".card .rec", "REC")
    page.shows(".card", "Recording since ")
    page.shows(".card", "14:00:00")
    page.shows("tr.file .rec", "REC")
    page.shows("#announce", "Mic: Recording")
    page.recordings.status(source(state="stalled", last_error="no bytes for 10 s (is the cable in?)"))
    page.shows(".card", "Stalled: no audio arrives")
    page.shows(".card .fault", "Last error: no bytes for 10 s (is the cable in?)")
    close(writer, START + timedelta(seconds=5))
    page.recordings.status(source(state="stopped"))
    page.shows(".card", "Stopped")
    expect(page.find(".rec")).to_have_count(0, timeout=WAIT_S * 1000)
    page.recordings.status(source(state="recording"), age_s=60)
    page.shows("#not-running", "The recorder is not running")
    page.shows(".card", "Not running")
    assert page.find(".rec").count() == 0
    page.recordings.status(source(state="recording"))
    page.hides("#not-running")
    page.assert_well()


def _grow_and_tell(page: Page, writer: SegmentWriter) -> None:
    feed(writer, START + timedelta(seconds=30), 35)
    page.recordings.status(source(writer=writer))


def test_length_and_focus_of_a_row_that_grows(page: Page) -> None:
    writer = page.recordings.opened(30)
    page.recordings.status(source(writer=writer))
    page.open()
    page.shows("tr.file .length", "0:30")
    page.find("tr.file button").focus()
    _grow_and_tell(page, writer)
    page.shows("tr.file .length", "1:05")
    close(writer, START + timedelta(seconds=65))
    page.recordings.status(source(state="stopped"))
    expect(page.find("tr.file .rec")).to_have_count(0, timeout=WAIT_S * 1000)
    expect(page.find("tr.file button")).to_be_focused()
    page.assert_well()


def test_titles_and_names_are_text(page: Page) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    (page.recordings.folder / "<b>x<b>").mkdir()
    (page.recordings.folder / "<b>x<b>" / "<i>.wav").write_bytes(b"x")
    page.recordings.status(source(name=evil, title=evil, last_error=evil, state="<u>odd"))
    page.open()
    page.shows(".card h3 bdi", evil)
    page.shows(".card .title bdi", evil)
    page.shows(".card .fault bdi", evil)
    page.shows("tr.file .from", "<b>x<b>/<i>.wav")
    assert page.find("main b, main i, main u, main img").count() == 0
    assert page.browser.page.title() == "Recordings"
    page.assert_well()


def test_titles_of_finished_recordings_are_text(page: Page) -> None:
    evil = "</td><img src=x onerror=\"document.title='owned'\">"
    done = page.recordings.finished(3)
    sidecar = (page.recordings.folder / done.segment.file).with_suffix(".json")
    told = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**told, "titles": [{"at": rfc3339(START), "text": evil}]}))
    page.recordings.status(source(state="stopped"))
    page.open()
    page.shows("tr.file .from bdi >> nth=1", evil)
    assert page.find("main img").count() == 0
    assert page.browser.page.title() == "Recordings"
    page.assert_well()


def test_nothing_recorded_yet(page: Page) -> None:
    page.open()
    page.shows("#files-note", "No recordings yet")
    page.shows("#files-note", "isr-agent run")
    page.shows("#not-running", "Nothing is being recorded")
    page.recordings.status(source(state="starting"))
    page.shows("#files-note", "As soon as a source records")
    page.recordings.finished(3)
    page.shows("tr.file", "14:00:00")
    page.hides("#files-note")
    page.assert_well()


def test_an_archive_that_went_away_and_came_back(page: Page) -> None:
    page.recordings.finished(3)
    writer = page.recordings.opened(3, start=START + timedelta(seconds=60))
    page.recordings.status(source(writer=writer))
    page.open()
    page.shows(".card .rec", "REC")
    page.served.part.stop()
    page.shows("#unreachable", "The archive does not answer.")
    page.shows(".card", "No contact")
    expect(page.find("tr.file .rec")).to_be_hidden()
    assert page.find("tr.file").count() == 2
    page.served.part.start()
    page.recordings.status(source(writer=writer))
    page.hides("#unreachable")
    page.shows(".card .rec", "REC")
    assert page.browser.page_errors == []


def test_a_folder_that_cannot_be_read_is_told(page: Page) -> None:
    page.recordings.folder.rename(page.recordings.folder.with_name("elsewhere"))
    page.open()
    page.shows("#unreachable", "The recordings folder cannot be read.")
    page.shows("#files-note", "recording.directory")
    page.recordings.folder.with_name("elsewhere").rename(page.recordings.folder)
    page.find("#files-note button").click()
    page.hides("#unreachable")
    page.shows("#files-note", "No recordings yet")


def test_the_page_is_small_and_needs_nobody_else() -> None:
    files = [path for path in (ROOT / "archive_api" / "static").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 100_000
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert [part for part in ("http:", "https:", ".innerHTML", "style=") if part in text] == [], path.name
