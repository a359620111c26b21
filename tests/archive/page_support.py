"""The page of one archive in a real Chromium, and what tests ask of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import Locator, expect

from tests.archive.support import Recordings, Served
from tests.parts.browser import Browser

WAIT_S = 20
PHONE = (360, 740)
PLAYER = "document.querySelector('audio')"
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("CSP: " + event.violatedDirective + " " + event.blockedURI));
"""


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
        value = self.browser.page.evaluate(f"{PLAYER}.{what}")
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

    def waits(self, what: str, expression: str) -> None:
        """Until an expression of JavaScript is true."""
        self.browser.wait_for(lambda: self.browser.page.evaluate(expression), WAIT_S, what)

    def calls(self, module: str, call: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever it gives back
        """What a function of one of the page's modules answers; to be asked while the page is open."""
        script = f"([given]) => import('./static/{module}').then((module) => module.{call}(...given))"
        return self.browser.page.evaluate(script, [list(arguments)])

    def style(self, selector: str, name: str) -> str:
        """A property of an element's own style."""
        return str(self.find(selector).evaluate(f"(element) => element.style.getPropertyValue({name!r})"))


def stepped(path: Path, levels_dbfs: list[float], *, rate: int = 8000, seconds: float = 1.0) -> Path:
    """A foreign file that is as loud as told, one level after the other: its wave is square, so that RMS is peak."""
    signs = np.where(np.arange(round(rate * seconds)) % 20 < 10, 1.0, -1.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate([signs * 10 ** (level / 20) for level in levels_dbfs]), rate, subtype="PCM_16")
    return path
