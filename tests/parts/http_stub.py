"""A small web server for the answers that a good stream server never gives."""

from __future__ import annotations

import contextlib
import http.server
import re
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

# The first two pages of an Ogg Speex stream: a codec that nobody records, and no sound.
_OGG = (
    b"OggS\0\2" + bytes(8) + b"\1\0\0\0" + bytes(4) + b"\x22\xde\xb6\x45" + b"\1\x50" + b"Speex   " + bytes(72)
    + b"OggS\0\0" + bytes(8) + b"\1\0\0\0" + b"\1\0\0\0" + b"\xaf\xa3\x47\x33" + b"\1\x50" + bytes(80)
)  # fmt: skip
_HTML = b"<!doctype html><html><head><title>Studio</title></head><body><h1>Stream is down</h1></body></html>"


class Seen(NamedTuple):
    """One request that came in."""

    path: str
    headers: dict[str, str]


class Page(NamedTuple):
    """One answer of the server: ranges of it are served too."""

    content_type: str
    body: bytes


class Talk:
    """What a script says to one client: raw bytes, from the status line on."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.path = handler.path

    def send(self, data: bytes) -> None:
        """Send bytes as they are; ConnectionError when the client has gone, which ends the script quietly."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def wait(self, seconds: float) -> bool:
        """Wait for the stub to stop, at most so long; whether it does."""
        return self._handler.server.stopping.wait(seconds)

    def reset(self) -> None:
        """End the connection as a server that dies: with RST."""
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(connection.detach())


Script = Callable[[Talk], None]


class HttpStub:
    """A web server in a thread.

    `/html` is a page with status 200, `/missing` (and any unknown path) is 404, `/ogg` is Ogg Speex under
    the type audio/mpeg, `/dead` sends headers of an MP3 stream and then nothing until `stop()`. More pages
    can be given; HEAD and single byte ranges are answered as a file server would. `scripts` are paths at which a
    function says what it likes instead.
    """

    def __init__(
        self,
        pages: Mapping[str, Page] | None = None,
        scripts: Mapping[str, Script] | None = None,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host, self.tls = host, tls
        self.scripts = dict(scripts or {})
        self.pages = {"/html": Page("text/html", _HTML), "/ogg": Page("audio/mpeg", _OGG)}
        self.pages.update(pages or {})
        self.seen: list[Seen] = []
        self.stopping = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port it listens on, chosen by the kernel at the start."""
        if self._server is None:
            raise AssertionError("the stub server was not started")
        return int(self._server.server_address[1])

    def url(self, path: str) -> str:
        """Return the address of one of its pages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}{path}"

    def start(self) -> Self:
        """Start to serve."""
        self.stopping.clear()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="HTTP stub", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """End every answer and close the port."""
        self.stopping.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join(timeout=10)
            # Joins the threads of the requests too, so no socket is left to the garbage collector.
            self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = False
    block_on_close = True

    def __init__(self, stub: HttpStub) -> None:
        self.pages, self.scripts, self.seen = stub.pages, stub.scripts, stub.seen
        self.stopping = stub.stopping
        self.address_family = socket.AF_INET6 if ":" in stub.host else socket.AF_INET
        super().__init__((stub.host, 0), _Handler)
        if stub.tls is not None:
            self.socket = stub.tls.wrap_socket(self.socket, server_side=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    # HTTP/1.0: one request per connection, so no handler waits for a next one while the server stops.
    protocol_version = "HTTP/1.0"
    server: _Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *_: object) -> None:
        """Say nothing: the requests are in `HttpStub.seen`."""

    def _answer(self, *, with_body: bool) -> None:
        self.server.seen.append(Seen(self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = self.path.split("?", 1)[0]
        # A client that hangs up in the middle of an answer is no failure of the stub.
        with contextlib.suppress(ConnectionError):
            if path in self.server.scripts:
                self.server.scripts[path](Talk(self))
            elif path == "/dead":
                self._die(with_body=with_body)
            elif path in self.server.pages:
                self._send_page(self.server.pages[path], with_body=with_body)
            else:
                self.send_error(404)

    def _die(self, *, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/mpeg")
        self.end_headers()
        self.wfile.flush()
        if with_body:
            self.server.stopping.wait()

    def _send_page(self, page: Page, *, with_body: bool) -> None:
        first, last, size = 0, len(page.body) - 1, len(page.body)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is not None:
            first = int(asked[1])
            last = min(int(asked[2] or last), last)
            if first > last:
                self.send_error(416)
                return
        self.send_response(200 if asked is None else 206)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        if asked is not None:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if with_body:
            self.wfile.write(page.body[first : last + 1])
