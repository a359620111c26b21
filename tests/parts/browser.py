"""Debian's own Chromium under Playwright, with a record of everything that went over the wire or wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Self, TypeVar

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import (
    ConsoleMessage,
    HttpCredentials,
    Page,
    Playwright,
    Request,
    Response,
    ViewportSize,
    sync_playwright,
)
from playwright.sync_api import Error as PlaywrightError

from tests.parts.process import program
from tests.parts.waiting import wait_until

T = TypeVar("T")

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    # Otherwise it looks for PulseAudio, and for an ordinary user even starts one that nobody ends.
    "--disable-audio-output",
)


class Asked(NamedTuple):
    """One request of the page."""

    method: str
    url: str
    headers: dict[str, str]


class Answered(NamedTuple):
    """The head of one response to the page; header names are in lower case."""

    url: str
    status: int
    headers: dict[str, str]


class Browser:
    """A context manager with one window (`page`) and lists of what happened in all its windows.

    `login` is the user name and the password that it gives where a server asks for them.

    The lists grow only while Playwright is at work. Wait for them with `wait_for`, not with `wait_until`
    alone, which would stand still with the events undelivered.
    """

    def __init__(
        self,
        *,
        viewport: tuple[int, int] = (1280, 900),
        timezone: str | None = None,
        locale: str = "en-GB",
        headers: dict[str, str] | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.console_errors: list[str] = []
        self.page_errors: list[str] = []
        self.requests: list[Asked] = []
        self.responses: list[Answered] = []
        self.failed_requests: list[str] = []
        self._viewport = ViewportSize(width=viewport[0], height=viewport[1])
        self._timezone = timezone
        self._locale = locale
        self._headers = headers
        self._login = None if login is None else HttpCredentials(username=login[0], password=login[1])
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        self._page: Page | None = None

    @property
    def page(self) -> Page:
        """The window, for everything Playwright can do."""
        if self._page is None:
            raise AssertionError("the browser is not open")
        return self._page

    def wait_for(self, condition: Callable[[], T], timeout_s: float, what: str) -> T:
        """Wait for a condition while the browser's events are delivered."""

        def after_events() -> T:
            self.page.wait_for_timeout(20)
            return condition()

        return wait_until(after_events, timeout_s, what, poll_s=0)

    def answers(self, url_part: str, status: int | None = None) -> list[Answered]:
        """Return the responses so far whose address contains this text, with this status if one is given."""
        return [
            answer
            for answer in self.responses
            if url_part in answer.url and (status is None or answer.status == status)
        ]

    def assert_clean(self) -> None:
        """Fail if any page logged an error, threw one, or could not fetch something."""
        wrong = [*self.console_errors, *self.page_errors, *self.failed_requests]
        if wrong:
            raise AssertionError("the browser complained:\n" + "\n".join(wrong))

    def _log_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _log_request(self, request: Request) -> None:
        self.requests.append(Asked(request.method, request.url, dict(request.headers)))

    def _log_response(self, response: Response) -> None:
        self.responses.append(Answered(response.url, response.status, dict(response.headers)))

    def _log_failure(self, request: Request) -> None:
        # Players give up a download when they have enough or want another place: no failure of the server.
        if request.failure != "net::ERR_ABORTED":
            self.failed_requests.append(f"{request.url}: {request.failure}")

    def __enter__(self) -> Self:
        executable = program("chromium", "chromium")
        self._playwright = sync_playwright().start()
        try:
            self._chromium = self._playwright.chromium.launch(
                executable_path=executable, args=list(_ARGUMENTS), headless=True
            )
            context = self._chromium.new_context(
                viewport=self._viewport,
                timezone_id=self._timezone,
                locale=self._locale,
                extra_http_headers=self._headers,
                http_credentials=self._login,
            )
            context.on("console", self._log_console)
            context.on("weberror", lambda error: self.page_errors.append(str(error.error)))
            context.on("request", self._log_request)
            context.on("response", self._log_response)
            context.on("requestfailed", self._log_failure)
            self._page = context.new_page()
        except PlaywrightError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._chromium is not None:
            self._chromium.close()
        if self._playwright is not None:
            self._playwright.stop()
