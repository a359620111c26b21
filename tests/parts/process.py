"""Child processes of the tests: started when ready, logged to a file, and never left behind."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.parts.waiting import wait_until

_given_ports: set[int] = set()


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on.

    It lies below the kernel's range for outgoing connections (32768 and up). Otherwise some client could be
    given the port while a server is down between two starts, and the restart would fail now and then.
    """
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            # As servers do; without it a port with connections in TIME_WAIT counts as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port
    raise AssertionError("no free TCP port found")


def port_answers(port: int) -> bool:
    """Tell whether somebody accepts connections on this port of the loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def program(name: str, package: str) -> str:
    """Return the path of a real program, or fail the test and name the Debian package that has it.

    The sbin folders are searched too: Debian leaves them out of the PATH of ordinary users.
    """
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if path is None:
        raise AssertionError(f"{name} is missing, and tests use the real one: apt-get install {package}")
    return path


class Part:
    """One child process in its own process group, with its output in a log file.

    `setpriv --pdeathsig KILL` makes the kernel end the child when pytest is killed. The kernel watches the
    *thread* that started the child, so start parts from the main thread, or from one that outlives them.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        package: str,
        log: Path,
        ready: Callable[[], object] | None = None,
        ready_timeout_s: float = 15.0,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: Path | None = None,
        user_group: tuple[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name or argv[0]
        self.log = log
        self._argv = tuple(argv)
        self._package = package
        self._ready = ready
        self._ready_timeout_s = ready_timeout_s
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._stdin = stdin
        self._user_group = user_group
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the program itself (setpriv replaces itself by it)."""
        if self._process is None:
            raise AssertionError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive at this moment."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """The exit status, or None while it runs or before it was started."""
        return None if self._process is None else self._process.poll()

    def log_text(self) -> str:
        """Return everything the process wrote to stdout and stderr, over all its starts."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def start(self) -> Self:
        """Start the process and return once it is ready; on failure its log is in the message."""
        if self.running:
            raise AssertionError(f"{self.name} is running already")
        path = program(self._argv[0], self._package)
        prefix = [program("setpriv", "util-linux"), "--pdeathsig", "KILL"]
        if self._user_group is not None:
            user, group = self._user_group
            prefix += [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as files:
            log = files.enter_context(self.log.open("ab"))
            stdin = files.enter_context((self._stdin or Path(os.devnull)).open("rb"))
            self._process = subprocess.Popen(
                [*prefix, path, *self._argv[1:]],
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                process_group=0,
            )
        try:
            if self._ready is not None:
                self.wait_for(self._ready, self._ready_timeout_s, "its readiness")
        except BaseException:
            self.kill()
            raise
        return self

    def wait_for(self, condition: Callable[[], object], timeout_s: float, what: str) -> None:
        """Wait for a condition, but no longer than the process lives."""

        def met_or_dead() -> bool:
            return bool(condition()) or not self.running

        try:
            wait_until(met_or_dead, timeout_s, f"{what} of {self.name}")
            if not self.running and not condition():
                raise AssertionError(f"{self.name} ended with {self.returncode} before {what}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- {self.log}\n{self.log_text()[-4000:]}") from None

    def wait_for_end(self, timeout_s: float) -> int:
        """Wait until the process ends by itself and return its exit status."""
        wait_until(lambda: not self.running, timeout_s, f"the end of {self.name}")
        return self._collect()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone (SIGSTOP and SIGCONT make it hang and go on)."""
        os.kill(self.pid, number)

    def stop(self, timeout_s: float = 10.0) -> int | None:
        """End the process group politely, then by force; return the exit status, None if never started."""
        if self._process is None:
            return None
        if self.running:
            # A stopped process would take notice of SIGTERM only once it is continued.
            for number in (signal.SIGTERM, signal.SIGCONT):
                self._signal_group(number)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not self.running, timeout_s, f"{self.name} to stop")
        return self.kill()

    def kill(self) -> int | None:
        """End the whole process group at once, as a crash or a power cut would."""
        if self._process is None:
            return None
        # The group is signalled even when its leader is dead: children of the leader may be left.
        self._signal_group(signal.SIGKILL)
        return self._collect()

    def restart(self) -> Self:
        """Stop and start again with the same arguments."""
        self.stop()
        return self.start()

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _collect(self) -> int:
        if self._process is None:
            raise AssertionError(f"{self.name} was not started")
        return self._process.wait(timeout=10)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
