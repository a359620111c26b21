"""A second listener on a stream, as plain as can be: what it got is what was sent."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple, Self

from tests.parts.waiting import wait_until


class Arrival(NamedTuple):
    """One read: when it came, on two clocks, and how many bytes there were in all after it."""

    mono_ns: int
    wall_ns: int
    total: int


class RawCapture:
    """A thread that GETs a stream (without Icy-MetaData unless asked) and keeps every byte with its time."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 20) -> None:
        self.url = url
        self.status = 0
        self.response_headers: dict[str, str] = {}
        self.arrivals: list[Arrival] = []
        self._request_headers = dict(headers or {})
        self._timeout_s = timeout_s
        self._data = bytearray()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._response: http.client.HTTPResponse | None = None
        self._thread = threading.Thread(target=self._run, name=f"capture of {url}", daemon=True)
        self._ended = threading.Event()

    @property
    def data(self) -> bytes:
        """All bytes of the body so far."""
        with self._lock:
            return bytes(self._data)

    @property
    def ended(self) -> bool:
        """Whether the stream came to an end, by the server or by `stop()`."""
        return self._ended.is_set()

    def start(self) -> Self:
        """Connect and return once the answer's headers are there; the body is collected in the background."""
        address = urllib.parse.urlsplit(self.url)
        path = address.path + (f"?{address.query}" if address.query else "")
        connection = http.client.HTTPConnection(address.netloc, timeout=self._timeout_s)
        try:
            connection.connect()
            # Kept apart, because http.client lets go of its own reference when the length is not known.
            self._socket = connection.sock
            connection.request("GET", path, headers=self._request_headers)
            self._response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        self.status = self._response.status
        self.response_headers = {name.lower(): value for name, value in self._response.getheaders()}
        self._thread.start()
        return self

    def wait_for_bytes(self, count: int, timeout_s: float) -> None:
        """Wait until this many bytes of the body have come."""
        wait_until(lambda: len(self._data) >= count, timeout_s, f"{count} bytes of {self.url}")

    def stop(self) -> bytes:
        """Hang up and return everything that came."""
        if self._socket is not None and self._response is not None:
            with contextlib.suppress(OSError):
                # Wakes the reader at once; closing the socket under it would not.
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join(timeout=self._timeout_s + 5)
            self._response.close()
            self._socket.close()
        return self.data

    def _run(self) -> None:
        response = self._response
        if response is None:
            raise AssertionError("started without an answer")
        try:
            while chunk := response.read1(16384):
                mono_ns, wall_ns = time.monotonic_ns(), time.time_ns()
                with self._lock:
                    self._data += chunk
                    self.arrivals.append(Arrival(mono_ns, wall_ns, len(self._data)))
        except (OSError, http.client.HTTPException):
            # A server that hangs up in mid-stream is an ordinary end here; the bytes tell the story.
            pass
        finally:
            self._ended.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
