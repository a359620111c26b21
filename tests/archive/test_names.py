"""Paths, hosts, query parameters, names for downloads: what comes from outside, as pure functions."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive_api.answers.disposition import disposition
from archive_api.answers.problem import Problem
from archive_api.hosts import host_of, is_allowed, own_names
from archive_api.query import check, whole
from archive_api.recordings.paths import extension_of, is_servable_component, parse_path, with_plus

NEVER = [
    b"",
    b"/",
    b"/etc/passwd",
    b"//host/x.wav",
    b"a//b.wav",
    b"a/b.wav/",
    b".",
    b"..",
    b"../x.wav",
    b"a/../x.wav",
    b"a/./x.wav",
    b"%2e%2e/x.wav",
    b"%2E%2e/x.wav",
    b".%2e/x.wav",
    b"..%2fx.wav",
    b"a%2fb.wav",
    b"a%2Fb.wav",
    b"..%5cx.wav",
    b"a%5Cb.wav",
    b"..\\x.wav",
    b"C:\\x.wav",
    b"%00.wav",
    b"a.wav%00.flac",
    b"a%0ab.wav",
    b"a%0d%0ab.wav",
    b"a%7f.wav",
    b".state/x.wav",
    b"%2estate/x.wav",
    b"a/.hidden.wav",
    b"%ff.wav",
    b"%c0%ae%c0%ae/x.wav",
    b"%e0%80%ae/x.wav",
    b"x" * 252 + b".wav",
    b"a/" * 16 + b"x.wav",
]


@pytest.mark.parametrize("raw", NEVER)
def test_paths_that_no_recording_has(raw: bytes) -> None:
    assert parse_path(raw) is None


def test_paths_are_decoded_once() -> None:
    assert parse_path(b"%252e%252e/x.wav") == ("%2e%2e", "x.wav")
    assert parse_path(b"mic/a%2Bb+c%20d.flac") == ("mic", "a+b+c d.flac")
    assert parse_path("Ü/“x”.wav".encode()) == ("Ü", "“x”.wav")
    assert with_plus(("a b", "c d+e.wav")) == ("a+b", "c+d+e.wav")


_COMPONENTS = st.text(min_size=1, max_size=40).filter(is_servable_component)


@given(st.lists(_COMPONENTS, min_size=1, max_size=5))
def test_every_name_that_may_be_served_goes_there_and_back(parts: list[str]) -> None:
    assert parse_path("/".join(quote(part, safe="") for part in parts).encode()) == tuple(parts)


@given(st.binary(max_size=60))
def test_no_bytes_lead_out(raw: bytes) -> None:
    for part in parse_path(raw) or ():
        assert part not in ("", ".", "..")
        assert not set(part) & set("/\\\0")


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("x.flac", "flac"),
        ("x.WAV", "wav"),
        ("x.mp3.part", "mp3"),
        ("x.json", None),
        ("x.json.part", None),
        ("status.json", None),
        ("gaps.jsonl", None),
        ("flac", None),
        ("x.flac.part.part", None),
        ("x.levels.npy", None),
    ],
)
def test_only_audio_is_audio(name: str, extension: str | None) -> None:
    assert extension_of(name) == extension


@pytest.mark.parametrize(
    ("field", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8080", True),
        ("192.168.1.7:8080", True),
        ("[::1]:8080", True),
        ("[fe80::1]", True),
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("localhost.", True),
        ("pi4", True),
        ("pi4.local:8080", True),
        ("pi4.home.example", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("pi4.local.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("0x7f.1", False),
        ("local", False),
    ],
)
def test_hosts(field: str, *, allowed: bool) -> None:
    host = host_of(field)
    assert host is not None
    assert is_allowed(host, own_names("Pi4.home.example")) is allowed


@pytest.mark.parametrize(
    "field", ["", " ", "a b", "a/b", "user@host", "::1", "host:port", "host:", "a,b", "[::1", "x\x00"]
)
def test_malformed_hosts(field: str) -> None:
    host = host_of(field)
    assert host is None or (field == "host:" and host == "host")


def test_query_parameters_are_known_or_named() -> None:
    assert check([("limit", "3")], "limit") == {"limit": "3"}
    assert whole({"limit": "3"}, "limit", 1, 10) == 3
    assert whole({}, "limit", 1, 10) is None
    with pytest.raises(Problem, match="limt"):
        check([("limt", "3")], "limit")
    with pytest.raises(Problem, match="twice"):
        check([("limit", "3"), ("limit", "4")], "limit")
    for text in ("", "0", "11", "-1", "1.5", "٣", " 3", "1e3", "9" * 5000):
        with pytest.raises(Problem, match="limit"):
            whole({"limit": text}, "limit", 1, 10)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("mic_2026+0100.flac", 'attachment; filename="mic_2026+0100.flac"'),
        ('a"b.wav', "attachment; filename=\"a_b.wav\"; filename*=UTF-8''a%22b.wav"),
        ("Ü.wav", "attachment; filename=\"_.wav\"; filename*=UTF-8''%C3%9C.wav"),
        ("a\r\nb.wav", 'attachment; filename="ab.wav"'),
        ("gnp\u202evaw.wav", 'attachment; filename="gnpvaw.wav"'),
    ],
)
def test_names_for_downloads(name: str, field: str) -> None:
    assert disposition("attachment", name) == field


@given(st.text(max_size=300))
def test_a_disposition_is_one_line_that_tells_the_name(name: str) -> None:
    field = disposition("inline", name)
    assert field.isascii()
    assert field.isprintable()
    match = re.fullmatch(
        r"""inline; filename="([^"\\]+)"(?:; filename\*=UTF-8''([A-Za-z0-9!#$&+\-.^_`|~%]+))?""", field
    )
    assert match is not None
    told = unquote(match[2]) if match[2] else match[1]
    assert "/" not in told
    if name and name.isprintable() and len(name) <= 200 and not set(name) & set("/\\"):
        assert told == name
