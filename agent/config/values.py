"""Parsers for single values: text in, value out, ValueError that says what is allowed. Pure."""

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

RESERVED_IDS = ("homeassistant", "operator", "viewer", "archive", "healthcheck")
"""Users of the shipped broker: an agent of this name would take their place."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": DAY_S}
_LONGEST_S = 1e12
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


def between_s(low_s: float, high_s: float) -> Callable[[str], float]:
    """A duration within limits."""

    def parse(text: str) -> float:
        seconds = duration_s(text)
        if not low_s <= seconds <= high_s:
            raise ValueError(f"{_short(low_s)} to {_short(high_s)} are allowed")
        return seconds

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within limits."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high} is allowed")
        return int(text)

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
    plain = secret(value).reveal()
    try:
        parts = urlsplit(plain)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise ValueError("this is not an address") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("an address that begins with http:// or https:// is expected")
    return Secret(plain)


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
