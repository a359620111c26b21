import string
from base64 import b64encode
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Secret
from agent.sources.address import Address, address

TOKEN = ("X-Token", Secret("hunter2"))
LOGIN = ("Authorization", Secret(f"Basic {b64encode(b'me:hunter2').decode()}"))


def test_user_and_password_become_a_header_and_show_nowhere() -> None:
    found = address("http://me:hunter2@host:8000/live?x=1#here")
    assert found == Address("http://host:8000/live?x=1", (LOGIN,))
    assert "hunter2" not in repr(found)
    assert found.shown == "http://host:8000/live"


@given(st.text(string.printable + "äöü€'\"", max_size=20), st.text(string.printable + "äöü€", max_size=20))
def test_any_user_and_password_arrive_as_they_were(user: str, password: str) -> None:
    found = address(f"http://{quote(user, safe='')}:{quote(password, safe='')}@host/x")
    (name, value) = found.headers[0]
    assert name == "Authorization"
    assert value.reveal() == f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
    assert found.url == "http://host/x"


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/b.mp3", "http://host:8000/b.mp3"),
        ("b.mp3", "http://host:8000/radio/b.mp3"),
        ("?id=2", "http://host:8000/radio/a.m3u?id=2"),
        ("http://HOST:8000/b", "http://HOST:8000/b"),
        ("  //host:8000/b \r\n", "http://host:8000/b"),
    ],
)
def test_what_the_place_may_be_told_is_told_at_the_same_place(target: str, url: str) -> None:
    assert address("http://host:8000/radio/a.m3u", [TOKEN]).towards(target) == Address(url, (TOKEN,))


@pytest.mark.parametrize(
    ("start", "target"),
    [
        ("http://host/a", "http://other/a"),
        ("http://host/a", "http://host.evil/a"),
        ("http://host/a", "http://host:8000/a"),
        ("http://host/a", "https://host:8443/a"),
        ("https://host/a", "http://host/a"),
        ("http://host/a", "//other/a"),
        ("http://host/a", "http://host@other/a"),
        ("http://[::1]:8000/a", "http://[::2]:8000/a"),
    ],
)
def test_it_is_told_to_nobody_else(start: str, target: str) -> None:
    found = address(start.replace("://", "://me:hunter2@"), [TOKEN]).towards(target)
    assert all("hunter2" not in value.reveal() for _, value in found.headers)


def test_the_secure_way_to_the_same_host_is_the_same_place() -> None:
    assert address("http://host/a", [TOKEN]).towards("https://host/b").headers == (TOKEN,)
    assert address("http://host:80/a", [TOKEN]).towards("http://host./b").headers == (TOKEN,)


def test_an_own_password_wins() -> None:
    found = address("http://other:one@host/a", [TOKEN]).towards("http://me:hunter2@host/b")
    assert found.headers == (LOGIN, TOKEN)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("mms://host/a", "mms://"),
        ("C:\\music\\a.mp3", "c://"),
        ("https://", "without a host"),
        ("http://[x", "no address"),
    ],
)
def test_what_cannot_be_asked_is_named(target: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        address("http://host/a").towards(target)


@given(st.text(max_size=80))
def test_any_target_is_an_address_or_an_error(target: str) -> None:
    try:
        found = address("http://me:hunter2@host/a", [TOKEN]).towards(target)
    except ValueError:
        return
    assert urlsplit(found.url).scheme in ("http", "https")
    assert bool(found.headers) == (urlsplit(found.url).hostname == "host") or "@" in target or ":" in target
