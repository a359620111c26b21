"""A TCP proxy that breaks off its connections as planned."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from tests.parts.waiting import wait_until

_POLL_S = 0.05


@dataclass(frozen=True)
class Cut:
    """When a connection breaks off: so long after it was made, or once so many bytes have come from the server.

    A `hard` one resets the connection, and what was on its way is lost; the other ends it in good order.
    """

    after_s: float = float("inf")
    after_bytes: int = 1 << 62
    hard: bool = False


@dataclass
class Passed:
    """One connection: when it was made and ended (time.time), and all that went to the client."""

    made_s: float
    ended_s: float = float("inf")
    data: bytearray = field(default_factory=bytearray)


class CuttingProxy:
    """Forwards a port of the loopback to another one. The first connections break off by `cuts`, later ones do not."""

    def __init__(self, target_port: int, cuts: Iterable[Cut] = ()) -> None:
        self._target_port = target_port
        self._cuts = list(cuts)
        self.passed: list[Passed] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name=f"proxy {self.port}", daemon=True)]

    def wait_for_connections(self, count: int, timeout_s: float) -> None:
        """Wait until so many connections have been made in all."""
        wait_until(lambda: len(self.passed) >= count, timeout_s, f"connection {count} through the proxy", poll_s=0.05)

    def start(self) -> Self:
        """Begin to accept connections."""
        self._threads[0].start()
        return self

    def stop(self) -> None:
        """End all connections, and with them the threads."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        self._listener.settimeout(_POLL_S)
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            number = len(self.passed)
            passed = Passed(time.time())
            self.passed.append(passed)
            cut = self._cuts[number] if number < len(self._cuts) else Cut()
            thread = threading.Thread(target=self._forward, args=(client, passed, cut), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _forward(self, client: socket.socket, passed: Passed, cut: Cut) -> None:
        deadline_s = time.monotonic() + cut.after_s
        with client, socket.create_connection(("127.0.0.1", self._target_port)) as server:
            server.settimeout(_POLL_S)
            client.settimeout(_POLL_S)
            with contextlib.suppress(OSError):
                while not self._stopping.is_set() and time.monotonic() < deadline_s:
                    left = cut.after_bytes - len(passed.data)
                    if left <= 0 or not self._step(client, server, passed, left):
                        break
            passed.ended_s = time.time()
            if cut.hard:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @staticmethod
    def _step(client: socket.socket, server: socket.socket, passed: Passed, most: int) -> bool:
        """Hand on what there is; False at the end. Only the client's first words matter, so it is heard until then."""
        if not passed.data:
            with contextlib.suppress(TimeoutError):
                asked = client.recv(65536)
                if not asked:
                    return False
                server.sendall(asked)
        try:
            data = server.recv(min(16384, most))
        except TimeoutError:
            return True
        if not data:
            return False
        client.settimeout(None)
        client.sendall(data)
        passed.data += data
        return True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
