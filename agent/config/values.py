"""Parsers for single values: text in, value out, ValueError that says what is allowed. Pure."""

import ipaddress
import os
import re
from collections.abc import Callable
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from agent.config.settings import Secret
from agent.periods import DAY_S, PERIOD_MAX_S, PERIOD_MIN_S, nearest_period_s

E = TypeVar("E", bound=StrEnum)
N = TypeVar("N", int, float)

RESERVED_IDS = ("homeassistant", "operator", "viewer", "archive", "healthcheck")
"""Users of the shipped broker: an agent of this name would take their place."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": DAY_S}
_LONGEST_S = 1e12
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(B|[kKMGT]i?B)")
_UNITS = {"B": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_BINARY_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LARGEST_BYTES = 1 << 60
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OUR_HEADERS = ("host", "icy-metadata", "accept-encoding", "connection", "content-length", "transfer-encoding", "range")
_NO_STREAMS = ("mms", "mmsh", "mmst", "rtsp", "rtsps", "rtmp", "rtmps", "icy", "ftp", "udp", "rtp", "srt")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def identifier(text: str) -> str:
    """A permanent id: it becomes part of topics and file names."""
    if not _ID.fullmatch(text):
        raise ValueError("1 to 32 of a-z, 0-9 and '-' are allowed, the first not '-'")
    return text


def agent_identifier(text: str) -> str:
    """An id that is no user of the shipped broker."""
    if text in RESERVED_IDS:
        raise ValueError(f"is the name of a broker user; any other than {', '.join(RESERVED_IDS)} will do")
    return identifier(text)


def duration_s(text: str) -> float:
    """Seconds of `200ms 5s 15m 24h 30d`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a number with ms, s, m, h or d is expected, like 15m")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_S:
        raise ValueError("that is longer than anybody will wait")
    return seconds


def period_s(text: str) -> int:
    """Seconds of a period: 5 s to 24 h, and a whole number of them in a day."""
    seconds = duration_s(text)
    if seconds != int(seconds) or not PERIOD_MIN_S <= seconds <= PERIOD_MAX_S or DAY_S % int(seconds):
        near = _short(nearest_period_s(seconds))
        raise ValueError(f"5s to 24h that divide a day are allowed; the nearest is {near}")
    return int(seconds)


def size_bytes(text: str) -> int:
    """Bytes of `500MB 2GB 1TiB`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB is expected, like 100GB")
    unit = match[2].upper()
    size = float(match[1]) * (_BINARY_UNITS[unit[0]] if len(unit) == 3 else _UNITS[unit[0]])
    if size > _LARGEST_BYTES:
        raise ValueError("no disk is that large")
    return int(size)


def or_off(parse: Callable[[str], N]) -> Callable[[str], N | None]:
    """What `parse` takes, or `off`."""

    def parse_or_off(text: str) -> N | None:
        if text.strip().lower() == "off":
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(f"{error}; or off") from error

    return parse_or_off


def between_s(low_s: float, high_s: float) -> Callable[[str], float]:
    """A duration within limits."""

    def parse(text: str) -> float:
        seconds = duration_s(text)
        if not low_s <= seconds <= high_s:
            raise ValueError(f"{_short(low_s)} to {_short(high_s)} are allowed")
        return seconds

    return parse


def off_or_up_to_s(high_s: float) -> Callable[[str], float]:
    """A duration up to a limit, or `off`, which is 0."""

    def parse(text: str) -> float:
        try:
            return 0.0 if text.lower() == "off" else between_s(0, high_s)(text)
        except ValueError as error:
            raise ValueError(f"off, or a duration up to {_short(high_s)} like 500ms or 1s, is expected") from error

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within limits."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high} is allowed")
        return int(text)

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """A decimal number within limits."""

    def parse(text: str) -> float:
        if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", text) or not low <= float(text) <= high:
            raise ValueError(f"a number from {low:g} to {high:g} is allowed")
        return float(text)

    return parse


def one_of(*allowed: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in allowed:
            near = get_close_matches(text, allowed, 1)
            raise ValueError(f"allowed: {', '.join(allowed)}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return text

    return parse


def member(kind: type[E]) -> Callable[[str], E]:
    """One of the values of an enumeration."""
    choose = one_of(*(item.value for item in kind))
    return lambda text: kind(choose(text))


def text(value: str) -> str:
    """Any text of some length, on one line."""
    if not value.strip() or len(value) > 200 or not value.isprintable():
        raise ValueError("a text of 1 to 200 printable characters is expected")
    return value


def boolean(text: str) -> bool:
    """Yes or no, in the words that YAML has for it."""
    word = text.lower()
    if word not in _BOOLEANS:
        raise ValueError("true or false is expected")
    return _BOOLEANS[word]


def address(text: str) -> str:
    """An IP address to listen on, or localhost."""
    if text == "localhost":
        return text
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError(
            "an address of this box is expected, like 127.0.0.1, or 0.0.0.0 for all of them, or localhost"
        ) from error


def host_name(text: str) -> str:
    """A name by which browsers may call us, in lower case."""
    if not _HOST_NAME.fullmatch(text):
        raise ValueError("a host name without port is expected, like recordings.example")
    return text.lower().removesuffix(".")


def user_name(value: str) -> str:
    """A name that HTTP can carry beside a password."""
    if ":" in value:
        raise ValueError("a ':' is not allowed in a user name, because in HTTP the password begins after it")
    return text(value)


def topic(value: str) -> str:
    """A base topic: levels of letters, digits, '-' and '_'."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", value) or len(value) > 100:
        raise ValueError("letters, digits, '-' and '_' are allowed, with '/' between levels and none at the ends")
    return value


