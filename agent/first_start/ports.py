"""Ports that another program has taken are replaced in config.yaml, in their own place."""

import errno
import re
import socket
from collections.abc import Callable, Collection
from pathlib import Path

from agent.config.node import Problems, read
from agent.errors import ConfigError
from agent.first_start.facts import Facts
from agent.first_start.files import rewrite


def with_port(text: str, line: int, old: int, new: int) -> str:
    """`text` with the port in the given line (from 1) replaced, and not a character more.

    Raises ValueError where that line does not hold `port: <old>`.
    """
    lines = text.splitlines(keepends=True)
    pattern = rf"""(\bport["']?\s*:\s*["']?){old}\b"""
    lines[line - 1], count = re.subn(pattern, rf"\g<1>{new}", lines[line - 1], count=1)
    if not count:
        raise ValueError(f"line {line} does not say port: {old}")
    return "".join(lines)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nothing listens on `port` of the loopback or of `host`. Raises ConfigError where it is not allowed."""
    for address in dict.fromkeys(("127.0.0.1", "::1", host)):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # Connections of an earlier run that are still closing do not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EACCES:
                raise ConfigError(f"port {port} may only be used by root", hint="take one above 1023") from error
            # A box without IPv6, or without this address: nobody else is there either.
    return True


def free_port(wanted: int, avoid: Collection[int] = (), host: str = "127.0.0.1") -> int:
    """`wanted`, or the next higher port that is free on `host` and not in `avoid`."""
    for port in range(wanted, 65536):
        if port not in avoid and port_is_free(port, host):
            return port
    raise ConfigError(f"no free port from {wanted} on")


def settle_ports(config: Path, facts: Facts, say: Callable[[str], None]) -> None:
    """Replace the ports in the file that other programs have taken. Raises ConfigError where that cannot be."""
    mqtt_port = facts.mqtt_port
    if facts.own_broker:
        mqtt_port = _settle_port(config, "mqtt", mqtt_port, free_port(mqtt_port), say)
    free = free_port(facts.page_port, (mqtt_port,), facts.page_host)
    _settle_port(config, "archive", facts.page_port, free, say)


def _settle_port(config: Path, section: str, port: int, free: int, say: Callable[[str], None]) -> int:
    if free == port:
        return port
    text = config.read_bytes().decode()  # as it is, the kind of its line ends included
    line = read(config, Problems(str(config))).section(section).line_of("port")
    try:
        rewrite(config, with_port(text, line, port, free))
    except ValueError as error:
        message = f"{config}: {section}.port {port} is taken by another program"
        raise ConfigError(message, hint=f"write  port: {free}  into the section {section}") from error
    say(f"Port {port} is taken by another program: {section}.port is {free} from now on (config.yaml).")
    return free
