"""The meters of the page, and how it comes to know what happens right now."""

from __future__ import annotations

import math

import pytest
from playwright.sync_api import Route, expect

from tests.archive.page_support import WAIT_S, Page
from tests.archive.support import source

BAR = "li.card[data-source=mic] [role=meter]"


def level(rms: float, peak: float, *, sound: bool | None = None, **more: object) -> dict[str, object]:
    """A source that hears something."""
    return source(level={"rms_dbfs": rms, "peak_dbfs": peak}, sound=sound, **more)  # type: ignore[arg-type]


def bar_is(page: Page, rms: float, peak: float) -> None:
    """Until bar and mark stand where these levels are on a scale from -60 to 0 dBFS."""
    wanted = [f"{min(1.0, max(0.0, 1 + dbfs / 60)):.4f}" for dbfs in (rms, peak)]
    page.browser.wait_for(
        lambda: [page.style(BAR, "--rms"), page.style(BAR, "--peak")] == wanted, WAIT_S, f"a bar of {wanted}"
    )


def drawn(page: Page) -> tuple[float, float]:
    """Share of the meter's width that is lit, and where the mark for the peak stands, as the browser draws them."""
    box, peak = page.find(BAR).bounding_box(), page.find(f"{BAR} .peak").bounding_box()
    assert box is not None
    assert peak is not None
    clip = page.find(f"{BAR} .rms").evaluate("(bar) => getComputedStyle(bar).clipPath")
    hidden = float(clip.removeprefix("inset(").split()[1].removesuffix("%").removeprefix("calc(")) / 100
    return 1 - hidden, (peak["x"] - box["x"]) / (box["width"] - peak["width"])


def test_the_meter_follows_the_level(page: Page) -> None:
    page.browser.page.emulate_media(reduced_motion="reduce")
    page.recordings.status(level(-30, -15, sound=False))
    page.open()
    bar_is(page, -30, -15)
    assert drawn(page) == pytest.approx((0.5, 0.75), abs=0.01)
    page.shows(".meter .numbers", "−30.0 dBFS")
    page.shows(".meter .numbers", "peak −15.0")
    page.shows(".meter .lamp", "Quiet")
    page.recordings.status(level(-6, -0.04, sound=True))
    bar_is(page, -6, -0.04)
    assert drawn(page) == pytest.approx((0.9, 1), abs=0.01)
    page.shows(".meter .numbers", "peak 0.0")
    page.shows(".meter .lamp", "Sound")
    page.shows(".card .age", "last sample now")
    page.recordings.status(level(-120, -120, sound=False))
    page.shows(".meter .numbers", "−∞ dBFS")
    bar_is(page, -120, -120)
    assert len([asked for asked in page.browser.requests if asked.url.endswith("/api/v1/events")]) == 1
    page.assert_well()


def test_a_meter_tells_a_screen_reader_but_not_everything(page: Page) -> None:
    page.recordings.status(level(-30, -15, sound=False))
    page.open()
    meter = page.browser.page.get_by_role("meter", name="Level of Mic")
    expect(meter).to_have_attribute("aria-valuetext", "Quiet, −30.0 dBFS, peak −15.0 dBFS")
    expect(meter).to_have_attribute("aria-valuenow", "-30")
    page.browser.page.evaluate(f"""() => {{
      window.told = [];
      const spoken = ({{ target }}) => target.getAttribute("aria-valuetext");
      new MutationObserver((found) => window.told.push(...found.map(spoken)))
        .observe(document.querySelector("{BAR}"), {{ attributes: true, attributeFilter: ["aria-valuetext"] }});
    }}""")
    for step in range(4):
        page.recordings.status(level(-29 + step, -15, sound=False))
        bar_is(page, -29 + step, -15)
    told = page.browser.page.evaluate("window.told")
    assert len(told) <= 2
    page.recordings.status(level(-10, -3, sound=True))
    expect(meter).to_have_attribute("aria-valuetext", "Sound, −10.0 dBFS, peak −3.0 dBFS", timeout=WAIT_S * 1000)
    page.recordings.status(level(-70, -65, sound=False))
    expect(meter).to_have_attribute("aria-valuenow", "-60", timeout=WAIT_S * 1000)


