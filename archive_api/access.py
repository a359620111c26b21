"""Who is let in: a user name and a password (RFC 7617), and nobody who was sent by a page of another site.

Plain ASGI, so that bodies pass untouched.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import math
import unicodedata
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from archive_api.answers.problem import Problem, problem_response
from archive_api.attempts import Attempts

OPEN_PATH = "/healthz"
"""The one address that needs no password: it tells nothing of the recordings."""

_CHALLENGE = {"www-authenticate": 'Basic realm="isr edge", charset="UTF-8"'}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_TELL_AGAIN_S = 600.0

_log = logging.getLogger(__name__)


class BasicAuth:
    """Lets in who knows the password; tells others that they need one, and makes them wait who try too many."""

    def __init__(self, app: ASGIApp, username: str, password: str, monotonic_s: Callable[[], float]) -> None:
        self._app, self._monotonic_s = app, monotonic_s
        self._expected = _digest(f"{username}:{password}")
        self._attempts = Attempts()
        self._told_s = -math.inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with what is wrong."""
        problem = None if scope["path"] == OPEN_PATH else self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(scope, problem)(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        given = _fields(scope, b"authorization")
        if not given:  # how every browser begins; nothing was tried
            return Problem(401, "This archive asks for a user name and a password.", headers=_CHALLENGE)
        peer, now_s = (scope.get("client") or ("",))[0], self._monotonic_s()
        wait_s = self._attempts.wait_s(peer, now_s)
        if wait_s > 0:  # also the right password is not looked at: otherwise the answer would tell which one it is
            self._tell(peer, now_s)
            retry = {"retry-after": str(math.ceil(wait_s))}
            return Problem(429, "Too many wrong passwords came from this address; try again later.", headers=retry)
        if len(given) == 1 and self._is_right(given[0]):
            return None
        self._attempts.failed(peer, now_s)
        return Problem(401, "The user name or the password is wrong.", headers=_CHALLENGE)

    def _is_right(self, field: bytes) -> bool:
        text = credentials_of(field)
        return text is not None and hmac.compare_digest(_digest(text), self._expected)

    def _tell(self, peer: str, now_s: float) -> None:
        if now_s - self._told_s >= _TELL_AGAIN_S:
            self._told_s = now_s
            _log.warning("too many wrong passwords from %s; it has to wait between two tries from now on", peer)


class OriginCheck:
    """Lets no page of another site change anything: browsers say for whom they ask. Others than browsers may."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["method"] in _READING or _is_own_site(scope):
            await self._app(scope, receive, send)
        else:
            problem = Problem(403, "A page of another site may not change anything here.")
            await problem_response(scope, problem)(scope, receive, send)


def _is_own_site(scope: Scope) -> bool:
    """By Sec-Fetch-Site, which browsers send over TLS and on this box; elsewhere by Origin and Host."""
    sites = _fields(scope, b"sec-fetch-site")
    if sites:
        return sites in ([b"same-origin"], [b"none"])
    origins, hosts = _fields(scope, b"origin"), _fields(scope, b"host")
    return not origins or (len(origins) == len(hosts) == 1 and is_own_origin(origins[0], hosts[0]))


def is_own_origin(origin: bytes, host: bytes) -> bool:
    """Whether an Origin field names the very host and port of the Host field; the scheme is a TLS proxy's affair."""
    try:
        parts = urlsplit(origin.decode("ascii").lower())
    except ValueError:
        return False
    port = _DEFAULT_PORTS.get(parts.scheme)
    if port is None:
        return False
    named = host.decode("latin-1").lower().removesuffix(port)
    return bool(parts.netloc) and parts.netloc.removesuffix(port) == named


def credentials_of(field: bytes) -> str | None:
    """`user:password` of an Authorization field; None where it is none of ours."""
    scheme, _, token = field.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return base64.b64decode(token.strip(b" "), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None


def _digest(text: str) -> bytes:
    """Of one length, so that comparing takes one time; é is é, however it was typed."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode()).digest()


def _fields(scope: Scope, wanted: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == wanted]
