"""The scripts as people start them, and the product as a whole."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.parts.mosquitto import Broker
from tests.parts.process import Part, free_port, program
from tests.parts.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
_SCRIPTS = [ROOT / ".ci/run", *sorted((ROOT / "scripts").iterdir())]

# --- scripts/check and what is shared ---------------------------------------------------------------------------------


@pytest.mark.parametrize("script", _SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_bash_and_can_be_started(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK) == (script.suffix != ".sh")


def test_the_continuous_integration_starts_the_two_commands_and_nothing_else() -> None:
    started = re.findall(r"^\s*(scripts/\S+)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert started == ["scripts/check", "scripts/test"]


def test_check_runs_every_tool_and_fails_where_one_did(tmp_path: Path) -> None:
    checkout = _checkout_with_fake_tools(tmp_path, failing="ruff")
    done = subprocess.run([checkout / "scripts/check"], capture_output=True, text=True, check=False, timeout=60)
    calls = (checkout / "calls").read_text().splitlines()
    assert calls == ["ruff check", "ruff format --check", "mypy ", "lint-imports "]
    assert done.returncode == 1
    assert "Failed: [ruff check] [ruff format --check]" in done.stderr


def test_check_succeeds_where_every_tool_does(tmp_path: Path) -> None:
    checkout = _checkout_with_fake_tools(tmp_path, failing="none")
    subprocess.run([checkout / "scripts/check"], capture_output=True, check=True, timeout=60)


def _checkout_with_fake_tools(tmp_path: Path, *, failing: str) -> Path:
    """A checkout whose virtual environment is up to date and holds tools that only note their calls."""
    checkout = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    shutil.copy(ROOT / "pyproject.toml", checkout)
    tools = checkout / ".venv/bin"
    _write_program(tools / "python", "exit 0")
    for tool in ("ruff", "mypy", "lint-imports"):
        code = 1 if tool == failing else 0
        _write_program(tools / tool, f'echo "{tool} $*" >> "{checkout}/calls"; exit {code}')
    digest = hashlib.sha256((checkout / "pyproject.toml").read_bytes()).hexdigest()
    (checkout / ".venv/.isr-stamp").write_text(f"dev {digest}  - {checkout}\n")
    return checkout


def _write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


class FakeDebian:
    """apt and its company as programs that note their calls, before the real ones on the path."""

    def __init__(self, folder: Path, *, plan: str) -> None:
        self.policy = folder / "policy-rc.d"
        self._bin = folder / "bin"
        self._calls = folder / "calls"
        note = f'echo "${{0##*/}} $*" >> "{self._calls}"'
        _write_program(self._bin / "dpkg-query", "[[ ${!#} == installed ]] && echo -n installed")
        _write_program(
            self._bin / "apt-get",
            f'{note}; [[ $* == *" -s "* ]] && echo "{plan}"\n'
            f'[[ $* == *" -y "* ]] && cat "{self.policy}" >> "{self._calls}"; exit 0',
        )
        files = "/lib/systemd/system/thing.service\n/usr/lib/systemd/user/thing.socket\n/etc/init.d/thing"
        _write_program(self._bin / "dpkg", f'printf "{files}\n"')
        _write_program(self._bin / "systemctl", f"{note}; [[ $* == *is-enabled* ]] && echo enabled; exit 0")
        _write_program(self._bin / "update-rc.d", note)
        _write_program(self._bin / "sudo", '[[ $1 != -n ]] || shift; exec "$@"')

    def need(self, *packages: str, before: str = ":") -> subprocess.CompletedProcess[str]:
        """Call `need_debian` as the scripts do, after the code `before`."""
        script = (
            f"set -euo pipefail; source '{ROOT}/scripts/lib.sh'; POLICY='{self.policy}'; {before}; need_debian \"$@\""
        )
        path = f"{self._bin}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", script, "need", *packages],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": path},
        )

    @property
    def calls(self) -> str:
        return self._calls.read_text() if self._calls.exists() else ""


def test_nothing_is_done_where_every_package_is_there(tmp_path: Path) -> None:
    debian = FakeDebian(tmp_path, plan="")
    assert debian.need("installed").returncode == 0
    assert debian.calls == ""


def test_packages_are_refused_that_would_remove_others(tmp_path: Path) -> None:
    debian = FakeDebian(tmp_path, plan="Remv pipewire-alsa [0.3.65-3]\nInst pulseaudio (16.1)")
    done = debian.need("installed", "pulseaudio")
    assert done.returncode == 1
    assert "would remove pipewire-alsa" in done.stderr
    assert " -y " not in debian.calls


def test_new_services_start_neither_now_nor_later(tmp_path: Path) -> None:
    debian = FakeDebian(tmp_path, plan="Inst thing (1.0)")
    done = debian.need("installed", "thing")
    assert (done.returncode, done.stderr) == (0, "Installing Debian packages: thing\n")
    installing = re.search(r"apt-get .* install -y .*\n(.*\n)*exit 101", debian.calls)
    assert installing, "no policy-rc.d was there while the packages were installed"
    assert "--no-install-recommends --no-remove thing" in installing[0]
    assert not debian.policy.exists()
    disabled = re.findall(r"^(?:systemctl|update-rc\.d) .*\bdisable\b.*$", debian.calls, re.MULTILINE)
    assert [line.replace("--now ", "") for line in disabled] == [
        "systemctl --system disable thing.service",
        "systemctl --global disable thing.socket",
        "update-rc.d thing disable",
    ]


def test_a_policy_that_was_there_stays(tmp_path: Path) -> None:
    debian = FakeDebian(tmp_path, plan="Inst thing (1.0)")
    debian.policy.write_text("#!/bin/sh\nexit 101 # mine\n")
    assert debian.need("thing").returncode == 0
    assert debian.policy.read_text() == "#!/bin/sh\nexit 101 # mine\n"


def test_without_root_it_is_said_what_is_missing(tmp_path: Path) -> None:
    debian = FakeDebian(tmp_path, plan="Inst thing (1.0)")
    done = debian.need("installed", "thing", "other", before="may_install() { return 1; }")
    assert done.returncode == 1
    assert "apt-get install --no-install-recommends thing other" in done.stderr
    assert debian.calls == ""


# --- scripts/run as a whole -------------------------------------------------------------------------------------------


class Product:
    """`scripts/run` in a folder of its own, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a folder"
        self.part = Part(
            [str(ROOT / "scripts/run"), "--dir", str(self.folder)],
            package="isr-edge",
            log=folder / "run.log",
            ready=lambda: self.part.log_text().count("Ctrl-C stops") > self._starts,
            ready_timeout_s=120,
        )
        self._starts = 0

    def start(self) -> None:
        self._starts = self.part.log_text().count("Ctrl-C stops")
        self.part.start()

    @property
    def page_port(self) -> int:
        return int(self._shown(r"http://127\.0\.0\.1:(\d+)/"))

    @property
    def pasted_line(self) -> str:
        return self._shown(r"(XDG_CONFIG_HOME=.*)")

    @property
    def processes(self) -> list[int]:
        """Everything that was started with this folder on its command line."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if str(self.folder).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def options(self, client: str) -> Mapping[str, str]:
        """The environment in which a mosquitto client is the operator."""
        assert (self.folder / "secrets/operator" / client).exists()
        return {**os.environ, "XDG_CONFIG_HOME": str(self.folder / "secrets/operator")}

    def _shown(self, pattern: str) -> str:
        return str(re.findall(pattern, self.part.log_text())[-1])


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    made = Product(tmp_path)
    yield made
    made.part.stop(timeout_s=40)
    wait_until(lambda: made.processes == [], 10, "the end of every process")


def test_the_whole_product_starts_answers_and_stops(product: Product, tmp_path: Path) -> None:
    product.start()
    assert _get(product.page_port, "/healthz") == 200
    status = product.folder / "recordings/status.json"
    agent = json.loads(status.read_text())["agent"]

    answers = Part(
        ["stdbuf", "-oL", program("mosquitto_sub", "mosquitto-clients"), "-d", "-t", f"isr/{agent}/resp"],
        package="coreutils",
        log=tmp_path / "answers.log",
        env=product.options("mosquitto_sub"),
        ready=lambda: "Subscribed (mid" in answers.log_text(),
    )
    with answers:
        subprocess.run(["bash", "-c", product.pasted_line], check=True, timeout=20)
        wait_until(lambda: '"phase":"done"' in answers.log_text(), 15, "the answer to the pasted command")
    wait_until(lambda: json.loads(status.read_text())["sources"][0]["desired"] == "stop", 5, "the stop in the status")

    again = subprocess.run(
        [ROOT / "scripts/run", "--dir", product.folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert (again.returncode, "running already" in again.stderr) == (1, True)

    product.part.send_signal(signal.SIGTERM)
    assert product.part.wait_for_end(30) == 0
    assert product.processes == []
    assert not status.exists()
    recordings = product.folder / "recordings"
    assert list(recordings.rglob("*.part")) == []
    assert len(list(recordings.rglob("*.flac"))) == 1


def test_a_second_start_is_quick_and_steps_aside_for_others(product: Product) -> None:
    product.start()
    first_port = product.page_port
    product.part.send_signal(signal.SIGINT)
    assert product.part.wait_for_end(30) == 0

    with socket.create_server(("127.0.0.1", first_port)):
        began = time.monotonic()
        product.start()
        assert time.monotonic() - began < 5
        assert product.page_port != first_port
        assert f"Port {first_port} is taken" in product.part.log_text()
        assert _get(product.page_port, "/healthz") == 200


def test_a_part_that_dies_ends_the_rest(product: Product) -> None:
    product.start()
    status = json.loads((product.folder / "recordings/status.json").read_text())
    os.kill(status["pid"], signal.SIGKILL)
    assert product.part.wait_for_end(30) == 1
    assert "The recorder ended by itself (exit code 137)" in product.part.log_text()
    assert product.processes == []


def test_a_wrong_configuration_starts_nothing(product: Product) -> None:
    product.folder.mkdir()
    (product.folder / "config.yaml").write_text("agent: {id: shed}\nsources: []\nfoo: 1\n")
    done = subprocess.run(
        [ROOT / "scripts/run", "--dir", product.folder], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "config.yaml:3: foo" in done.stderr
    assert "nothing would be recorded" in done.stderr


def test_somebody_elses_broker_is_used_and_none_started(product: Product, tmp_path: Path) -> None:
    product.folder.mkdir()
    with Broker(tmp_path / "other", users={"me": "word"}) as other, other.listen("isr/shed/availability") as listener:
        (product.folder / "config.yaml").write_text(
            "agent: {id: shed}\n"
            f"mqtt: {{host: localhost, port: {other.port}, username: me, password: word}}\n"
            "sources: [{id: test, type: test}]\n"
            f"archive: {{port: {free_port()}}}\n"
        )
        product.start()
        listener.wait_for(lambda message: message.payload == b"online", 15, "the agent on the other broker")
        assert "mosquitto_pub" not in product.part.log_text()
        assert not (product.folder / "secrets").exists()
        assert product.part.stop(timeout_s=40) == 0


def _get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status
