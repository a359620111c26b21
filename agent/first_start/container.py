"""Prepares the data folder for docker compose, as its one-shot service `setup`.

    python -m agent.first_start.container prepare    folders, configuration, secrets; owned by PUID:PGID
    python -m agent.first_start.container show       prints the passwords that people need

It is the only part that runs as root, because only root can give a folder to somebody else; it has no network.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.clock import is_timezone
from agent.config import load
from agent.config.node import Problems, read
from agent.errors import ConfigError, IsrError
from agent.first_start.broker_passwords import password_lines
from agent.first_start.facts import generated_user
from agent.first_start.files import (
    HEALTHCHECK,
    OPERATOR,
    page_password_path,
    read_or_make_page_password,
    read_or_make_passwords,
    replace_private,
    secret_path,
    write_options,
)
from agent.first_start.first_config import Host, write_first_config

DATA = Path("/data")
_HOST = Path("/host/etc")
_FOLDERS = ("recordings", "state", "archive", "secrets", "broker/data", "broker/secrets")
_MQTT_PORT, _PAGE_PORT = 1883, 8080


def host_of(etc: Path, environment: dict[str, str]) -> Host:
    """From the box's own /etc, or TZ. ConfigError where TZ names no zone."""
    named = environment.get("TZ", "").lstrip(":")
    if named and not is_timezone(named):
        raise ConfigError(f"TZ is {named!r}, which is no time zone of the IANA database", hint="TZ=Europe/Berlin")
    name = _text(etc / "hostname") or "recorder"
    localtime = etc / "localtime"
    linked = str(localtime.readlink()).partition("zoneinfo/")[2] if localtime.is_symlink() else ""
    zones = [zone for zone in (named, linked, _text(etc / "timezone")) if zone and is_timezone(zone)]
    return Host(name, zones[0] if zones else None)


def prepare(data: Path, owner: tuple[int, int], host: Host, say: Callable[[str], None]) -> None:
    """Make what is missing below `data`; what is there stays as it is, but belongs to `owner` afterwards."""
    for folder in _FOLDERS:
        (data / folder).mkdir(parents=True, exist_ok=True)
    for private in ("secrets", "broker/secrets"):
        (data / private).chmod(0o700)
    config = data / "config.yaml"
    if not os.path.lexists(config):
        write_first_config(config, host, say, mqtt_port=_MQTT_PORT, page_port=_PAGE_PORT, in_container=True)
    agent = generated_user(read(config, Problems(str(config))), data)
    if agent:
        _make_secrets(data, agent)
    else:
        say(f"{config} names an own broker: ours has no user for this agent.")
    read_or_make_page_password(data, lambda _word: None)
    _give(data, owner)
    # Said here, once and with all that is wrong, rather than by services that start again and again.
    load(config)


def show(data: Path) -> str:
    """What people have to know to come in."""
    lines = [f"Page: user isr, password {_text(page_password_path(data))}"]
    lines += [
        f"Broker: user {user}, password {_text(secret_path(data, user))}"
        for user in (OPERATOR, "homeassistant", "viewer")
        if secret_path(data, user).exists()
    ]
    return "\n".join(lines)


def _make_secrets(data: Path, agent: str) -> None:
    passwords = read_or_make_passwords(data, agent)
    write_options(data, OPERATOR, passwords[OPERATOR], _MQTT_PORT)
    write_options(data, HEALTHCHECK, passwords[HEALTHCHECK], _MQTT_PORT)
    hashed = data / "broker/secrets/passwd"
    known = _text(hashed) if hashed.exists() else ""
    lines = password_lines(passwords, known)
    if lines != known:
        replace_private(hashed, lines + "\n")
    for client in (data / "secrets" / HEALTHCHECK).iterdir():
        replace_private(data / "broker/secrets" / client.name, client.read_text(encoding="utf-8"))


def _give(data: Path, owner: tuple[int, int]) -> None:
    """Everything to the owner. A folder of recordings that is the owner's already is not walked: it may be large."""
    os.chown(data, *owner)
    for path in data.iterdir():
        if path.name == "recordings" and (path.stat().st_uid, path.stat().st_gid) == owner:
            continue
        for each in (path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())):
            os.chown(each, *owner, follow_symlinks=False)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _owner(environment: dict[str, str]) -> tuple[int, int]:
    numbers = []
    for name in ("PUID", "PGID"):
        text = environment.get(name, "1000")
        if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 31:
            raise ConfigError(f"{name} is {text!r}", hint="the number of a user or group, not root's: see `id`")
        numbers.append(int(text))
    return numbers[0], numbers[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """The service `setup`; exit code 2 where something is configured wrongly."""
    parser = argparse.ArgumentParser(prog="setup", description="prepares the data folder for docker compose")
    parser.add_argument("command", choices=("prepare", "show"))
    options = parser.parse_args(arguments)
    environment = dict(os.environ)
    try:
        if options.command == "show":
            sys.stdout.write(show(DATA) + "\n")
        else:
            prepare(DATA, _owner(environment), host_of(_HOST, environment), _say)
    except (IsrError, OSError) as error:
        _say(str(error))
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
