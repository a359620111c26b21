"""scripts/run --lan: the page for the whole network, and only with a password."""

from __future__ import annotations

import http.client
import os
import re
import socket
import stat
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.process import Part, free_port, program
from tests.parts.waiting import wait_until
from tests.test_scripts import ROOT


class LanProduct:
    """`scripts/run --lan` in a folder of its own; `terminal` puts a person's terminal before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a folder"
        self.page_port = free_port()
        self.log = folder / "run.log"
        self.password_file = self.folder / "secrets/archive"
        self.part: Part | None = None

    def start(self, *, lan: bool = True, terminal: bool = False) -> str:
        """Start it; what it says from then on."""
        said = len(self.text)
        argv = [str(ROOT / "scripts/run"), "--dir", str(self.folder), *(["--lan"] if lan else [])]
        if terminal:
            line = " ".join(f"'{word}'" for word in argv)
            argv = [program("script", "bsdutils"), "--quiet", "--flush", "--return", "--command", line, "/dev/null"]
        self.part = Part(
            argv,
            package="isr-edge",
            log=self.log,
            ready=lambda: "Ctrl-C stops" in self.text[said:],
            ready_timeout_s=120,
        )
        self.part.start()
        return self.text[said:]

    def stop(self) -> None:
        if self.part is not None:
            self.part.stop(timeout_s=40)
            wait_until(lambda: not self.processes(), 40, "the end of every process")

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def configure(self, archive: str) -> str:
        """A configuration without a broker; its text."""
        text = (
            "agent: {id: shed}\nsources: [{id: test, type: test}]\n"
            f"archive:\n  port: {self.page_port}\n" + "".join(f"  {line}\n" for line in archive.splitlines())
        )
        self.folder.mkdir()
        (self.folder / "config.yaml").write_text(text)
        return text

    def processes(self) -> list[str]:
        """The command lines of everything that was started for this folder."""
        listing = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listing.splitlines() if str(self.folder) in line]


@pytest.fixture
def product(tmp_path: Path) -> Iterator[LanProduct]:
    made = LanProduct(tmp_path)
    yield made
    made.stop()


def other_addresses() -> list[str]:
    """This machine's IPv4 addresses besides the loopback's."""
    done = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True)
    return [address for address in done.stdout.split() if ":" not in address]


def get(host: str, port: int, login: tuple[str, str] | None = None, path: str = "/") -> int:
    headers = {} if login is None else {"Authorization": "Basic " + b64encode(":".join(login).encode()).decode()}
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_network_gets_the_page_with_the_generated_password(product: LanProduct) -> None:
    config = product.configure("host: 127.0.0.1")
    said = product.start()
    password = product.password_file.read_text().strip()
    assert product.processes()
    assert password not in "\n".join(product.processes())
    assert len(password) >= 16
    assert stat.S_IMODE(product.password_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(product.password_file.parent.stat().st_mode) == 0o700
    for host in ("127.0.0.1", *other_addresses()):
        assert get(host, product.page_port) == 401
        assert get(host, product.page_port, ("isr", "wrong")) == 401
        assert get(host, product.page_port, ("isr", password)) == 200
        assert get(host, product.page_port, path="/healthz") == 200
    for address in other_addresses():
        assert f"http://{address}:{product.page_port}/\n" in said
    assert f"user isr, password: see {product.password_file}\n" in said
    assert (product.folder / "config.yaml").read_text() == config

    product.stop()
    product.start()
    assert product.password_file.read_text().strip() == password
    assert get("127.0.0.1", product.page_port, ("isr", password)) == 200
    assert password not in product.text, "a log is no terminal"


def test_a_person_at_the_terminal_sees_the_new_password_once(product: LanProduct) -> None:
    product.configure("")
    said = product.start(terminal=True)
    password = product.password_file.read_text().strip()
    assert f"shown this once: {password}\n" in said
    assert said.count(password) == 1
    product.stop()
    assert password not in product.start(terminal=True)


def test_without_lan_it_is_this_box_alone(product: LanProduct) -> None:
    product.configure("")
    said = product.start(lan=False)
    assert set(re.findall(r"http://\S+", said)) == {f"http://127.0.0.1:{product.page_port}/"}
    assert get("127.0.0.1", product.page_port) == 200
    assert not product.password_file.exists()
    for address in other_addresses():
        with pytest.raises(ConnectionRefusedError):
            get(address, product.page_port)


def test_a_user_and_an_address_of_the_configuration_stay(product: LanProduct) -> None:
    product.configure("auth: basic\nusername: me\npassword: own word\nhost: '::1'")
    said = product.start()
    assert f"user me, password: see {product.folder}/config.yaml\n" in said
    assert "own word" not in said
    assert not product.password_file.exists()
    assert get("127.0.0.1", product.page_port) == 401
    assert get("127.0.0.1", product.page_port, ("me", "own word")) == 200
    product.stop()
    said = product.start(lan=False)
    assert f"http://[::1]:{product.page_port}/\n" in said
    assert get("::1", product.page_port, ("me", "own word")) == 200


def test_the_port_is_free_on_the_whole_network(product: LanProduct) -> None:
    """Another program has it on an address that is not the loopback's."""
    for address in other_addresses()[:1]:
        product.configure("")
        with socket.create_server((address, product.page_port)):
            said = product.start()
        assert f"Port {product.page_port} is taken" in said


def test_an_unknown_option_is_told() -> None:
    done = subprocess.run([ROOT / "scripts/run", "--wan"], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (1, "Usage: scripts/run [--dir DIR] [--lan]\n")
    assert os.access(ROOT / "scripts/run", os.X_OK)
