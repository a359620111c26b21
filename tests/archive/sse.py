"""A client of server-sent events, written apart from the product's own code (WHATWG HTML, 9.2)."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from tests.parts.waiting import wait_until


@dataclass(frozen=True)
class Heard:
    """One event, and when it came (monotonic seconds)."""

    type: str
    id: str
    data: dict[str, Any]
    at_s: float


class EventStream:
    """One connection; everything heard on it is in `events` and `comments`."""

    def __init__(self, port: int, last_id: str | None = None) -> None:
        self.events: list[Heard] = []
        self.comments: list[str] = []
        self.ended = threading.Event()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        again = "" if last_id is None else f"Last-Event-ID: {last_id}\r\n"
        request = f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n{again}\r\n"
        self._socket.sendall(request.encode())
        self._file = self._socket.makefile("rb")
        head = b"".join(iter(self._file.readline, b"\r\n")).decode("latin-1")
        first, *lines = head.splitlines()
        self.status = int(first.split(" ")[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            rest = b""
            while size := int(self._file.readline() or b"0", 16):  # chunked coding, RFC 9112, 7.1
                rest += self._file.read(size)
                self._file.readline()
                *blocks, rest = rest.split(b"\n\n")
                for block in blocks:
                    self._block(block.decode())
        self.ended.set()

    def _block(self, text: str) -> None:
        fields: dict[str, str] = {}
        for line in text.split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        if "" in fields:
            self.comments.append(fields[""])
        if "data" in fields:
            heard = Heard(fields["event"], fields["id"], json.loads(fields["data"]), time.monotonic())
            self.events.append(heard)

    def of(self, kind: str) -> list[Heard]:
        """What was heard of one type."""
        return [event for event in self.events if event.type == kind]

    def wait(self, kind: str, that: Callable[[dict[str, Any]], object] = lambda _data: True) -> Heard:
        """The first event of the type whose data is as wanted."""

        def matching() -> list[Heard]:
            return [event for event in self.of(kind) if that(event.data)]

        return wait_until(matching, 10, f"the event {kind}")[0]

    def close(self) -> None:
        """Go away without a word."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
