"""docker compose: what the set-up makes, what the health checks say, and what the compose file promises.

The containers themselves need an engine and are tried by hand; everything in them is tried here, with a real mosquitto.
"""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent import clock
from agent.config import load
from agent.errors import ConfigError
from agent.first_start import container
from agent.first_start.broker_passwords import hashed, is_hash_of, password_lines
from agent.first_start.container import host_of, prepare, show
from agent.first_start.files import BROKER_USERS
from agent.first_start.first_config import Host
from agent.healthy import complaints
from tests.parts.process import Part, free_port, port_answers, program

ROOT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OWNER = (12345, 23456) if os.geteuid() == 0 else (os.getuid(), os.getgid())
BOX = Host("Garden-Pi.local", "Europe/Berlin")


def prepared(data: Path) -> list[str]:
    said: list[str] = []
    prepare(data, OWNER, BOX, said.append)
    return said


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_first_start_makes_everything_and_the_second_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (said,) = prepared(tmp_path)
    assert "Europe/Berlin" in said
    before = contents(tmp_path)
    assert prepared(tmp_path) == []
    assert contents(tmp_path) == before
    for path in (tmp_path, *tmp_path.rglob("*")):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == OWNER
        if path.is_file() and path.name != "config.yaml":
            assert stat.S_IMODE(found.st_mode) == 0o600, path
    monkeypatch.setenv("ISR_ARCHIVE_HOST", "0.0.0.0")
    monkeypatch.setenv("ISR_MQTT_HOST", "mosquitto")
    settings = load(tmp_path / "config.yaml")
    assert (settings.agent.id, settings.agent.timezone.key) == ("garden-pi", "Europe/Berlin")
    assert settings.agent.state_directory == tmp_path / "state"
    assert (settings.archive.auth, settings.archive.state_directory) == ("basic", tmp_path / "archive")
    assert settings.archive.allowed_hosts == ("garden-pi", "garden-pi.local")
    assert settings.mqtt is not None
    assert settings.mqtt.host == "mosquitto"


def test_passwords_are_shown_where_they_are_asked_for_and_nowhere_else(tmp_path: Path) -> None:
    said = "\n".join(prepared(tmp_path))
    shown = show(tmp_path)
    for name in ("archive", "mqtt-operator", "mqtt-homeassistant", "mqtt-viewer"):
        word = (tmp_path / "secrets" / name).read_text().strip()
        assert len(word) >= 16
        assert word in shown
        assert word not in said
        assert word not in (tmp_path / "config.yaml").read_text()
    assert (tmp_path / "secrets/mqtt-garden-pi").read_text().strip() not in shown


def test_a_password_that_is_changed_counts_at_the_next_start_and_others_keep_their_line(tmp_path: Path) -> None:
    prepared(tmp_path)
    file = tmp_path / "broker/secrets/passwd"
    before = dict(line.split(":", 1) for line in file.read_text().splitlines())
    (tmp_path / "secrets/mqtt-viewer").write_text("another-word\n")
    prepared(tmp_path)
    after = dict(line.split(":", 1) for line in file.read_text().splitlines())
    assert {user for user in after if after[user] != before[user]} == {"viewer"}
    assert is_hash_of("another-word", after["viewer"])


def test_a_wrong_configuration_is_said_with_line_and_key(tmp_path: Path) -> None:
    prepared(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("period: 15m", "period: 7m"))
    with pytest.raises(ConfigError, match=r"config.yaml:\d+: recording.period: found '7m'"):
        prepared(tmp_path)


@pytest.mark.parametrize(
    ("link", "text", "tz", "zone"),
    [
        ("/usr/share/zoneinfo/Europe/Berlin", None, "", "Europe/Berlin"),
        ("../usr/share/zoneinfo/America/Argentina/Ushuaia", "Europe/Rome\n", "", "America/Argentina/Ushuaia"),
        (None, "Asia/Kolkata\n", "", "Asia/Kolkata"),
        ("/etc/elsewhere", "Nowhere/Land", "", None),
        ("/usr/share/zoneinfo/Europe/Berlin", None, "Asia/Tokyo", "Asia/Tokyo"),
        (None, None, "", None),
    ],
)
def test_the_time_zone_is_that_of_the_box(
    tmp_path: Path, link: str | None, text: str | None, tz: str, zone: str | None
) -> None:
    if link:
        (tmp_path / "localtime").symlink_to(link)
    if text:
        (tmp_path / "timezone").write_text(text)
    (tmp_path / "hostname").write_text("garden-pi\n")
    assert host_of(tmp_path, {"TZ": tz}) == Host("garden-pi", zone)


def test_a_box_that_says_nothing_and_a_zone_that_there_is_not(tmp_path: Path) -> None:
    assert host_of(tmp_path, {}) == Host("recorder", None)
    with pytest.raises(ConfigError, match="TZ is 'Mars/Base', which is no time zone"):
        host_of(tmp_path, {"TZ": "Mars/Base"})


