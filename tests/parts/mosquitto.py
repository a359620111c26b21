"""A real mosquitto broker with users and an optional ACL, and real clients of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from tests.parts.process import Part, free_port, port_answers, program
from tests.parts.waiting import wait_until

_CLIENTS = "mosquitto-clients"


class Message(NamedTuple):
    """One message as a subscriber got it; `wall_s` is the wall clock at which it arrived."""

    topic: str
    payload: bytes
    retain: bool
    qos: int
    wall_s: float


class Broker:
    """mosquitto on a loopback port; nobody gets in without a password, and its state survives a restart."""

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl_text: str | None = None,
        config_lines: Iterable[str] = (),
        port: int | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.users = dict(users) if users is not None else {"tester": "tester-password"}
        self._listeners = 0
        self._starts = 0
        self._write_passwords()
        self._write_config(acl_text, config_lines)
        self.part = Part(
            ["mosquitto", "-c", str(folder / "mosquitto.conf")],
            package="mosquitto",
            log=folder / "mosquitto.log",
            ready=self._is_ready,
        )

    def start(self) -> Self:
        """Start the broker and return once it accepts connections."""
        self._starts = self.part.log_text().count(" running\n")
        self.part.start()
        return self

    def stop(self) -> None:
        """Stop the broker; it saves retained messages and sessions."""
        self.part.stop()

    def kill(self) -> None:
        """End the broker as a crash would: what it had not saved is gone."""
        self.part.kill()

    def restart(self) -> Self:
        """Stop and start on the same port with the same folder."""
        self.stop()
        return self.start()

    def publish(
        self,
        topic: str,
        payload: bytes | str,
        *,
        user: str | None = None,
        retain: bool = False,
        qos: int = 1,
    ) -> None:
        """Publish through the real mosquitto_pub; a refusal by the broker (login or ACL) is an AssertionError.

        MQTT 5 is spoken because only there the broker tells a publisher that the ACL refused the message.
        """
        data = payload.encode() if isinstance(payload, str) else payload
        done = self._mosquitto_pub(
            ["-t", topic, "-q", str(qos), *(["-r"] if retain else []), *(["-s"] if data else ["-n"])],
            self._login(user),
            data,
        )
        if done.returncode != 0 or b"failed" in done.stderr:
            raise AssertionError(f"publish to {topic} refused: {done.stderr.decode().strip()}")

    def accepts(self, user: str | None, password: str | None) -> bool:
        """Tell whether a login works; None for both is an anonymous client."""
        login = [] if user is None else ["-u", user]
        login += [] if password is None else ["-P", password]
        done = self._mosquitto_pub(["-t", "login-probe", "-n", "-q", "0"], login, b"")
        refused = b"not authori" in done.stderr.lower()
        if done.returncode != 0 and not refused:
            raise AssertionError(f"mosquitto_pub failed otherwise: {done.stderr.decode().strip()}")
        return not refused

    def listen(self, *topics: str, user: str | None = None, qos: int = 1, as_published: bool = False) -> Listener:
        """Start a subscriber and return once the broker has confirmed its subscriptions."""
        self._listeners += 1
        listener = Listener(self, topics, self._login(user), qos, self._listeners, as_published)
        return listener.start()

    def _login(self, user: str | None) -> list[str]:
        name = user if user is not None else next(iter(self.users))
        return ["-u", name, "-P", self.users[name]]

    def _mosquitto_pub(self, arguments: list[str], login: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
        path = program("mosquitto_pub", _CLIENTS)
        where = ["-h", self.host, "-p", str(self.port), "-V", "5"]
        return subprocess.run(
            [path, *where, *login, *arguments], input=data, capture_output=True, timeout=20, check=False
        )

    def _is_ready(self) -> bool:
        # The log line tells our broker from a stranger that happens to hold the port.
        return self.part.log_text().count(" running\n") > self._starts and port_answers(self.port)

    def _write_passwords(self) -> None:
        passwords = self.folder / "passwords"
        passwords.write_text("".join(f"{name}:{word}\n" for name, word in self.users.items()))
        passwords.chmod(0o600)
        hash_them = [program("mosquitto_passwd", "mosquitto"), "-U", str(passwords)]
        subprocess.run(hash_them, check=True, capture_output=True, timeout=20)

    def _write_config(self, acl_text: str | None, config_lines: Iterable[str]) -> None:
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        lines = [
            "allow_anonymous false",
            f"password_file {self.folder / 'passwords'}",
            "persistence true",
            f"persistence_location {state}/",
            "log_dest stderr",
            "log_type all",
        ]
        if os.geteuid() == 0:
            # Otherwise it becomes the user mosquitto, who cannot read pytest's folders (mode 0700).
            lines.append("user root")
        if acl_text is not None:
            acl = self.folder / "acl"
            acl.write_text(acl_text)
            acl.chmod(0o600)
            lines.append(f"acl_file {acl}")
        lines.append(f"listener {self.port} {self.host}")
        lines.extend(config_lines)
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Listener:
    """A real mosquitto_sub in the background; its messages are read back from its log file.

    A restart of the broker does not end it: mosquitto_sub connects again by itself, after a second or so.
    The payload comes in hexadecimal and the topic last, so no payload can be mistaken for anything else.
    With `as_published`, `retain` tells how live messages were published; without, it marks only the stored
    ones that a subscriber gets at first (the plain rule of MQTT).
    """

    _MARK = "MESSAGE "

    def __init__(
        self,
        broker: Broker,
        topics: tuple[str, ...],
        login: list[str],
        qos: int,
        number: int,
        as_published: bool,
    ) -> None:
        self._topics = topics
        # Into a file, mosquitto_sub would say only with its first message that it is subscribed.
        arguments = [
            "stdbuf",
            "-oL",
            program("mosquitto_sub", _CLIENTS),
            "-h",
            broker.host,
            "-p",
            str(broker.port),
            "-V",
            "5",
            *login,
            "-d",
        ]
        arguments += ["-q", str(qos), "-F", self._MARK + "%U %r %q %x %t"]
        arguments += ["--retain-as-published"] if as_published else []
        for topic in topics:
            arguments += ["-t", topic]
        self.part = Part(
            arguments,
            package="coreutils",
            name="mosquitto_sub",
            log=broker.folder / f"listener-{number}.log",
            ready=lambda: "\nSubscribed (mid: " in self.part.log_text(),
        )

    @property
    def messages(self) -> list[Message]:
        """All messages so far, in the order of their arrival."""
        *lines, _unfinished = self.part.log_text().split("\n")
        return [self._parse(line) for line in lines if line.startswith(self._MARK)]

    def of(self, topic: str) -> list[Message]:
        """Return the messages of one topic so far."""
        return [message for message in self.messages if message.topic == topic]

    def wait_for(self, predicate: Callable[[Message], bool], timeout_s: float, what: str = "a message") -> Message:
        """Return the first message, past or coming, for which the predicate holds."""

        def found() -> list[Message]:
            return [message for message in self.messages if predicate(message)][:1]

        try:
            return wait_until(found, timeout_s, f"{what} on {', '.join(self._topics)}", poll_s=0.02)[0]
        except AssertionError as error:
            last = "\n".join(str(message)[:300] for message in self.messages[-20:])
            raise AssertionError(f"{error}; the last messages were:\n{last}") from None

    def start(self) -> Self:
        """Connect, subscribe, and return once the broker confirmed it.

        mosquitto confirms what the ACL forbids to read as well, and then just sends nothing of it.
        """
        self.part.start()
        return self

    def stop(self) -> None:
        """Disconnect; the messages stay readable."""
        self.part.stop()

    def _parse(self, line: str) -> Message:
        wall, retain, qos, payload, topic = line.removeprefix(self._MARK).split(" ", 4)
        return Message(topic, bytes.fromhex(payload), retain == "1", int(qos), float(wall))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
