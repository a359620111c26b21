"""Runs a child process and watches what it says. The child ends with the agent, however the agent ends."""

import os
import selectors
import signal
import subprocess
from types import TracebackType
from typing import Self

_READ_BYTES = 1 << 16
_TERMINATED_WITHIN_S = 1.0


class Child:
    """A child in its own process group, its stdout and stderr in one select.

    The kernel kills it when the thread that made this object ends (PR_SET_PDEATHSIG follows the thread), so that
    thread has to be the one that reads. setpriv sets that up between fork and exec, where Python code is not safe.
    """

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            env={**os.environ, "LC_ALL": "C"},
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdout, self._stderr = self._process.stdout.fileno(), self._process.stderr.fileno()
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._stdout, self._stderr):
            self._selector.register(descriptor, selectors.EVENT_READ)

    def read(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        """What stdout and stderr have said since; None when neither said anything in time.

        Both empty means that both have ended.
        """
        open_ends = self._selector.get_map()
        if not open_ends:
            return b"", b""
        # After a pause of the whole process the time is up although data waits: look once more before saying so.
        ready = self._selector.select(timeout_s) or self._selector.select(0)
        if not ready:
            return None
        said = {self._stdout: b"", self._stderr: b""}
        for key, _ in ready:
            data = os.read(key.fd, _READ_BYTES)
            if not data:
                self._selector.unregister(key.fd)
            said[key.fd] = data
        if not any(said.values()):
            return self.read(timeout_s)
        return said[self._stdout], said[self._stderr]

    def terminate(self) -> None:
        """Ask it to end; what it has written can still be read. From any thread."""
        self._signal(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it for certain, with everything it has started, and give its descriptors back."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(_TERMINATED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return  # it ended between the two lines
