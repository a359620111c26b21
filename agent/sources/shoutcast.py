"""Answers of SHOUTcast v1, which begin with `ICY 200 OK`, read by Python's http.client; and how long they may take."""

import contextlib
import http.client
import io
import socket
import threading

from agent import clock

READ_S = 10.0
"""After so long without a byte a server counts as stalled."""


class Wire:
    """The socket of one request: how long the answer may take in all, and a way to break off from another thread.

    `deadline_s` is on the monotonic clock. It counts until `relax`: a server that sends a byte now and then would
    otherwise keep us waiting for ever.
    """

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s: float | None = deadline_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._reader: io.IOBase | None = None
        self._hung_up = False

    @property
    def is_late(self) -> bool:
        """Whether the answer has taken too long."""
        return self._deadline_s is not None and clock.monotonic_s() >= self._deadline_s

    def relax(self) -> None:
        """From now on only a pause of `READ_S` is too long."""
        self._deadline_s = None
        self._may_take(READ_S)

    def attach(self, connected: socket.socket, reader: io.IOBase) -> None:
        """The socket that the answer will come from, and what reads it."""
        with self._lock:
            self._socket, self._reader = connected, reader
            late = self._hung_up
        if late:
            self.hang_up()

    def let_go(self) -> None:
        """Close what reads: urllib3 forgets it where it does not like the headers."""
        if self._reader is not None:
            self._reader.close()

    def hang_up(self) -> None:
        """Make whoever reads see the end; at once, from any thread."""
        with self._lock:
            self._hung_up = True
            connected = self._socket
        if connected is not None:
            with contextlib.suppress(OSError):  # it may be closed already
                connected.shutdown(socket.SHUT_RDWR)

    def before_read(self) -> None:
        """Raise TimeoutError where time is up; else the next read may take what is left of it."""
        if self._deadline_s is None:
            return
        left_s = self._deadline_s - clock.monotonic_s()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        self._may_take(min(READ_S, left_s))

    def _may_take(self, seconds: float) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed when all of a short answer has come
                self._socket.settimeout(seconds)


class Answer(http.client.HTTPResponse):
    """An answer that may begin in SHOUTcast's way, read from a wire."""

    def __init__(self, connected: socket.socket, *, wire: Wire, method: str | None = None) -> None:
        super().__init__(connected, method=method)
        whole = self.fp
        assert isinstance(whole, io.BufferedReader)
        raw = whole.detach()
        assert isinstance(raw, io.RawIOBase)
        self.fp = _Lines(_Watched(raw, wire))
        wire.attach(connected, self.fp)


class _Watched(io.RawIOBase):
    """The bytes of a socket, as long as there is time."""

    def __init__(self, raw: io.RawIOBase, wire: Wire) -> None:
        self._raw, self._wire = raw, wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]  # what the base calls Buffer
        self._wire.before_read()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """Says HTTP where the first line says ICY."""

    _is_first = True

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if self._is_first:
            self._is_first = False
            if line.startswith(b"ICY "):
                return b"HTTP/1.0 " + line[4:]
        return line
