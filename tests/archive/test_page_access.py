"""The page for everybody: on a phone, by keyboard alone, in light and dark, enlarged, and as axe-core sees it."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.archive.page_support import PHONE, PLAYER, WAIT_S, Page, stepped
from tests.archive.support import START, Recordings, Served, source
from tests.parts.browser import Browser

_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_LONG = "A name of many words and one_very_long_word_that_has_no_place_to_break_at_all_whatever_one_does"
_FOCUS = """() => {
  const at = document.activeElement;
  if (at === null || at === document.body) return null;
  const box = at.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + Math.min(box.height, 40) / 2];
  const hit = document.elementFromPoint(x, y);
  return {
    name: at.getAttribute("aria-label") || at.labels?.[0]?.textContent.trim() || at.textContent.trim(),
    isSeen: hit !== null && (hit === at || at.contains(hit) || hit.contains(at)),
    hasOutline: getComputedStyle(at).outlineStyle !== "none",
    hit: hit === null ? "" : hit.outerHTML.slice(0, 80),
  };
}"""
_SMALL = """() => [...document.querySelectorAll("button, select, input, a[href], [role=slider]")]
  .filter((one) => one.checkVisibility() && !one.closest(".skip"))
  .map((one) => [one, (one.closest("label") ?? one).getBoundingClientRect()])
  .filter(([, box]) => Math.round(box.height) < 44 || Math.round(box.width) < 44)
  .map(([one, box]) => `${one.id || one.className || one.outerHTML} ${box.width}×${box.height}`)"""


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it is now."""
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page.browser.page.evaluate(axe)
    found: dict[str, Any] = page.browser.page.evaluate("(rules) => axe.run(document, rules)", _RULES)
    assert len(found["passes"]) > 20
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def everything(page: Page) -> None:
    """A page with all that there can be on it, playing a recording with loud sections."""
    page.recordings.finished(3)
    stepped(page.recordings.folder / "old" / "take.wav", [-50.0, -12.0, -40.0] * 8)
    (page.recordings.folder / f"{'long-name' * 20}.wav").write_bytes(b"x")
    writer = page.recordings.opened(5, start=START + timedelta(seconds=60))
    level = {"rms_dbfs": -31.5, "peak_dbfs": -9.0}
    page.recordings.status(
        source(writer=writer, title=_LONG, name=_LONG, level=level, sound=True),
        source("a", "stalled", last_error="e"),
        source("b", "error", level=level, sound=False),
        source("c", "stopped"),
        source("d", "disk_full", level=level),
    )
    page.open()
    page.shows("tr.file .rec", "REC")
    page.find("tr.file[data-name='old/take.wav'] button").click()
    expect(page.find("#loud-summary")).to_contain_text("loud sections", timeout=WAIT_S * 1000)
    page.plays_beyond(0.1)
    page.browser.page.evaluate(f"{PLAYER}.pause()")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, scheme: str, width: int) -> None:
    page.browser.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.browser.page.set_viewport_size({"width": width, "height": 900})
    everything(page)
    if page.find("#loud-more").is_visible():
        page.find("#loud-more").click()
    assert violations(page) == []
    page.assert_well()


def test_axe_finds_nothing_where_nothing_is(page: Page) -> None:
    page.open()
    page.shows("#files-note", "No recordings yet")
    assert violations(page) == []


def test_on_a_phone(phone: Page) -> None:
    everything(phone)
    assert phone.browser.page.evaluate(_SMALL) == []
    phone.find("#loud-more").click()
    assert phone.browser.page.evaluate(_SMALL) == []
    phone.find("#loud-list button").nth(2).scroll_into_view_if_needed()
    phone.find("#loud-list button").nth(2).click()
    phone.plays_beyond(7.01)
    phone.assert_well()


@pytest.fixture
def enlarged(served: Served, recordings: Recordings) -> Iterator[Page]:
    """A window of 1280 by 800 at 200 %: half as many CSS pixels each way, and a phone's at that."""
    with Browser(viewport=(PHONE[0], 400)) as browser:
        yield Page(browser, served, recordings)


def test_enlarged_the_player_leaves_room(enlarged: Page) -> None:
    everything(enlarged)
    enlarged.browser.page.evaluate("window.scrollTo(0, 0)")
    expect(enlarged.find("h1")).to_be_in_viewport()
    assert enlarged.find("#player").evaluate("(player) => getComputedStyle(player).position") == "static"
    enlarged.find("#play").scroll_into_view_if_needed()
    enlarged.assert_well()


def test_motion_stops_where_it_is_unwelcome(page: Page) -> None:
    page.browser.page.emulate_media(reduced_motion="reduce")
    everything(page)
    page.find("#play").click()
    page.plays_beyond(0.3)
    running = "document.getAnimations().filter((one) => one.playState === 'running').length"
    assert page.browser.page.evaluate(running) == 0


def walk(page: Page, most: int = 60) -> list[str]:
    """Names of what has the focus, one Tab after the other, until it comes round; each seen, and marked."""
    names: list[str] = []
    for _ in range(most):
        page.browser.page.keyboard.press("Tab")
        at = page.browser.page.evaluate(_FOCUS)
        if at is None or (names and at["name"] == names[0]):
            return names
        assert at["isSeen"], at
        assert at["hasOutline"], at
        names.append(at["name"])
    raise AssertionError(f"the focus never comes round: {names}")


def test_by_keyboard_alone(page: Page) -> None:
    page.recordings.finished(30)
    page.recordings.status(source(state="stopped"))
    page.open()
    page.shows("tr.file", "14:00:00")
    page.shows("li.card .total", "1 recording")
    names = walk(page)
    assert names == [
        "Skip to the recordings", "1 recording, 412 kB", "Source", "Day", "Day", "Day", "Day", "Today",
        "Only with loud sections", "Play Mic, 14:00:00", "Download Mic, 14:00:00",
    ]  # fmt: skip
    keyboard = page.browser.page.keyboard
    page.browser.page.evaluate("document.activeElement.blur()")
    page.browser.page.reload()
    page.shows("tr.file", "14:00:00")
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(page.find("#files-title")).to_be_focused()
    page.find("tr.file button").focus()
    keyboard.press("Enter")
    page.plays_beyond(0.2)
    keyboard.press("Space")
    page.waits("the pause", f"{PLAYER}.paused")
    page.shows("#loud-summary", "loud section")
    keyboard.press("Tab")
    expect(page.find("tr.file a")).to_be_focused()
    assert walk(page) == [
        "Play", "Previous loud section", "Next loud section", "Speed", "Mute", "Volume", "Download", "Close the player",
        "Position", "Loud from", "14:00:00, 30 s long, −7.9 dBFS",
    ]  # fmt: skip


def test_the_table_has_its_roles(page: Page) -> None:
    page.recordings.finished(3)
    page.recordings.status(source(state="stopped"))
    page.open()
    page.shows("tr.file", "14:00:00")
    expect(page.find("tr.file a")).to_have_accessible_name("Download Mic, 14:00:00")
    table = page.browser.page.get_by_role("table", name="All recordings")
    for name in ("Start", "Source", "Heard", "Length", "Size"):
        expect(table.get_by_role("columnheader", name=name)).to_have_count(1)
    expect(table.get_by_role("row")).to_have_count(3)
    page.find("tr.file button").click()
    expect(page.browser.page.get_by_role("region", name="Player")).to_be_visible()