def test_what_is_not_heard_is_not_shown(page: Page) -> None:
    page.recordings.status(level(-30, -15, sound=False))
    page.open()
    bar_is(page, -30, -15)
    page.recordings.status(source(state="stalled", level=None, sound=None))
    page.shows(".meter .lamp", "No level")
    expect(page.find(f"{BAR} .rms")).to_be_hidden()
    page.shows(".card .age.late", "last sample 6 s ago")
    page.recordings.status(level(-20, -10, sound=True))
    page.shows(".meter .lamp", "Sound")
    page.recordings.status(level(-20, -10, sound=True), age_s=60)
    page.shows(".meter .lamp", "No level")
    page.shows(".card .state", "Not running")
    page.assert_well()


def test_without_the_stream_it_asks_every_two_seconds(page: Page) -> None:
    def refuse(route: Route) -> None:
        route.abort()

    page.browser.page.route("**/api/v1/events", refuse)
    page.recordings.status(level(-30, -15, sound=False))
    page.open()
    bar_is(page, -30, -15)
    page.recordings.status(level(-12, -3, sound=True))
    bar_is(page, -12, -3)
    page.waits(
        "five looks at the status",
        "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/api/v1/status')).length >= 5",
    )
    times = page.browser.page.evaluate(
        "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/api/v1/status'))"
        ".map((one) => one.startTime)"
    )
    assert all(later - earlier >= 1900 for earlier, later in zip(times[1:], times[2:], strict=False))
    page.browser.page.unroute("**/api/v1/events")
    page.browser.wait_for(lambda: page.browser.answers("/api/v1/events", 200), WAIT_S, "the stream again")
    assert page.browser.page_errors == []


def test_the_stream_spares_the_asking(page: Page) -> None:
    page.recordings.status(level(-30, -15, sound=False))
    page.open()
    bar_is(page, -30, -15)
    looks = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/api/v1/status')).length"
    before, began_ms = page.browser.page.evaluate(f"[{looks}, performance.now()]")
    for step in range(8):
        page.recordings.status(level(-29 + step, -15, sound=False))
        bar_is(page, -29 + step, -15)
    after, ended_ms = page.browser.page.evaluate(f"[{looks}, performance.now()]")
    assert after - before <= 1 + (ended_ms - began_ms) / 3900


def test_odd_levels_do_no_harm(page: Page) -> None:
    odd = [
        {"rms_dbfs": None, "peak_dbfs": None},
        {},
        {"rms_dbfs": "loud", "peak_dbfs": "<b>"},
        {"rms_dbfs": 3.5, "peak_dbfs": 6},
    ]
    page.recordings.status(*(source(f"s{number}", level=told) for number, told in enumerate(odd)))
    page.open()
    page.shows("li.card[data-source=s3] .numbers", "3.5 dBFS")
    page.shows("li.card[data-source=s0] .lamp", "No level")
    page.shows("li.card[data-source=s2] .lamp", "No level")
    page.assert_well()


def test_levels_have_their_place_on_the_scale(page: Page) -> None:
    page.open()
    for dbfs, share in ((0, 1), (-60, 0), (-30, 0.5), (6, 1), (-200, 0)):
        assert page.calls("scale.js", "shareOf", dbfs) == pytest.approx(share)
    for amplitude in (1, 0.5, 0.05, 0.001):
        found = page.calls("scale.js", "dbfsOf", amplitude)
        assert found == pytest.approx(20 * math.log10(amplitude))
        assert page.calls("scale.js", "amplitudeOf", found) == pytest.approx(amplitude)
