"""Where a stream is asked for, and what only that place may be told. Pure."""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from agent.config import Secret
from agent.config.values import shown_url

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """`url` has no user and no password; `headers` go to its host and to no other."""

    url: str
    headers: tuple[tuple[str, Secret], ...] = ()

    @property
    def shown(self) -> str:
        """The address without anything secret, for logs, sidecars and errors."""
        return shown_url(Secret(self.url))

    @property
    def path(self) -> str:
        """What stands behind the host, without the query."""
        return urlsplit(self.url).path

    def towards(self, target: str) -> "Address":
        """The address that is named here: by a redirect, by a playlist, as a fallback. It may be relative.

        What this place may be told is kept where the target is the same place. Raises ValueError, with what is wrong
        and nothing secret, where the target is no address that can be asked.
        """
        try:
            joined = urljoin(self.url, target.strip())
        except ValueError as error:
            raise ValueError("something that is no address") from error
        kept = address(joined)
        if not _is_same_place(urlsplit(self.url), urlsplit(kept.url)):
            return kept
        own = {name.lower() for name, _ in kept.headers}
        return Address(kept.url, (*kept.headers, *((n, v) for n, v in self.headers if n.lower() not in own)))


def address(url: str, headers: Iterable[tuple[str, Secret]] = ()) -> Address:
    """The address of a text that may hold user and password. Raises ValueError as `towards` does."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("something that is no address") from error
    if parts.scheme not in _PORTS:
        raise ValueError(f"{parts.scheme[:20]}://" if parts.scheme else "something that is no address")
    if not host:
        raise ValueError("an address without a host")
    given = tuple(headers)
    if parts.username is not None or parts.password is not None:
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        basic = ("Authorization", Secret(f"Basic {b64encode(login.encode()).decode()}"))
        given = (basic, *((name, value) for name, value in given if name.lower() != "authorization"))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    return Address(urlunsplit(bare), given)


def _is_same_place(one: SplitResult, other: SplitResult) -> bool:
    """The same host and port; https instead of http on the usual ports is the same place, but never the way back."""
    if _host(one) != _host(other):
        return False
    places = [(parts.scheme, parts.port or _PORTS[parts.scheme]) for parts in (one, other)]
    return places[0] == places[1] or places == [("http", 80), ("https", 443)]


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").rstrip(".")
