"""Prepares a folder for scripts/run: `name=value` lines on stdout for the shell, words on stderr for a person."""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from agent.clock import box_timezone
from agent.config import load, on_the_network
from agent.config.node import Problems, read
from agent.errors import ConfigError, IsrError
from agent.first_start.facts import Facts, facts_of, generated_user, render_facts
from agent.first_start.files import (
    page_password_path,
    read_or_make_page_password,
    read_or_make_passwords,
    write_broker_files,
)
from agent.first_start.first_config import Host, write_first_config
from agent.first_start.ports import settle_ports


def prepare(directory: Path, *, mqtt_port: int, page_port: int, say: Callable[[str], None], lan: bool = False) -> Facts:
    """Everything a start in `directory` needs; the two ports are those of a new configuration.

    `lan`: the page is served to the network, so that it has a password in any case.
    """
    config = directory / "config.yaml"
    is_first = not os.path.lexists(config)
    if is_first:
        host = Host(socket.gethostname(), box_timezone())
        write_first_config(config, host, say, mqtt_port=mqtt_port, page_port=page_port)
    user = generated_user(read(config, Problems(str(config))), directory)
    # Before the configuration is loaded, because that reads the password.
    passwords = read_or_make_passwords(directory, user) if user else {}
    facts = _facts(directory, user, lan=lan)
    settle_ports(config, facts, say)
    facts = _facts(directory, user, lan=lan)
    if facts.own_broker:
        write_broker_files(directory, passwords, facts.mqtt_port)
    if is_first:
        # The page may be up before the recorder, and would warn of a folder that nobody has made yet.
        facts.recordings.mkdir(parents=True, exist_ok=True)
    return facts


def _facts(directory: Path, user: str | None, *, lan: bool) -> Facts:
    config = directory / "config.yaml"
    settings = load(config)
    if not lan:
        return facts_of(settings, user, config)
    archive = on_the_network(settings.archive, lambda: read_or_make_page_password(directory, _tell_password))
    generated = settings.archive.auth != "basic"
    return facts_of(replace(settings, archive=archive), user, page_password_path(directory) if generated else config)


def _tell_password(word: str) -> None:
    """To a person who sits before it, and into no log."""
    if sys.stderr.isatty():
        _say(f"The page has a password now, shown this once: {word}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare a folder for scripts/run; exit code 2 where its configuration is wrong."""
    parser = argparse.ArgumentParser(prog="python -m agent.first_start", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(), help="folder of config.yaml")
    parser.add_argument("--mqtt-port", type=int, default=1883, help="for a new configuration")
    parser.add_argument("--page-port", type=int, default=8080, help="for a new configuration")
    parser.add_argument("--lan", action="store_true", help="the page is served to the network, with a password")
    options = parser.parse_args(arguments)
    directory = options.dir.absolute()
    try:
        facts = prepare(directory, mqtt_port=options.mqtt_port, page_port=options.page_port, say=_say, lan=options.lan)
    except (IsrError, OSError) as error:
        _say(str(error))
        return 2 if isinstance(error, ConfigError) else 1
    sys.stdout.write(render_facts(facts))
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
