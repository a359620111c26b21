"""The whole product as a person meets it: real recorder, real broker, real archive, real Chromium."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts.browser import Browser
from tests.parts.icecast import Icecast
from tests.parts.mosquitto import Broker
from tests.parts.process import Part, free_port, port_answers
from tests.system.running import REPOSITORY, RunningAgent

CONFIG = """
agent: {{id: shed, name: Garden shed, timezone: Europe/Berlin}}
recording: {{period: 10s}}
mqtt: {{host: 127.0.0.1, port: {broker}, username: shed, password: secret}}
sources:
  - {{id: test, name: Test signal, type: test, signal: noise}}
  - {{id: radio, name: Local radio, type: icecast, url: "{url}"}}
archive: {{port: {page}}}
"""


@contextmanager
def archive(folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "archive_api", "serve", "--config", str(folder / "config.yaml")]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    part = Part(command, package="python3", log=folder / "archive.log", ready=lambda: port_answers(port), env=env)
    with part:
        yield


def test_a_person_sees_hears_and_stops_what_is_recorded(tmp_path: Path) -> None:
    page_port = free_port()
    users = {"shed": "secret", "operator": "operator-password"}
    acl = (REPOSITORY / "mosquitto" / "acl").read_text(encoding="utf-8")
    with (
        Icecast(tmp_path / "icecast", charset="UTF-8") as icecast,
        Broker(tmp_path / "broker", users=users, acl_text=acl) as broker,
    ):
        icecast.feed_mp3("/live.mp3", title="<b>Ein Lied</b>")
        config = CONFIG.format(broker=broker.port, url=icecast.url("/live.mp3"), page=page_port)
        with (
            RunningAgent(tmp_path / "agent", config) as agent,
            archive(tmp_path / "agent", page_port),
            Browser() as browser,
        ):
            for source in ("test", "radio"):
                agent.wait_for_segments(source, 2, timeout_s=40)
            page = browser.page
            page.goto(f"http://127.0.0.1:{page_port}/")
            test, radio = (page.locator(f"li.card[data-source={source}]") for source in ("test", "radio"))
            browser.wait_for(lambda: "Recording" in test.inner_text(), 10, "the state of the test signal")
            assert "<b>Ein Lied</b>" in radio.inner_text(), "a title is text, never markup"

            for suffix in (".flac", ".mp3"):
                finished = page.locator(f"tr.file[data-name$='{suffix}']").first
                finished.get_by_role("button").click()
                browser.wait_for(lambda: playing_s(browser) > 0.3, 15, f"a {suffix} to play")
                page.evaluate("document.querySelector('audio').currentTime = 7")
                browser.wait_for(lambda: playing_s(browser) > 7.2, 15, f"a {suffix} to play on from there")
            assert browser.answers("/stream/", 206)

            for suffix in (".flac.part", ".mp3.part"):
                browser.wait_for(open_row_is_long(browser, suffix), 20, f"an open {suffix} of some length")
                page.locator(f"tr.file[data-name$='{suffix}']").first.get_by_role("button").click()
                browser.wait_for(lambda: playing_s(browser) > 0.3, 15, f"the open {suffix} to play")
                assert page.evaluate("document.querySelector('audio').duration") > 1
                assert browser.answers(f"{suffix}?len=")
            page.get_by_role("button", name="Close the player").click()

            broker.publish("isr/shed/src/test/cmd", "stop", user="operator")
            browser.wait_for(lambda: "Stopped" in test.inner_text(), 10, "the source to be shown as stopped")
            browser.wait_for(lambda: open_rows(browser, "test") == 0, 15, "no REC badge on its recordings")
            assert "Recording" in radio.inner_text()
            broker.publish("isr/shed/src/test/cmd", "start", user="operator")
            browser.wait_for(lambda: "REC" in test.inner_text(), 10, "the source to go to REC again")
            browser.wait_for(lambda: open_rows(browser, "test") == 1, 15, "a REC badge on its newest recording")

            assert agent.stop() == 0
            browser.wait_for(
                lambda: page.locator("#not-running").is_visible(), 15, "the page to say that nobody records"
            )
            # The levels of a file begin with its first sync; until then the archive answers 503, and is asked again.
            errors = browser.console_errors
            errors[:] = [error for error in errors if not ("503" in error and "/api/analyze" in error)]
            browser.assert_clean()
            assert {request.url.split("/")[2] for request in browser.requests} == {f"127.0.0.1:{page_port}"}


METERED = """
agent: {{id: shed, timezone: Europe/Berlin}}
recording: {{period: 1m}}
sources:
  - {{id: test, name: Test signal, type: test, signal: bursts}}
archive: {{port: {page}}}
"""


def test_the_meter_moves_with_the_sound(tmp_path: Path) -> None:
    """One second in five is loud (-15 dBFS), the rest is a faint hiss (-60 dBFS)."""
    port = free_port()
    with (
        RunningAgent(tmp_path / "agent", METERED.format(page=port)) as agent,
        archive(tmp_path / "agent", port),
        Browser() as browser,
    ):
        agent.wait_for_state("test", "recording")
        browser.page.goto(f"http://127.0.0.1:{port}/")
        bar = browser.page.locator("li.card[data-source=test] [role=meter]")
        share = "(bar) => Number(bar.style.getPropertyValue('--rms'))"
        for _ in range(2):
            browser.wait_for(lambda: bar.evaluate(share) > 0.5, 15, "the sound")
            browser.wait_for(lambda: bar.evaluate(share) < 0.15, 15, "the hiss")
        browser.assert_clean()


def playing_s(browser: Browser) -> float:
    return float(browser.page.evaluate("document.querySelector('audio').currentTime"))


def open_rows(browser: Browser, source: str) -> int:
    return browser.page.locator(f"tr.file[data-name^='{source}/'][data-name$='.part']").count()


def open_row_is_long(browser: Browser, suffix: str) -> Callable[[], bool]:
    """Whether a file of this kind has been open for some seconds."""

    def is_long() -> bool:
        row = browser.page.locator(f"tr.file[data-name$='{suffix}']")
        if row.count() == 0:
            return False
        return row.first.locator("td.length").inner_text().strip() >= "0:04"

    return is_long
