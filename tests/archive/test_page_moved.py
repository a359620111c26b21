"""The page shows corrected times, without being asked again."""

from __future__ import annotations

from datetime import timedelta

from playwright.sync_api import expect

from tests.archive.index.test_moved import DAY, correct
from tests.archive.page_support import WAIT_S, Page
from tests.archive.support import START, source


def test_a_corrected_recording_moves_to_its_day(page: Page) -> None:
    wrong = page.recordings.finished(10, start=START - 30 * DAY)
    page.recordings.finished(10, start=START)
    page.recordings.status(source(state="stopped"))
    page.open()
    expect(page.find("tr.day")).to_have_count(2, timeout=WAIT_S * 1000)
    correct(wrong, 30 * DAY + timedelta(hours=1))
    expect(page.find("tr.day")).to_have_count(1, timeout=WAIT_S * 1000)
    expect(page.find("tr.file")).to_have_count(2)
    page.shows("tr.day", "Sunday, 22 November 2026")
    page.shows("tr.file >> nth=0", "15:00:00")
    page.assert_well()