@pytest.mark.parametrize("wrong", ["0", "root", "", "-1", "1000 ", "99999999999"])
def test_nothing_is_given_to_root_or_to_nobody(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PUID", wrong)
    assert container.main(["prepare"]) == 2
    assert "PUID is" in capsys.readouterr().err


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), min_size=1, max_size=60))
def test_a_hash_is_of_its_password_alone(word: str) -> None:
    line = hashed(word)
    assert is_hash_of(word, line)
    assert not is_hash_of(word + "x", line)
    assert password_lines({"a": word}, f"a:{line}") == f"a:{line}"


@pytest.mark.parametrize(
    "damaged", ["", "$7$", "$7$101$!!$AA==", "$7$x$AA==$AA==", "$7$99999999999$AA==$AA==", "$6$a$b"]
)
def test_a_damaged_hash_is_of_nothing(damaged: str) -> None:
    assert not is_hash_of("word", damaged)


def test_a_real_mosquitto_takes_the_files_and_its_health_check_tells_open_from_closed(tmp_path: Path) -> None:
    prepared(tmp_path)
    port = free_port()
    options = tmp_path / "broker/secrets/mosquitto_sub"
    options.write_text(options.read_text().replace("-p 1883", f"-p {port}"))
    closed = [
        "allow_anonymous false",
        f"password_file {tmp_path}/broker/secrets/passwd",
        f"acl_file {ROOT}/mosquitto/acl",
    ]
    for lines, healthy in ((closed, True), (["allow_anonymous true"], False)):
        config = tmp_path / "mosquitto.conf"
        user = ["user root"] if os.geteuid() == 0 else []
        config.write_text("\n".join([f"listener {port} 127.0.0.1", *user, *lines]) + "\n")
        program("mosquitto_sub", "mosquitto-clients")
        command = ["mosquitto", "-c", str(config)]
        with Part(command, package="mosquitto", log=tmp_path / "log", ready=lambda: port_answers(port)):
            kind, check = SERVICES["mosquitto"]["healthcheck"]["test"]
            assert kind == "CMD-SHELL"
            # The broker of a container has a port of its own; here it is one that is free.
            check = check.replace("$$", "$").replace("-h localhost", f"-h localhost -p {port}")
            env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "broker/secrets")}
            found = subprocess.run(["sh", "-c", check], env=env, capture_output=True, timeout=30, check=False)
            assert (found.returncode == 0) is healthy, found
            if healthy:
                assert int(found.stdout.split()[0]) >= 0


def source(state: str, *, desired: str = "record", error: str | None = None) -> dict[str, Any]:
    return {"id": "mic", "state": state, "desired": desired, "last_error": error}


@pytest.mark.parametrize(
    ("found", "age_s", "words"),
    [
        (source("recording"), 1.0, None),
        (source("stopped", desired="stop"), 1.0, None),
        (source("reconnecting", error="the device is not there"), 1.0, None),
        (source("error"), 1.0, "mic is error and does not say why"),
        (source("recording"), 16.0, "status.json is 16 s old"),
    ],
)
def test_healthy_is_who_works_or_says_why_not(found: dict[str, Any], age_s: float, words: str | None) -> None:
    said = complaints({"sources": [found]}, age_s)
    assert bool(said) is (words is not None)
    assert not words or words in said[0]


def test_the_health_check_as_the_container_runs_it(tmp_path: Path) -> None:
    kind, *command = SERVICES["agent"]["healthcheck"]["test"]
    assert (kind, command[0]) == ("CMD", "python")

    def checked() -> tuple[int, str]:
        env = {**os.environ, "ISR_RECORDINGS": str(tmp_path), "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, *command[1:]]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout

    assert checked()[0] == 1
    status = tmp_path / "status.json"
    status.write_text(json.dumps({"sources": [source("recording")]}))
    assert checked() == (0, "healthy\n")
    old_s = clock.utc_now().timestamp() - 60
    os.utime(status, (old_s, old_s))
    code, said = checked()
    assert code == 1
    assert "the agent does not run, or hangs" in said


def test_the_compose_file_keeps_its_promises() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        for variable in service.get("environment", {}):
            assert "PASS" not in variable
            assert "SECRET" not in variable
        if name != "setup":
            assert service["user"] == "${PUID:-1000}:${PGID:-1000}"
            assert service["restart"] == "unless-stopped"
            assert "healthcheck" in service
    assert SERVICES["setup"]["network_mode"] == "none"
    assert SERVICES["agent"]["stop_grace_period"] == "30s"
    assert "/dev/snd:/dev/snd" in SERVICES["agent"]["volumes"]
    assert SERVICES["mosquitto"]["ports"] == ["${ISR_MQTT_BIND:-127.0.0.1}:1883:1883"]
    (recordings,) = [volume for volume in SERVICES["archive"]["volumes"] if volume.endswith(":/data:ro")]
    assert recordings
    assert "healthcheck" in BROKER_USERS


def test_every_locked_package_has_its_hashes_and_every_dependency_is_locked() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {line.split("==")[0] for line in text.splitlines() if "==" in line}
    for block in text.split("\n    # via")[:-1]:
        assert "--hash=sha256:" in block
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = project.partition("dependencies = [")[2].partition("]")[0]
    for line in wanted.splitlines():
        if name := line.strip().strip('",').partition(">=")[0]:
            assert name in locked
    assert "http" not in text
