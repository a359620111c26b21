"""One GET to a server of streams. The only module that knows requests."""

import logging
import ssl
import urllib.parse
from functools import partial
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from agent import __version__, clock
from agent.errors import SourceFault
from agent.model import GapCause, Instant
from agent.sources.address import Address
from agent.sources.shoutcast import READ_S, Answer, Wire

_CONNECT_S = 5.0
_READ_BYTES = 1 << 16
_REDIRECTS_MAX = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_HINTS = {
    401: "the stream wants a user and a password: http://user:password@host/…",
    403: "the server does not allow it; ask whoever runs it",
    404: "check the address; or the station does not send right now",
}
_PERMANENT = (400, 401, 403, 404, 405, 410)
_SAYINGS = (
    "Connection refused",
    "Name or service not known",
    "Temporary failure in name resolution",
    "No address associated with hostname",
    "No route to host",
    "Network is unreachable",
)
_NO_TLS = ("WRONG_VERSION_NUMBER", "wrong version number", "record layer failure")
_CERTIFICATE = (
    "self-signed certificate",
    "certificate has expired",
    "certificate is not yet valid",
    "Hostname mismatch",
    "IP address mismatch",
    "unable to get local issuer certificate",
)

# It would log addresses with all that is secret in them.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


class Connection:
    """An answer with status 200 that is being read; `address` is where it came from in the end."""

    def __init__(self, address: Address, response: requests.Response, session: requests.Session, wire: Wire) -> None:
        self.address, self.wire = address, wire
        self.headers = response.headers
        self._response, self._session = response, session

    @property
    def content_type(self) -> str:
        """What the server says it is."""
        return str(self.headers.get("content-type", ""))

    def read(self) -> tuple[bytes, Instant]:
        """The next bytes and when they came; none at the end.

        Raises SourceFault where nothing comes for 10 s, where the connection breaks, and where the beginning takes
        longer than the wire allows.
        """
        shown = self.address.shown
        try:
            return self._response.raw.read1(_READ_BYTES, decode_content=True), clock.now()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self.wire.is_late:
                raise SourceFault(GapCause.REFUSED, f"{shown}: no audio came in time") from error
            if isinstance(error, urllib3.exceptions.ReadTimeoutError):
                raise SourceFault(GapCause.STALL, f"{shown}: nothing came for {READ_S:g} s") from error
            raise SourceFault(GapCause.DISCONNECTED, f"{shown}: the connection broke: {_said(error)}") from error

    @property
    def reads_all_there_is(self) -> bool:
        """Whether one read takes all that has come: of TLS it takes a record, of chunks and compression a part."""
        headers = self._response.headers
        in_parts = "Transfer-Encoding" in headers or "Content-Encoding" in headers
        return self._response.url.lower().startswith("http:") and not in_parts

    def hang_up(self) -> None:
        """End it at once, from any thread."""
        self.wire.hang_up()

    def close(self) -> None:
        """Nothing more is wanted."""
        self._response.close()
        self._session.close()


def get(address: Address, wire: Wire) -> Connection:
    """Ask for a stream, wherever redirects lead. Raises SourceFault where there is none to be had."""
    session = requests.Session()
    try:
        for _ in range(_REDIRECTS_MAX + 1):
            response = _ask(address, wire, session)
            if response.status_code not in _REDIRECTS:
                _check(address, response)
                return Connection(address, response, session, wire)
            response.close()
            address = _redirected(address, response.headers.get("location", ""))
        raise SourceFault(GapCause.REFUSED, f"{address.shown}: more than {_REDIRECTS_MAX} redirects", permanent=True)
    except BaseException:
        wire.let_go()
        session.close()
        raise


def _redirected(address: Address, target: str) -> Address:
    if not target:
        raise SourceFault(GapCause.REFUSED, f"{address.shown}: the server leads to nowhere", permanent=True)
    try:
        return address.towards(_as_sent(target))
    except ValueError as error:
        text = f"{address.shown}: it leads to {error}, which is not supported"
        raise SourceFault(GapCause.REFUSED, text, permanent=True) from error


