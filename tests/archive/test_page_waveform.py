"""The waveform of the page: what is drawn is what was recorded, and its loud sections lead to their places."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Locator, Route, expect

from tests.archive.page_support import PLAYER, WAIT_S, Page, stepped
from tests.archive.support import source

LEVELS_DBFS = [-50.0, -40.0, -30.0, -12.0, -12.0, -30.0, -45.0, -20.0, -55.0, -50.0]
FOOT, BAND = 16, 3
_COLUMN = """([seconds, duration]) => {
  const canvas = document.getElementById("wave-canvas");
  const width = canvas.clientWidth, ratio = canvas.width / width, count = Math.floor(width / 3);
  const bar = Math.floor((seconds / duration) * count);
  const x = Math.round((bar * width * ratio) / count) + 1;
  const data = canvas.getContext("2d").getImageData(x, 0, 1, canvas.height).data;
  const pixel = (y) => [...data.slice(4 * y, 4 * y + 4)].join();
  const floor = Math.round((canvas.clientHeight - 16) * ratio) - 1;
  let y = floor;
  while (y >= 0 && pixel(y) === pixel(floor)) y -= 1;
  return { tall: (floor - y) / ratio, colour: pixel(floor), room: canvas.clientHeight - 16 - 3 - 1, ratio };
}"""


def column(page: Page, seconds: float, duration: float) -> dict[str, Any]:
    """The bar at a time, read from the pixels: how many CSS pixels tall, and in which colour."""
    found: dict[str, Any] = page.browser.page.evaluate(_COLUMN, [seconds, duration])
    return found


def opened(page: Page, levels: list[float] = LEVELS_DBFS, *, row: int = 0) -> None:
    """A foreign file of these levels, a second each, in the player; paused."""
    stepped(page.recordings.folder / "old" / "take.wav", levels)
    page.open()
    page.find("tr.file button").nth(row).click()
    page.waits("the waveform", "document.getElementById('wave-note').textContent === '' && "
               "document.getElementById('loud-summary').textContent !== ''")  # fmt: skip
    page.waits("playing", f"!{PLAYER}.paused && {PLAYER}.readyState > 2")
    page.browser.page.evaluate(f"{PLAYER}.pause()")


def sections(page: Page) -> Locator:
    return page.find("#loud-list button")


@pytest.mark.parametrize("ratio", [1, 2, 1.5])
def test_the_pixels_are_as_tall_as_the_recording_is_loud(page: Page, ratio: float) -> None:
    emulated = page.browser.page.context.new_cdp_session(page.browser.page)
    size = {"width": 1280, "height": 900, "deviceScaleFactor": ratio, "mobile": False}
    emulated.send("Emulation.setDeviceMetricsOverride", size)
    opened(page)
    duration = len(LEVELS_DBFS)
    colours = {}
    for second, dbfs in enumerate(LEVELS_DBFS):
        if second == 0:
            continue  # the playhead is there
        bar = column(page, second + 0.5, duration)
        assert bar["ratio"] == ratio
        assert bar["tall"] == pytest.approx(max(1, (1 + dbfs / 60) * bar["room"]), abs=1.5), (second, dbfs)
        colours[second] = bar["colour"]
    loud = {second for second, dbfs in enumerate(LEVELS_DBFS) if dbfs >= -26}
    assert len({colours[second] for second in loud}) == 1
    assert {colours[second] for second in loud}.isdisjoint(colours[second] for second in colours if second not in loud)
    page.assert_well()


def test_the_picture_follows_size_and_colours(page: Page) -> None:
    opened(page)
    light = column(page, 2.5, 10)
    page.browser.page.emulate_media(color_scheme="dark")
    page.browser.wait_for(lambda: column(page, 2.5, 10)["colour"] != light["colour"], WAIT_S, "other colours")
    page.browser.page.set_viewport_size({"width": 500, "height": 800})
    page.waits("the new size", "document.getElementById('wave-canvas').width === "
               "document.getElementById('wave-canvas').clientWidth")  # fmt: skip
    bar = column(page, 2.5, 10)
    assert bar["tall"] == pytest.approx(0.5 * bar["room"], abs=1.5)


def test_a_loud_section_is_one_click_away(page: Page) -> None:
    opened(page)
    expect(sections(page)).to_have_count(2)
    page.shows("#loud-summary", "2 loud sections above −26 dBFS")
    expect(sections(page).nth(0)).to_have_accessible_name("0:03, 2.0 s long, −12.0 dBFS")
    sections(page).nth(1).click()
    page.waits("the jump", f"Math.abs({PLAYER}.currentTime - 7) < 0.9 && !{PLAYER}.paused")
    page.plays_beyond(7.1)
    expect(sections(page).nth(1)).to_have_attribute("aria-current", "true")
    page.browser.page.evaluate(f"{PLAYER}.pause()")
    page.browser.page.keyboard.press("p")
    page.waits("the section before", f"Math.abs({PLAYER}.currentTime - 3) < 0.9")
    page.browser.page.evaluate(f"{PLAYER}.pause()")
    page.browser.page.keyboard.press("n")
    page.waits("the section after", f"Math.abs({PLAYER}.currentTime - 7) < 0.9")
    page.browser.page.get_by_role("button", name="Previous loud section").click()
    page.waits("the section before", f"Math.abs({PLAYER}.currentTime - 3) < 0.9")
    page.assert_well()


def test_another_threshold_finds_others(page: Page) -> None:
    opened(page)
    threshold = page.browser.page.get_by_role("slider", name="Loud from")
    expect(threshold).to_have_attribute("aria-valuetext", "−26 dBFS")
    threshold.fill("-35")
    expect(sections(page)).to_have_count(2)
    page.shows("#loud-summary", "2 loud sections above −35 dBFS")
    expect(sections(page).nth(0)).to_have_accessible_name("0:02, 4.0 s long, −12.0 dBFS", timeout=WAIT_S * 1000)
    threshold.fill("-5")
    page.shows("#loud-summary", "No loud sections above −5 dBFS")
    expect(sections(page)).to_have_count(0)
    expect(page.find("#loud-after")).to_be_disabled()
    asked = [one.url.rpartition("=")[2] for one in page.browser.requests if "/api/analyze" in one.url]
    assert [round(float(value), 4) for value in asked] == [0.0501, 0.0178, 0.5623]
    page.assert_well()


def test_seeking_in_the_waveform(page: Page) -> None:
    opened(page)
    box = page.find("#wave").bounding_box()
    assert box is not None
    mouse = page.browser.page.mouse
    mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30)
    page.shows("#pointed", "0:05")
    mouse.down()
    page.waits("the place", f"Math.abs({PLAYER}.currentTime - 5) < 0.1")
    mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 30, steps=4)
    mouse.up()
    page.waits("the place", f"Math.abs({PLAYER}.currentTime - 8) < 0.1")
    wave = page.browser.page.get_by_role("slider", name="Position")
    wave.focus()
    for key, at in (("ArrowLeft", 3), ("ArrowRight", 8), ("Home", 0), ("End", 10)):
        page.browser.page.keyboard.press(key)
        page.waits(f"the place after {key}", f"Math.abs({PLAYER}.currentTime - {at}) < 0.2")
    expect(wave).to_have_attribute("aria-valuenow", "10")
    expect(wave).to_have_attribute("aria-valuetext", "0:09 of 0:10, 0:10")


def test_busy_and_broken_are_said(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.browser.page.route("**/api/analyze?*", hold)
    stepped(page.recordings.folder / "take.wav", LEVELS_DBFS)
    page.open()
    page.find("tr.file button").click()
    page.shows("#wave-note.busy", "Reading levels…")
    page.plays_beyond(0.2)
    detail = "This file is <b>no</b> audio."
    page.browser.wait_for(lambda: held, WAIT_S, "the question")
    problem = json.dumps({"status": 422, "detail": detail})
    held[0].fulfill(status=422, content_type="application/problem+json", body=problem)
    page.shows("#wave-note.fault", f"No waveform: {detail}")
    assert page.find("#wave-note b").count() == 0
    assert page.browser.page_errors == []


def test_levels_that_come_later_are_waited_for(page: Page) -> None:
    writer = page.recordings.opened(5)
    page.recordings.status(source(writer=writer))
    page.open()
    answers: list[Route] = []

    def late(route: Route) -> None:
        answers.append(route)
        if len(answers) == 1:
            route.fulfill(status=503, json={"status": 503, "detail": "This recording has no levels yet."})
        else:
            route.fulfill(json=_analysis([]))

    page.browser.page.route("**/api/analyze?*", late)
    page.find("tr.file button").click()
    page.shows("#wave-note.busy", "This recording has no levels yet.")
    page.shows("#loud-summary", "No loud sections above −26 dBFS")
    expect(page.find("#wave-note")).to_be_empty()


def _analysis(found: list[dict[str, float]]) -> dict[str, Any]:
    waveform = [0.1] * 100
    return {"file": "x", "duration": 10, "threshold": 0.05, "waveform": waveform, "interval": 0.1, "sections": found}


def test_a_thousand_sections_are_not_a_thousand_buttons(page: Page) -> None:
    found = [{"start": number / 100, "end": number / 100 + 0.005, "peak": 0.5} for number in range(1000)]
    page.browser.page.route("**/api/analyze?*", lambda route: route.fulfill(json=_analysis(found)))
    opened(page)
    expect(sections(page)).to_have_count(200)
    page.shows("#loud-list", "and 800 more")
    page.shows("#loud-summary", "1,000 loud sections")
    page.assert_well()


def test_bars_show_the_loudest_of_their_time(page: Page) -> None:
    page.open()

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 80), st.floats(0.05, 2), st.floats(0.3, 1.2)
    )
    def check(amplitudes: list[float], count: int, interval: float, share: float) -> None:
        duration = len(amplitudes) * interval * share
        script = "(g) => import('./static/scale.js').then((m) => Array.from(m.bars(...g)))"
        found = page.browser.page.evaluate(script, [amplitudes, interval, duration, count])
        assert len(found) == count
        heights = page.browser.page.evaluate(
            "(g) => import('./static/scale.js').then((m) => g.map((one) => m.shareOf(m.dbfsOf(one))))", amplitudes
        )
        within = [height for at, height in enumerate(heights) if at * interval < duration - 1e-6]
        assert max(found) == pytest.approx(max(within), abs=1e-6)
        assert all(any(abs(bar - height) < 1e-6 for height in [0, *heights]) for bar in found)

    check()


def test_times_below_are_round_and_apart(page: Page) -> None:
    page.open()

    @settings(max_examples=80, deadline=None)
    @given(st.floats(0.5, 90_000), st.integers(200, 2000), st.integers(0, 3599))
    def check(duration: float, width: int, offset: int) -> None:
        found = page.calls("scale.js", "ticks", duration, width, offset, 70)
        at, step = found["at"], found["step"]
        assert all(0 <= tick <= duration for tick in at)
        assert all(abs((tick + offset) / step - round((tick + offset) / step)) < 1e-6 for tick in at)
        if step < 21_600:
            assert all((later - earlier) / duration * width >= 69.9 for earlier, later in pairwise(at))

    check()
