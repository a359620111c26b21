"""Who is let in, against the real service."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import socket
import subprocess
import sys
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive_api.routes import ROUTES
from tests.archive.page_support import Page
from tests.archive.support import ROOT, Recordings, Served, serving, source, write_config
from tests.archive.test_service import FIELDS
from tests.parts.browser import Browser
from tests.parts.process import free_port
from tests.parts.waiting import wait_until

USER, PASSWORD = "müller", "größe: 7 % hunter2"
ACCESS = f"auth: basic, username: {USER}, password_file: word, allowed_hosts: [rec.example]"
HIDDEN = sorted(
    (method, re.sub(r"\{[^}]*\}", "app.js", route.path))
    for route in ROUTES
    for method in route.methods or ()
    if route.path != "/healthz"
)


class Answer(NamedTuple):
    """What came back; fields by any case of their name."""

    status: int
    fields: Message
    body: bytes


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One archive that asks for a password, with one recording."""
    folder = tmp_path_factory.mktemp("guarded")
    Recordings(folder / "rec").finished(30)
    (folder / "word").write_text(PASSWORD + "\n", encoding="utf-8")
    with serving(folder, ACCESS) as archive:
        yield archive
    assert "hunter2" not in archive.part.log_text()


def basic(user: str, password: str, encoding: str = "utf-8") -> bytes:
    return b"Basic " + b64encode(f"{user}:{password}".encode(encoding))


RIGHT = basic(USER, PASSWORD)


