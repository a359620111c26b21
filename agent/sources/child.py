"""Runs a child process and watches what it says. The child ends with the agent, however the agent ends."""

import fcntl
import logging
import os
import select
import selectors
import signal
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Self

_log = logging.getLogger(__name__)
_PIPE_BYTES = _READ_BYTES = 1 << 20
"""As much as Linux lets anybody have (pipe(7))."""
_TERMINATED_WITHIN_S = _KILLED_WITHIN_S = 1.0


class Child:
    """A child in its own process group, its stdout and stderr in one select.

    The kernel kills it when the thread that made this object ends (PR_SET_PDEATHSIG follows the thread), so that
    thread has to be the one that reads. setpriv sets that up between fork and exec, where Python code is not safe.
    `env` is what its environment has unless ours says otherwise.
    """

    def __init__(self, command: list[str], **env: str) -> None:
        self._name, self._given_up = command[0], False
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            env={**env, **os.environ, "LC_ALL": "C"},
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdout, self._stderr = self._process.stdout.fileno(), self._process.stderr.fileno()
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._stdout, self._stderr):
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._words = select.poll()
        self._words.register(self._stderr, select.POLLIN)
        with suppress(PermissionError):  # where the box gives no more, the pipe stays as it is
            fcntl.fcntl(self._stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

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

    @property
    def pipe_bytes(self) -> int:
        """How much of what it writes waits for us before it has to wait itself."""
        return fcntl.fcntl(self._stdout, fcntl.F_GETPIPE_SZ)

    def await_words(self, timeout_s: float) -> None:
        """Wait until it says something on stderr, or ends, or the time is up; what it writes meanwhile waits."""
        if self._stderr in self._selector.get_map():
            self._words.poll(timeout_s * 1000)

    def terminate(self) -> None:
        """Ask it to end; what it has written can still be read. From any thread."""
        self._signal(signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it for certain, with everything it has started, and give its descriptors back."""
        self.end(_TERMINATED_WITHIN_S)
        self._selector.close()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def end(self, within_s: float) -> None:
        """End it: SIGTERM, and SIGKILL where it takes no notice for so long.

        One that hangs in the kernel outlives even that, until its driver lets go of it. It is left behind: whoever
        waits for it would hang as well.
        """
        if self._given_up:
            return
        for number, patience_s in ((signal.SIGTERM, within_s), (signal.SIGKILL, _KILLED_WITHIN_S)):
            self._signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
                return
        self._given_up = True
        _log.error("process %d (%s) hangs in the kernel and cannot be ended", self._process.pid, self._name)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return  # it ended between the two lines
