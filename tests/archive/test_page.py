"""The page in a real Chromium, against the real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, expect

from agent.archive_format.times import rfc3339
from agent.storage.writer import SegmentWriter
from tests.archive.support import START, Recordings, Served, close, feed, source
from tests.parts.browser import Browser

WAIT_S = 20
PHONE = (360, 740)
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("CSP: " + event.violatedDirective + " " + event.blockedURI));
"""
_PLAYER = "document.querySelector('audio')"


class Page:
    """The page of one archive in a window of its own."""

    def __init__(self, browser: Browser, served: Served, recordings: Recordings) -> None:
        self.browser, self.served, self.recordings = browser, served, recordings
        browser.page.add_init_script(_TELL_VIOLATIONS)

    def open(self) -> None:
        self.browser.page.goto(self.served.url())

    def find(self, selector: str) -> Locator:
        return self.browser.page.locator(selector)

    def shows(self, selector: str, text: str) -> None:
        expect(self.find(selector)).to_contain_text(text, timeout=WAIT_S * 1000)

    def hides(self, selector: str) -> None:
        expect(self.find(selector)).to_be_hidden(timeout=WAIT_S * 1000)

    def player(self, what: str) -> float:
        value = self.browser.page.evaluate(f"{_PLAYER}.{what}")
        assert isinstance(value, int | float)
        return value

    def plays_beyond(self, seconds: float) -> None:
        self.browser.wait_for(lambda: self.player("currentTime") > seconds, WAIT_S, f"playing beyond {seconds} s")

    def audio_ranges(self) -> list[str]:
        return [answer.headers["content-range"] for answer in self.browser.answers("/stream/", 206)]

    def assert_well(self) -> None:
        """Nothing complained, nothing was asked of anybody else, nothing sticks out sideways."""
        self.browser.assert_clean()
        ours = self.served.url()
        assert [asked.url for asked in self.browser.requests if not asked.url.startswith(ours)] == []
        width = self.browser.page.viewport_size
        assert width is not None
        assert self.browser.page.evaluate("document.documentElement.scrollWidth") <= width["width"]


@pytest.fixture
def page(served: Served, recordings: Recordings) -> Iterator[Page]:
    with Browser() as browser:
        yield Page(browser, served, recordings)


@pytest.fixture
def phone(served: Served, recordings: Recordings) -> Iterator[Page]:
    with Browser(viewport=PHONE) as browser:
        yield Page(browser, served, recordings)


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
    page.browser.page.evaluate(f"{_PLAYER}.currentTime = 500")
    page.plays_beyond(500.3)
    size = done.path.stat().st_size
    starts = [int(field.removeprefix("bytes ").partition("-")[0]) for field in page.audio_ranges()]
    assert max(starts) > size // 2
    page.find("tr.file button").click()
    page.browser.wait_for(lambda: page.browser.page.evaluate(f"{_PLAYER}.paused"), WAIT_S, "the pause")
    page.find("#player-close").click()
    page.hides("#player")
    page.assert_well()


def test_follows_a_recording_that_goes_on(page: Page) -> None:
    writer = page.recordings.opened(3)
    page.recordings.status(source(writer=writer))
    page.open()
    page.shows("tr.file .rec", "REC")
    page.find("tr.file button").click()
    page.shows("#player-note", "Being recorded")
    page.browser.wait_for(lambda: page.browser.page.evaluate(f"{_PLAYER}.ended"), WAIT_S, "the end of the snapshot")
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
    page.browser.wait_for(lambda: page.browser.page.evaluate(f"{_PLAYER}.ended"), WAIT_S, "its end")
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
    page.shows(".card", "Stopped since 14:00:00")
    assert page.find(".rec").count() == 0
    writer = page.recordings.opened(5)
    page.recordings.status(source(writer=writer))
    page.shows(".card .rec", "REC")
    page.shows(".card", "Recording since 14:00:00")
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


