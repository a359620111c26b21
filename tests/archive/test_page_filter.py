"""The list of the page: chosen by source, by day, by loudness; fetched in pages; never more rows than it can bear."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect

from agent.archive_format.times import rfc3339
from tests.archive.page_support import WAIT_S, Page
from tests.archive.support import START, Recordings, source

_MANY_S = 900


def many(recordings: Recordings, count: int, *, source_id: str = "mic") -> None:
    """Sidecars as those of the agent, one every 15 minutes back from START."""
    folder = recordings.folder / source_id / "2026"
    folder.mkdir(parents=True)
    for number in range(count):
        start, end = (START - timedelta(seconds=_MANY_S * at) for at in (number, number - 1))
        file = f"{source_id}_{number:06d}.wav"
        told = {
            "id": f"{source_id}-{number}", "agent": "shed", "source": source_id, "file": f"{source_id}/2026/{file}",
            "container": "wav", "codec": "pcm", "sample_rate_hz": 8000, "channels": 1, "bytes": 1,
            "tz": "Europe/Berlin", "start": rfc3339(start), "end": rfc3339(end), "samples": 7_200_000,
            "duration_s": 900.0,
            "reason": "boundary", "missing_s": 0.0,
        }  # fmt: skip
        (folder / file).with_suffix(".json").write_text(json.dumps(told))
        (folder / file).write_bytes(b"x")


def rows(page: Page, count: int) -> None:
    expect(page.find("tr.file")).to_have_count(count, timeout=WAIT_S * 1000)


def test_a_source_and_a_day_are_chosen_and_the_link_opens_the_same(page: Page) -> None:
    for number in range(3):
        page.recordings.finished(3, start=START + timedelta(days=number))
        page.recordings.finished(3, start=START + timedelta(days=number, minutes=1), source="yard")
    page.recordings.status(source(state="stopped"), source("yard", state="stopped", name="Back <i>yard</i>"))
    page.open()
    rows(page, 6)
    page.find("#filter-source").select_option(label="Back <i>yard</i>")
    rows(page, 3)
    page.find("#filter-day").fill("2026-11-23")
    rows(page, 1)
    page.shows("tr.file", "14:01:00")
    address = page.browser.page.url
    assert parse_qs(urlsplit(address).query) == {"source": ["shed/yard"], "day": ["2026-11-23"]}

    page.browser.page.goto(address)
    rows(page, 1)
    expect(page.find("#filter-source")).to_have_value("shed/yard")
    expect(page.find("#filter-day")).to_have_value("2026-11-23")
    page.browser.page.get_by_role("button", name="Day before").click()
    page.shows("tr.day", "Sunday, 22 November 2026")
    page.browser.page.go_back()
    page.shows("tr.day", "Monday, 23 November 2026")
    page.browser.page.get_by_role("button", name="Show all").click()
    rows(page, 6)
    assert urlsplit(page.browser.page.url).query == ""
    page.assert_well()


def test_a_card_leads_to_the_recordings_of_its_source(page: Page) -> None:
    page.recordings.finished(3)
    page.recordings.finished(3, source="yard")
    page.recordings.status(source(state="stopped"), source("yard", state="stopped"))
    page.open()
    rows(page, 2)
    page.browser.page.locator("li.card[data-source=yard]").get_by_role("link", name="1 recording").click()
    rows(page, 1)
    page.shows("tr.file .from", "Yard")
    expect(page.find("#files-title")).to_be_focused()
    page.assert_well()


def test_nothing_there_is_said_in_words(page: Page) -> None:
    page.recordings.finished(3)
    page.recordings.status(source(state="stopped"))
    page.browser.page.goto(page.served.url("/?source=shed%2Fmic&day=2020-02-29"))
    page.shows("#files-note", "No recordings of Mic on Saturday, 29 February 2020")
    page.browser.page.get_by_role("button", name="Show all recordings").click()
    rows(page, 1)
    page.find("#filter-loud").check()
    page.shows("#files-note", "No recordings with loud sections")
    page.assert_well()


@pytest.mark.parametrize("query", ["source=%3Cb%3E", "day=2026-02-30", "day=x", "loud=maybe", "foo=bar#player"])
def test_an_odd_address_never_leads_to_an_empty_page(page: Page, query: str) -> None:
    page.recordings.finished(3)
    page.recordings.status(source(state="stopped"))
    page.browser.page.goto(page.served.url(f"/?{query}"))
    page.waits("the list or why not", "document.querySelector('tr.file, #files-note button') !== null")
    if page.find("tr.file").count() == 0:
        page.browser.page.get_by_role("button", name="Show all recordings").click()
        rows(page, 1)
    assert page.browser.page_errors == []


def test_foreign_files_are_listed_too(page: Page) -> None:
    (page.recordings.folder / "old").mkdir()
    (page.recordings.folder / "old" / "take one.wav").write_bytes(b"RIFF")
    (page.recordings.folder / "loose.mp3").write_bytes(b"x")
    page.open()
    rows(page, 2)
    page.shows("tr.file[data-name='old/take one.wav'] .from", "old/take one.wav")
    page.shows("tr.file[data-name='loose.mp3'] .from", "Other file")
    page.assert_well()


def _scroll_through(page: Page, pages: int) -> float:
    """Show more as often as told; the longest single piece of work in ms."""
    observe = "new PerformanceObserver((list) => list.getEntries().forEach((one) => window.tasks.push(one.duration)))"
    page.browser.page.evaluate(f"window.tasks = []; {observe}.observe({{type: 'longtask', buffered: true}})")
    for _ in range(pages):
        before = page.find("tr.file").last.get_attribute("data-name")
        page.find("#more").click()
        last = "[...document.querySelectorAll('tr.file')].at(-1).dataset.name"
        page.waits("another page", f"{last} !== {json.dumps(before)} && !document.getElementById('more').disabled")
    return float(page.browser.page.evaluate("Math.max(0, ...window.tasks)"))


def _in_portions(page: Page, count: int) -> None:
    page.recordings.status(source(state="stopped"))
    page.open()
    page.browser.wait_for(
        lambda: page.find("#count").inner_text() == f"100 of {count:,} recordings", 300, "the whole index"
    )
    page.browser.page.reload()
    rows(page, 100)
    page.find("#more").click()
    rows(page, 200)
    expect(page.find("tr.file button").nth(100)).to_be_focused()
    # No single piece of work on the page may be long enough to be felt; the limit leaves room for a busy machine.
    longest_ms = _scroll_through(page, 14)
    print(f"longest piece of work: {longest_ms:.0f} ms")
    assert longest_ms < 500
    assert page.find("tr.file").count() == 1000
    page.shows(
        "tr.file:last-of-type",
        (START - timedelta(seconds=_MANY_S * 1599)).astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M:%S"),
    )
    page.browser.page.get_by_role("button", name="Back to the newest").click()
    rows(page, 100)
    page.shows("tr.file >> nth=0", "14:00:00")
    page.assert_well()


def test_thousands_of_recordings_come_in_portions(page: Page) -> None:
    many(page.recordings, 2_000)
    _in_portions(page, 2_000)


@pytest.mark.long
def test_a_hundred_thousand_recordings_stay_smooth(page: Page) -> None:
    many(page.recordings, 100_000)
    _in_portions(page, 100_000)


ZONES = ["UTC", "Europe/Berlin", "Africa/Cairo", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Asia/Beirut"]


def test_a_day_begins_where_the_zone_says(page: Page) -> None:
    page.open()

    @settings(max_examples=200, deadline=None)
    @given(st.dates(date(1995, 1, 1), date(2030, 12, 31)), st.sampled_from(ZONES))
    def check(day: date, zone: str) -> None:
        found = datetime.fromtimestamp(page.calls("zone.js", "startOfDay", day.isoformat(), zone), UTC)
        at = ZoneInfo(zone)
        assert found.astimezone(at).date() >= day > (found - timedelta(seconds=1)).astimezone(at).date()

    check()


def test_pages_fit_together(page: Page) -> None:
    page.open()

    def item(number: int) -> dict[str, str]:
        return {"file": f"{number:05d}.wav"}

    first = {"items": [item(number) for number in range(400, 300, -1)], "next": "a"}
    held = page.calls("pages.js", "refreshed", {"items": [], "next": None, "top": True}, first)
    older = {"items": [item(number) for number in range(300, 200, -1)], "next": "b"}
    held = page.calls("pages.js", "extended", held, older)
    assert [entry["file"] for entry in held["items"]] == [f"{number:05d}.wav" for number in range(400, 200, -1)]
    # One more has come, one of the newest has gone: the rest stays, and so does the way to what is older.
    fresh = {"items": [item(number) for number in range(401, 300, -1) if number != 350], "next": "c"}
    held = page.calls("pages.js", "refreshed", held, fresh)
    assert [entry["file"] for entry in held["items"]] == [
        f"{number:05d}.wav" for number in range(401, 200, -1) if number != 350
    ]
    assert held["next"] == "b"