def secret(value: str) -> Secret:
    """A secret, with `${NAME}` taken from the environment."""
    missing = [name for name in _VARIABLE.findall(value) if name not in os.environ]
    if missing:
        raise ValueError(f"the environment has no {missing[0]}; set it, or write the value here")
    return Secret(_VARIABLE.sub(lambda match: os.environ[match[1]], value))


def secret_file(folder: Path) -> Callable[[str], Secret]:
    """A secret that is the first line of a file; relative paths start at `folder`."""

    def parse(value: str) -> Secret:
        path = folder / value
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        if not lines or not lines[0]:
            raise ValueError(f"{path} is empty; its first line is to be the secret")
        return Secret(lines[0])

    return parse


def stream_url(value: str) -> Secret:
    """The address of a stream; it may hold a password, so it is a secret."""
    plain = secret(value).reveal().strip()
    try:
        parts = urlsplit(plain)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise ValueError("this is not an address") from error
    if parts.scheme in _NO_STREAMS:
        raise ValueError(f"{parts.scheme}:// cannot be recorded; the station's http:// or https:// address is expected")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("an address that begins with http:// or https:// is expected")
    if not plain.isprintable():
        raise ValueError("an address on one line, without control characters, is expected")
    return Secret(plain)


def header(name: str, value: str) -> tuple[str, Secret]:
    """A header line of a request; its value is a secret, as it may be a token."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("the name of an HTTP header is expected, like X-Token")
    if name.lower() in _OUR_HEADERS:
        raise ValueError("this header is made by the agent and cannot be set")
    plain = secret(value).reveal().strip()
    if not plain.isprintable() or not plain.isascii():
        raise ValueError("the value of a header is ASCII text on one line")
    return name, Secret(plain)


def shown_url(url: Secret) -> str:
    """The address without user, password and query."""
    parts = urlsplit(url.reveal())
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    if "@" in parts.path:
        # Maybe a password with a '/' in it, which ends the host too early: nothing before the '@' is shown.
        return urlunsplit((parts.scheme, "…", "/" + parts.path.rpartition("@")[2], "", ""))
    return urlunsplit((parts.scheme, host + (f":{parts.port}" if parts.port else ""), parts.path, "", ""))


def _short(seconds: float) -> str:
    for unit in ("d", "h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            amount = f"{seconds / _SECONDS[unit]:g}{unit}"
            return "24h" if amount == "1d" else amount
    return f"{seconds * 1000:g}ms"
