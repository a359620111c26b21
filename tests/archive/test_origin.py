"""No page of another site changes anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive_api.access import is_own_origin
from tests.archive.support import Served
from tests.archive.test_access import ask


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 405),
        ({"Origin": "http://127.0.0.1:{port}"}, 405),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "http://127.0.0.1:{port}.evil.example"}, 403),
        ({"Origin": "http://evil.example@127.0.0.1:{port}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 405),
        ({"Sec-Fetch-Site": "none"}, 405),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:{port}"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_our_own_page_may_change_anything(
    shared: Served, fields: dict[str, str], status: int, method: str
) -> None:
    sent = {name: value.replace("{port}", str(shared.port)) for name, value in fields.items()}
    answer = ask(shared, "/api/status", method, credentials=None, **sent)
    assert answer.status == status
    assert answer.fields["Content-Type"] == "application/problem+json"
    assert ask(shared, "/api/status", credentials=None, **sent).status == 200, "reading is another matter"


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_origin_is_ours_or_not(origin: str, host: str) -> None:
    own = is_own_origin(origin.encode(), host.encode("latin-1", "replace"))
    assert not own or host.lower() in origin.lower() + ":80:443"


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        (b"https://rec.example", b"rec.example", True),
        (b"https://rec.example", b"rec.example:443", True),
        (b"http://rec.example:80", b"Rec.Example", True),
        (b"http://[fd00::7]:8080", b"[fd00::7]:8080", True),
        (b"https://rec.example", b"rec.example:80", False),
        (b"http://rec.example:8080", b"rec.example", False),
        (b"", b"", False),
        (b"http://", b"", False),
        (b"ftp://rec.example", b"rec.example", False),
        (b"http://\xc3\xa9", b"\xe9", False),
    ],
)
def test_origin_and_host_are_one_place_or_not(origin: bytes, host: bytes, own: bool) -> None:
    assert is_own_origin(origin, host) is own