def _many(recordings: Recordings, count: int) -> None:
    folder = recordings.folder / "mic" / "2026"
    folder.mkdir(parents=True)
    for number in range(count):
        start = START - timedelta(seconds=900 * number)
        stem = f"mic_{number:05d}"
        told = {"tz": "Europe/Berlin", "start": rfc3339(start), "duration_s": 900.0, "bytes": 1, "file": f"{stem}.wav"}
        (folder / f"{stem}.json").write_text(json.dumps(told))
        (folder / f"{stem}.wav").write_bytes(b"x")


def test_ten_thousand_recordings_come_in_portions(page: Page) -> None:
    _many(page.recordings, 10_050)
    page.recordings.status(source(state="stopped"))
    page.open()
    page.shows("#count", "10,000 recordings")
    assert page.find("tr.file").count() == 200
    page.shows("#more", "Show 200 more of 9,800")
    page.find("#more").click()
    assert page.find("tr.file").count() == 400
    # No single piece of work on the page may be long enough to be felt; the limit leaves room for a busy machine.
    observe = "new PerformanceObserver((list) => list.getEntries().forEach((one) => window.tasks.push(one.duration)))"
    page.browser.page.evaluate(f"window.tasks = []; {observe}.observe({{type: 'longtask', buffered: true}})")
    for _ in range(5):
        page.find("#more").click()
    assert page.find("tr.file").count() == 1400
    assert max(page.browser.page.evaluate("window.tasks"), default=0) < 500
    page.assert_well()


def test_on_a_phone(phone: Page) -> None:
    phone.recordings.finished(3)
    (phone.recordings.folder / f"{'long-name' * 20}.wav").write_bytes(b"x")
    writer = phone.recordings.opened(30, start=START + timedelta(seconds=60))
    long = "A name of many words and one_very_long_word_that_has_no_place_to_break_at_all_whatever_one_does"
    phone.recordings.status(source(writer=writer, name=long, title=long, last_error=long))
    phone.open()
    phone.shows("tr.file >> nth=1", "14:01:00")
    phone.find("tr.file button >> nth=1").click()
    phone.plays_beyond(0.2)
    for button in phone.find("tr.file .round").all():
        box = button.bounding_box()
        assert box is not None
        assert box["width"] >= 44
        assert box["height"] >= 44
    phone.assert_well()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(page: Page, scheme: str) -> None:
    page.browser.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.recordings.finished(3)
    writer = page.recordings.opened(5)
    page.recordings.status(
        source(writer=writer, title="t"),
        source("a", "stalled", last_error="e"),
        source("b", "error"),
        source("c", "stopped"),
    )
    page.open()
    page.shows("tr.file .rec", "REC")
    page.browser.page.locator("tr.file button").first.click()
    page.plays_beyond(0.1)
    assert page.browser.page.evaluate(_WEAK_CONTRAST) == []


def test_by_keyboard_alone(page: Page) -> None:
    page.recordings.finished(30)
    page.recordings.status(source(state="stopped"))
    page.open()
    page.shows("tr.file", "14:00:00")
    keyboard = page.browser.page.keyboard
    keyboard.press("Tab")
    keyboard.press("Enter")
    keyboard.press("Tab")
    expect(page.find("tr.file button")).to_be_focused()
    keyboard.press("Enter")
    page.plays_beyond(0.2)
    keyboard.press("Space")
    page.browser.wait_for(lambda: page.browser.page.evaluate(f"{_PLAYER}.paused"), WAIT_S, "the pause")
    keyboard.press("Tab")
    expect(page.find("tr.file a")).to_be_focused()
    expect(page.find("tr.file a")).to_have_accessible_name("Download Mic, 14:00:00")
    table = page.browser.page.get_by_role("table", name="All recordings")
    expect(table.get_by_role("columnheader", name="Length")).to_have_count(1)
    expect(page.browser.page.get_by_role("region", name="Player")).to_be_visible()
    page.assert_well()


_WEAK_CONTRAST = """() => {
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parse = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if ((colour[3] ?? 1) === 1 && colour.length >= 3) return colour;
    }
    return [255, 255, 255];
  };
  const weak = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest(".unseen, noscript, .skip")) continue;
    const [one, two] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < 4.5) weak.push(`${node.className || node.tagName} ${node.textContent} ${ratio.toFixed(2)}`);
  }
  return weak;
}"""