def _ask(address: Address, wire: Wire, session: requests.Session) -> requests.Response:
    headers = {"Icy-MetaData": "1", "User-Agent": f"isr-edge/{__version__}", "Accept-Encoding": "identity"}
    headers |= {name: value.reveal() for name, value in address.headers}
    scheme = urllib.parse.urlsplit(address.url).scheme
    session.mount(f"{scheme}://", _Adapter(wire, secure=scheme == "https"))
    try:
        return session.get(
            address.url,
            headers=headers,
            auth=lambda request: request,  # in the headers already; else requests would look for one in ~/.netrc
            stream=True,
            allow_redirects=False,
            timeout=(_CONNECT_S, READ_S),
        )
    except requests.Timeout as error:
        raise SourceFault(GapCause.REFUSED, f"{address.shown}: no answer from the server") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _refused(address, error) from error


def _check(address: Address, response: requests.Response) -> None:
    status = response.status_code
    if status != requests.codes.ok:
        response.close()
        raise SourceFault(
            GapCause.REFUSED,
            f"{address.shown}: the server answered {status} {response.reason}".rstrip(),
            hint=_HINTS.get(status, "check the address") if status in _PERMANENT else None,
            permanent=status in _PERMANENT,
        )


class _Adapter(HTTPAdapter):
    """Lets an answer begin with ICY, keeps it on its wire, and trusts the system's certificates besides certifi's."""

    def __init__(self, wire: Wire, *, secure: bool) -> None:
        self._secure = secure
        self._pools = _pools(wire)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as requests has it
        if self._secure:
            kwargs["ssl_context"] = _trust()
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests has it
        if self._secure:
            kwargs["ssl_context"] = _trust()
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(wire: Wire) -> dict[str, type[HTTPConnectionPool]]:
    """Pools whose connections read answers from the wire."""
    answer = staticmethod(partial(Answer, wire=wire))
    plain = type("_Plain", (HTTPConnection,), {"response_class": answer})
    secure = type("_Secure", (HTTPSConnection,), {"response_class": answer})
    return {
        "http": type("_PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }


def _trust() -> ssl.SSLContext:
    """What the system trusts; requests adds certifi's certificates to it."""
    return ssl.create_default_context()


def _refused(address: Address, error: Exception) -> SourceFault:
    """What a failed request is called, without the error's own text (it may hold a password)."""
    text = str(error)
    if any(said in text for said in _NO_TLS):
        words = "the server does not speak TLS at this port"
        return SourceFault(GapCause.REFUSED, f"{address.shown}: {words}", hint="http:// instead of https:// may do")
    if isinstance(error, requests.exceptions.SSLError):
        why = next((said for said in _CERTIFICATE if said in text), None)
        words = f"the server's certificate is not accepted{f' ({why})' if why else ''}"
        hint = "check the box's clock; a certificate of your own has to be installed in the system"
        return SourceFault(GapCause.REFUSED, f"{address.shown}: {words}", hint=hint)
    if isinstance(error, requests.exceptions.InvalidURL | UnicodeError):
        return SourceFault(GapCause.REFUSED, f"{address.shown}: this is no address", permanent=True)
    said = next((known for known in _SAYINGS if known in text), None)
    if said is None and ("BadStatusLine" in text or "Remote end closed" in text or "reset by peer" in text):
        said = "the server hung up or does not speak HTTP"
    said = said or f"the connection failed ({type(error).__name__})"
    return SourceFault(GapCause.REFUSED, f"{address.shown}: cannot connect: {said}")


def _said(error: Exception) -> str:
    """Why a connection broke: the innermost reason, in few words."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return type(error).__name__ if isinstance(error, ValueError) else str(error) or type(error).__name__


def _as_sent(location: str) -> str:
    """A Location as the server wrote it: UTF-8, where http.client took it for Latin-1."""
    try:
        return urllib.parse.quote(location.encode("latin-1").decode(), safe="%/:=&?~#+!$,;'@()*[]")
    except UnicodeError:
        return location
