"""Prepares a folder for scripts/run: `name=value` lines on stdout for the shell, words on stderr for a person."""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.clock import box_timezone
from agent.config import load
from agent.config.node import Problems, read
from agent.errors import ConfigError, IsrError, SourceFault
from agent.first_start.facts import Facts, facts_of, generated_user, render_facts
from agent.first_start.files import read_or_make_passwords, write_broker_files, write_new
from agent.first_start.ports import settle_ports
from agent.first_start.render import agent_id, render_config
from agent.sources.devices import list_devices


def write_first_config(config: Path, mqtt_port: int, page_port: int, say: Callable[[str], None]) -> None:
    """A configuration for this box and what is plugged into it."""
    try:
        devices = list_devices()
    except SourceFault as fault:
        say(str(fault))
        devices = []
    hostname = socket.gethostname()
    text = render_config(
        agent=agent_id(hostname),
        name=hostname,
        zone=box_timezone(),
        devices=devices,
        mqtt_port=mqtt_port,
        page_port=page_port,
    )
    write_new(config, text, mode=0o644)
    found = ", ".join(device.name for device in devices) or "no sound card was found, so a test signal"
    say(f"Wrote {config}. Recorded is: {found}.")


def prepare(directory: Path, *, mqtt_port: int, page_port: int, say: Callable[[str], None]) -> Facts:
    """Everything a start in `directory` needs; the two ports are those of a new configuration."""
    config = directory / "config.yaml"
    if not os.path.lexists(config):
        write_first_config(config, mqtt_port, page_port, say)
    user = generated_user(read(config, Problems(str(config))), directory)
    # Before the configuration is loaded, because that reads the password.
    passwords = read_or_make_passwords(directory, user) if user else {}
    facts = facts_of(load(config), user)
    settle_ports(config, facts, say)
    facts = facts_of(load(config), user)
    if facts.own_broker:
        write_broker_files(directory, passwords, facts.mqtt_port)
    return facts


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare a folder for scripts/run; exit code 2 where its configuration is wrong."""
    parser = argparse.ArgumentParser(prog="python -m agent.first_start", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(), help="folder of config.yaml")
    parser.add_argument("--mqtt-port", type=int, default=1883, help="for a new configuration")
    parser.add_argument("--page-port", type=int, default=8080, help="for a new configuration")
    options = parser.parse_args(arguments)
    directory = options.dir.absolute()
    try:
        facts = prepare(directory, mqtt_port=options.mqtt_port, page_port=options.page_port, say=_say)
    except (IsrError, OSError) as error:
        _say(str(error))
        return 2 if isinstance(error, ConfigError) else 1
    sys.stdout.write(render_facts(facts))
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