def ask(
    served: Served,
    path: str = "/api/files",
    method: str = "GET",
    *,
    credentials: bytes | None = None,
    peer: str = "127.0.0.1",
    **headers: str,
) -> Answer:
    """One request from an address of the loopback. Each test that tries passwords takes one of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10, source_address=(peer, 0))
    fields: dict[str, str | bytes] = {name.replace("_", "-"): value for name, value in headers.items()}
    if credentials is not None:
        fields["Authorization"] = credentials
    try:
        connection.request(method, path, headers=fields)
        answer = connection.getresponse()
        has_end = answer.headers.get_content_type() != "text/event-stream"
        return Answer(answer.status, answer.headers, answer.read() if has_end else b"")
    finally:
        connection.close()


@pytest.mark.parametrize(("method", "path"), HIDDEN)
def test_every_address_asks_for_the_password(guarded: Served, method: str, path: str) -> None:
    answer = ask(guarded, path, method)
    assert answer.status == 401
    assert answer.fields["WWW-Authenticate"] == 'Basic realm="isr edge", charset="UTF-8"'
    assert answer.fields["Content-Type"] == "application/problem+json"
    assert answer.fields["Cache-Control"] == "no-store"
    for name, value in FIELDS.items():
        assert answer.fields[name] == value
    # Past the password it is the address's own word that counts: here, mostly, that something is missing.
    assert ask(guarded, path, method, credentials=RIGHT).status in (200, 400, 404)


def test_nothing_is_told_of_what_is_there(guarded: Served) -> None:
    """An address that does not exist, another method and a wrong parameter look all the same from outside."""
    cases = [("/nowhere", "GET"), ("/api/files", "POST"), ("/api/files?x=1", "GET"), ("/healthz/", "GET")]
    cases += [("//healthz", "GET"), ("/healthz/../api/files", "GET"), ("/api/files?/healthz", "GET")]
    cases += [("/static/%2e%2e/healthz", "GET"), ("/api/files;/healthz", "GET"), ("/openapi.json", "OPTIONS")]
    for path, method in cases:
        assert ask(guarded, path, method).status == 401, path
    status, _, _ = guarded.raw(b"GET /api/files HTTP/1.0\r\n\r\n")
    assert status == 401
    status, _, _ = guarded.raw_get(b"http://127.0.0.1/api/files")
    assert status == 401


def test_health_is_open_and_bare(guarded: Served) -> None:
    answer = ask(guarded, "/healthz")
    assert (answer.status, answer.body) == (200, b'{"ok":true,"agent":"not running"}')
    assert ask(guarded, "/healthz", "POST").status == 405
    assert ask(guarded, "/healthz", credentials=b"Basic nonsense").status == 200


@pytest.mark.parametrize(
    "field",
    [
        RIGHT,
        RIGHT.replace(b"Basic", b"basic"),
        RIGHT.replace(b"Basic ", b"BASIC   "),
        basic(unicodedata.normalize("NFD", USER), unicodedata.normalize("NFD", PASSWORD)),
    ],
    ids=["plain", "lower", "blanks", "decomposed"],
)
def test_the_right_password_in_every_form(guarded: Served, field: bytes) -> None:
    assert ask(guarded, credentials=field).status == 200


WRONG = {
    "password": basic(USER, "größe"),
    "user": basic("mueller", PASSWORD),
    "case": basic(USER, PASSWORD.upper()),
    "blank": basic(USER, PASSWORD + " "),
    "user only": b"Basic " + b64encode(USER.encode()),
    "nothing": b"Basic",
    "empty": b"Basic ",
    "empty both": basic("", ""),
    "latin-1": basic(USER, PASSWORD, "latin-1"),
    "bytes": b"Basic " + b64encode(b"\xff\xfe\x00:\x80"),
    "null": basic(USER, PASSWORD + "\0"),
    "not base64": b"Basic ***",
    "broken off": RIGHT[:-1],
    "raw bytes": b"Basic \xfc\xff",
    "raw": f"Basic {USER}:{PASSWORD}".encode(),
    "scheme": RIGHT.replace(b"Basic", b"Bearer"),
    "no scheme": RIGHT.removeprefix(b"Basic "),
    "quoted": b'Basic "' + RIGHT.removeprefix(b"Basic ") + b'"',
    "twice in one": RIGHT + b", " + RIGHT,
    "big": basic(USER, "x" * 40_000),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused(guarded: Served, name: str) -> None:
    peer = f"127.0.2.{list(WRONG).index(name) + 1}"
    answer = ask(guarded, credentials=WRONG[name], peer=peer)
    assert answer.status == 401
    assert answer.fields["WWW-Authenticate"].startswith("Basic ")
    assert b"hunter2" not in answer.body


def test_two_fields_are_refused_even_if_one_is_right(guarded: Served) -> None:
    field = b"Authorization: " + RIGHT
    assert guarded.raw_get(b"/api/files", field)[0] == 200
    assert guarded.raw_get(b"/api/files", field, field)[0] == 401
    assert guarded.raw_get(b"/api/files", field, b"Authorization: " + WRONG["password"])[0] == 401


def test_a_huge_field_ends_the_connection_and_harms_nobody(guarded: Served) -> None:
    with contextlib.suppress(ConnectionResetError):  # the server does not read it to its end
        status, _, _ = guarded.raw_get(b"/api/files", b"Authorization: Basic " + b"QUFB" * 100_000)
        assert status in (400, 401, 431)
    assert ask(guarded, credentials=RIGHT).status == 200


_peers = itertools.count(1)


@given(st.binary(max_size=60).filter(lambda data: not set(data) & {0, 10, 13}))
def test_any_bytes_are_let_in_only_if_they_are_right(guarded: Served, data: bytes) -> None:
    number = next(_peers)
    peer = f"127.3.{number // 250}.{number % 250 + 1}"
    assert ask(guarded, credentials=data, peer=peer).status in (400, 401)


def test_the_host_is_checked_first(guarded: Served) -> None:
    for credentials in (None, RIGHT, WRONG["password"]):
        answer = ask(guarded, credentials=credentials, peer="127.0.4.1", Host="evil.example")
        assert answer.status == 421
        assert answer.fields["WWW-Authenticate"] is None
    for host in ("rec.example", "REC.example:8443", "rec.example.", "192.0.2.7", "localhost"):
        assert ask(guarded, credentials=RIGHT, Host=host).status == 200, host
        assert ask(guarded, Host=host).status == 401, host
    assert ask(guarded, credentials=RIGHT, Host="sub.rec.example").status == 421


def test_trying_many_passwords_takes_long_and_harms_nobody_else(guarded: Served) -> None:
    tries = [ask(guarded, credentials=basic(USER, str(n)), peer="127.0.5.1") for n in range(30)]
    statuses = [answer.status for answer in tries]
    assert statuses[:10] == [401] * 10
    assert 429 in statuses
    assert statuses.count(401) < 20
    assert tries[-1].status == 429
    assert tries[-1].fields["Content-Type"] == "application/problem+json"
    assert 1 <= int(tries[-1].fields["Retry-After"]) <= 2
    assert ask(guarded, credentials=RIGHT, peer="127.0.5.1").status == 429
    assert ask(guarded, credentials=RIGHT, peer="127.0.5.2").status == 200
    assert ask(guarded, "/healthz", peer="127.0.5.1").status == 200
    assert ask(guarded, peer="127.0.5.1").status == 401
    wait_until(lambda: ask(guarded, credentials=RIGHT, peer="127.0.5.1").status == 200, 10, "the end of the wait")
    assert "too many wrong passwords from 127.0.5.1" in guarded.part.log_text()


def test_a_browser_s_first_question_is_no_wrong_password(guarded: Served) -> None:
    for _ in range(30):
        assert ask(guarded, peer="127.0.6.1").status == 401
    assert ask(guarded, credentials=RIGHT, peer="127.0.6.1").status == 200


def test_ranges_and_conditions_work_behind_the_password(guarded: Served) -> None:
    (entry,) = json.loads(ask(guarded, credentials=RIGHT).body)
    path = f"/stream/{entry['name']}"
    part = ask(guarded, path, credentials=RIGHT, Range="bytes=100-199")
    assert (part.status, len(part.body)) == (206, 100)
    assert ask(guarded, path, Range="bytes=100-199").status == 401
    assert ask(guarded, path, credentials=RIGHT, If_None_Match=part.fields["ETag"]).status == 304
    assert ask(guarded, path, If_None_Match=part.fields["ETag"]).status == 401
    assert "public" not in part.fields["Cache-Control"]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_plays_behind_the_password(tmp_path: Path, recordings: Recordings) -> None:
    done = recordings.finished(600)
    writer = recordings.opened(5, source="radio")
    (tmp_path / "word").write_text(PASSWORD + "\n", encoding="utf-8")
    with serving(tmp_path, ACCESS) as served, Browser(login=(USER, PASSWORD)) as browser:
        page = Page(browser, served, recordings)
        recordings.status(source("radio", writer=writer), source(state="stopped"))
        page.open()
        page.shows(".card .rec", "REC")
        page.browser.page.get_by_role("button", name="Play Mic, 14:00:00").click()
        page.plays_beyond(0.2)
        page.browser.page.evaluate("document.querySelector('audio').currentTime = 500")
        page.plays_beyond(500.2)
        starts = [int(field.removeprefix("bytes ").partition("-")[0]) for field in page.audio_ranges()]
        assert max(starts) > done.path.stat().st_size // 2
        recordings.status(source("radio", writer=writer), source(state="stopped"))
        page.browser.page.get_by_role("button", name="Play Radio, 14:00:00").click()
        page.plays_beyond(0.2)
        with browser.page.expect_download() as download:
            page.find("tr.file a[href*='mic_']").click()
        assert Path(download.value.path()).read_bytes() == done.path.read_bytes()
        page.assert_well()
        assert [answer for answer in browser.responses if answer.status >= 400] == []


def test_a_password_in_the_address_works_too(tmp_path: Path, recordings: Recordings) -> None:
    """Old bookmarks have one; fetch() would refuse it."""
    recordings.finished(5)
    recordings.status(source(state="stopped"))
    with serving(tmp_path, "auth: basic, username: me, password: word") as served, Browser() as browser:
        browser.page.goto(served.url().replace("//", "//me:word@"))
        page = Page(browser, served, recordings)
        page.shows("tr.file", "Mic")
        page.find("tr.file button").click()
        page.plays_beyond(0.2)
        browser.assert_clean()


# --- the command line -------------------------------------------------------------------------------------------------


def _serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "archive_api", "serve", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, cwd=ROOT, check=False)


def test_a_network_without_a_password_is_refused_at_the_start(tmp_path: Path) -> None:
    done = _serve("--config", str(write_config(tmp_path, free_port(), "host: 0.0.0.0")))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(r".*config\.yaml:3: archive\.host: 0\.0\.0\.0 can be reached from the network", done.stderr)
    assert "auth: basic" in done.stderr
    assert "Traceback" not in done.stderr


def test_lan_needs_a_password(tmp_path: Path) -> None:
    config = str(write_config(tmp_path, free_port()))
    none = _serve("--config", config, "--lan")
    assert (none.returncode, "--lan needs a password" in none.stderr) == (2, True)
    missing = _serve("--config", config, "--lan", "--password-file", str(tmp_path / "nowhere"))
    assert (missing.returncode, "--password-file: " in missing.stderr) == (2, True)
    (tmp_path / "nothing").write_text("\n")
    empty = _serve("--config", config, "--lan", "--password-file", str(tmp_path / "nothing"))
    assert (empty.returncode, "is empty" in empty.stderr) == (2, True)


def test_said_twice_everybody_may_listen(tmp_path: Path, recordings: Recordings) -> None:
    recordings.finished(1)
    with serving(tmp_path, "host: 0.0.0.0, auth: none, allow_unauthenticated: true") as served:
        assert ask(served).status == 200
        with socket.create_connection(("127.0.0.9", served.port), timeout=5):
            pass
