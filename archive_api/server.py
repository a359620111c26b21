"""uvicorn, wired: sockets bound by ourselves, one log line a thing, a prompt end."""

import asyncio
import errno
import logging
import signal
import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from agent.errors import IsrError

_BACKLOG = 128
_LAST_WAIT_S = 1
"""How long an answer under way may take to leave once the program has been asked to end."""

_log = logging.getLogger(__name__)


class ListenError(IsrError):
    """The address cannot be listened on."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of `host`; ListenError where one is taken or there is none."""
    addresses = dict.fromkeys((info[0], info[4]) for info in _addresses(host, port))
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    for family, address in addresses:
        try:
            listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
            # Accepted sockets inherit it. asyncio sets it only on sockets that say they are TCP, and without it every
            # short answer waits 40 ms for an acknowledgement.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append(listener)
        except OSError as error:
            refused = error
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # localhost without IPv6 is well
                break
    else:
        if sockets:
            return sockets
    for bound in sockets:
        bound.close()
    raise _listen_error(host, port, refused)


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]
    except OSError as error:
        raise ListenError(f"archive.host {host!r} is no address of this machine: {error.strerror}") from error


def _listen_error(host: str, port: int, refused: OSError | None) -> ListenError:
    if refused is not None and refused.errno == errno.EADDRINUSE:
        return ListenError(
            f"port {port} on {host} is taken by another program",
            hint=f"set archive.port to a free one, or see who has it with: ss -ltnp sport = :{port}",
        )
    if refused is not None and refused.errno == errno.EACCES:
        return ListenError(f"port {port} is not allowed to this user", hint="set archive.port to one above 1023")
    return ListenError(f"cannot listen on {host} port {port}: {refused.strerror if refused else 'no address'}")


class _Server(uvicorn.Server):
    """Tells the open streams when the end has come; uvicorn alone would wait for them."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams first, then everything else; what a slow client has not taken by then is dropped."""
        self._stopping.set()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class EndSignals:
    """SIGTERM and SIGINT, heard from now on: before there is a server, and when uvicorn raises them once more after its
    end."""

    def __init__(self) -> None:
        self._server: uvicorn.Server | None = None
        self._heard = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def end(self, server: uvicorn.Server) -> None:
        """Whom to end; at once, where a signal was heard already."""
        self._server = server
        server.should_exit = self._heard

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._heard = True
        if self._server is not None:
            self._server.should_exit = True


def serve(app: ASGIApp, sockets: list[socket.socket], stopping: asyncio.Event, signals: EndSignals) -> None:
    """Answer requests until one of `signals`; `stopping` is set then."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_LAST_WAIT_S,
        ws="none",
    )
    server = _Server(config, stopping)
    signals.end(server)
    server.run(sockets=sockets)


def set_up_logging() -> None:
    """Plain lines to stderr; uvicorn speaks up only where something is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s", force=True)
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.setLevel(logging.WARNING)
    uvicorn_log.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether nobody has said it yet: an answer that breaks off is told of, with its reason, where it does."""
    text = record.getMessage()
    return "without completing response" not in text and "graceful shutdown exceeded" not in text
