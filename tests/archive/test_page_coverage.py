"""How complete today is, and the gaps of a day, as the page shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from agent import clock
from agent.archive_format.coverage import day_of
from agent.model import GapCause
from tests.archive.page_support import WAIT_S, Page
from tests.archive.support import START, ZONE, source
from tests.archive.test_gaps import gap, ledger
from tests.archive.test_page_access import violations

BARS = "li.card[data-source=mic] .day-bar i"


def a_day_with_losses(page: Page) -> None:
    """Recorded, lost, recorded, stopped, lost again and lasting: for as much of today as there is."""
    now = clock.utc_now()
    begun = datetime.fromtimestamp(day_of(round(now.timestamp() * 1000), ZONE).start_ms / 1000, UTC)
    part = (now - begun) / 6
    assert part > timedelta(seconds=5), "the day has only just begun"
    page.recordings.finished(10, start=begun)
    ledger(
        page.recordings,
        gap("1", begun + part, part.total_seconds(), GapCause.DEVICE_LOST),
        gap("2", begun + 3 * part, part.total_seconds(), GapCause.STOPPED),
        gap("3", begun + 5 * part, None, GapCause.STALL),
    )
    own = {"recorded_today_s": 51_600.2, "missing_today_s": 125.0, "completeness_pct": 99.758}
    page.recordings.status({**source(state="stalled"), **own}, age_s=-4)


def test_today_is_a_bar_with_patterns_and_words(page: Page) -> None:
    a_day_with_losses(page)
    page.open()
    expect(page.find(BARS)).to_have_count(4, timeout=WAIT_S * 1000)
    assert page.find(BARS).evaluate_all("(parts) => parts.map((part) => part.className)") == [
        "",
        "miss",
        "rest",
        "miss",
    ]
    page.shows("li.card .day-words", "99.758 % of today")
    page.shows("li.card .day-words", "2:05 missing: ")
    page.shows("li.card .day-words", "device lost")
    page.shows("li.card .day-words", "not asked for")
    patterns = page.find(BARS).evaluate_all("(parts) => parts.map((part) => getComputedStyle(part).backgroundImage)")
    assert "none" in patterns[0]
    assert len(set(patterns)) == 3, "told apart without colour"
    widths = page.find(f"{BARS}.miss").evaluate_all(
        "(parts) => parts.map((part) => part.getBoundingClientRect().width)"
    )
    assert min(widths) >= 4, "what is missing shows, also shortly after midnight"
    page.assert_well()


def test_sources_stay_when_the_recorder_was_stopped(page: Page) -> None:
    """It takes its status with it; what there is, and that the day goes on without them, is known all the same."""
    now = clock.utc_now()
    page.recordings.finished(10, start=now - timedelta(seconds=20))
    ledger(page.recordings, gap("1", now - timedelta(seconds=10), None, GapCause.AGENT_STOPPED))
    page.open()
    page.shows("li.card", "Not running")
    page.shows("li.card h3", "mic")
    page.shows("li.card .day-words", "missing: agent stopped")
    page.shows("li.card .total", "1 recording")
    page.hides("#sources-note")
    page.recordings.status(source(), age_s=-4)
    page.shows("li.card[data-source=mic] .state", "Recording")
    expect(page.find("li.card")).to_have_count(1)
    page.assert_well()


def test_a_loss_too_short_to_be_told_is_not_told_as_none(page: Page) -> None:
    page.open()
    told = [page.calls("format.js", "seconds", number) for number in (0, 0.001, 0.049, 0.05, 9.94, 9.96, 61)]
    assert told == ["0.0 s", "<0.1 s", "<0.1 s", "0.1 s", "9.9 s", "10 s", "1:01"]


def test_where_nothing_was_asked_for_nothing_is_missing(page: Page) -> None:
    now = clock.utc_now()
    ledger(page.recordings, gap("1", now - timedelta(minutes=1), None, GapCause.STOPPED))
    page.recordings.status(source(state="stopped"))
    page.open()
    page.shows("li.card .day-words", "Nothing asked for today")
    page.assert_well()


def test_the_gaps_of_a_day_stand_between_its_recordings(page: Page) -> None:
    for minutes in (0, 2):
        page.recordings.finished(60, start=START + timedelta(minutes=minutes))
    ledger(
        page.recordings,
        gap("1", START + timedelta(minutes=1), 60.0, GapCause.DEVICE_LOST),
        gap("2", START + timedelta(minutes=3), 7.4, GapCause.STOPPED),
        gap("3", START + timedelta(minutes=3, seconds=7.4), None, GapCause.AGENT_STOPPED),
        gap("4", START + timedelta(days=-2), 60.0),
        gap("5", START + timedelta(minutes=2), 0.0, GapCause.STARTING),  # nothing is missing there
    )
    page.recordings.status(source(state="stopped"))
    page.open()
    expect(page.find("tr.file")).to_have_count(2, timeout=WAIT_S * 1000)
    expect(page.find("tr.gap")).to_have_count(0)
    page.find("#filter-day").fill("2026-11-22")
    expect(page.find("tr.gap")).to_have_count(3, timeout=WAIT_S * 1000)
    rows = page.find("tbody tr:not(.day)")
    assert rows.evaluate_all("(rows) => rows.map((row) => row.className)") == ["gap", "gap", "file", "gap", "file"]
    texts = [text.replace("\n", " ") for text in page.find("tr.gap").all_inner_texts()]
    for text, words in zip(
        texts,
        (["14:03:07", "Missing: agent stopped", "lasts"], ["14:03:00", "Not asked for: stopped", "7.4 s"],
         ["14:01:00", "Mic", "Missing: device lost", "1:00"]),
        strict=True,
    ):  # fmt: skip
        assert all(word in text for word in words), text
    page.find("#filter-loud").check()
    expect(page.find("tr.gap")).to_have_count(0, timeout=WAIT_S * 1000)
    page.assert_well()


def test_gaps_are_woven_as_far_as_recordings_are_held(page: Page) -> None:
    page.open()
    items = [{"start": f"2026-11-22T13:{n:02d}"} for n in (9, 6, 3)]
    gaps = [{"start": f"2026-11-22T13:{n:02d}", "cause": "stall"} for n in (10, 7, 4, 1)]

    def woven(following: str | None, *, top: bool) -> list[int]:
        held = {"items": items, "next": following, "top": top}
        return [int(one["start"][-2:]) for one in page.calls("pages.js", "woven", held, gaps)]

    assert woven(None, top=True) == [10, 9, 7, 6, 4, 3, 1]
    assert woven("more", top=True) == [10, 9, 7, 6, 4, 3]
    assert woven(None, top=False) == [9, 7, 6, 4, 3, 1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_in_both_schemes_axe_finds_nothing(phone: Page, scheme: str) -> None:
    phone.browser.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    a_day_with_losses(phone)
    phone.open()
    expect(phone.find(BARS)).to_have_count(4, timeout=WAIT_S * 1000)
    phone.find("#day-before").click()  # today
    phone.find("tr.gap").first.wait_for()
    assert violations(phone) == []
    phone.assert_well()
