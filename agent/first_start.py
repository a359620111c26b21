"""What a box gets before its first start: config.yaml, the users of the shipped broker, and ports that are free.

`scripts/run` calls this at every start. Files that are there stay as they are; only a port that another program has
taken is replaced, in its own place. What the shell needs to know comes out on stdout as `name=value` lines, what a
person should know on stderr.
"""

import argparse
import errno
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.clock import box_timezone
from agent.config import Settings, load
from agent.config.node import Problems, Section, read
from agent.config.values import RESERVED_IDS, agent_identifier
from agent.errors import ConfigError, IsrError, SourceFault
from agent.sources.devices import Device, list_devices

OPERATOR = "operator"
# Users of the shipped broker besides the agent itself; each has its lines in mosquitto/acl.
BROKER_USERS = (OPERATOR,)
# The shipped ACL knows this one only.
BASE_TOPIC = "isr"
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
# Programs of mosquitto-clients; each reads its options from a file of its own name below $XDG_CONFIG_HOME.
CLIENTS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr")
ID_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Facts:
    """What scripts/run needs to know of a configuration. `own_broker`: it uses the broker that scripts/run starts."""

    agent: str
    source: str
    own_broker: bool
    mqtt_port: int
    page_host: str
    page_port: int
    recordings: Path


# --- ids and text -----------------------------------------------------------------------------------------------------


def fitting_id(name: str, fallback: str) -> str:
    """`name` made to fit `[a-z0-9][a-z0-9-]{0,31}`; `fallback` where nothing of it is left, or YAML's word for that."""
    fitting = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:ID_LENGTH].rstrip("-")
    return fallback if fitting in ("", "null") else fitting


def agent_id(hostname: str) -> str:
    """An agent's id from the name of its box: the first label, unless that is a name the broker needs for others."""
    name = fitting_id(hostname.partition(".")[0], "recorder")
    return f"{name}-recorder" if name in RESERVED_IDS else name


def source_ids(names: Sequence[str]) -> list[str]:
    """One id per name, all different: the second `mic` becomes `mic-2`."""
    taken: list[str] = []
    for name in names:
        wanted = fitting_id(name, "mic")
        candidate, count = wanted, 1
        while candidate in taken:
            count += 1
            candidate = f"{wanted[: ID_LENGTH - 4]}-{count}"
        taken.append(candidate)
    return taken


def quoted(text: str) -> str:
    """`text` as a double-quoted YAML scalar, made to be a text that the configuration takes: printable, 1 to 200."""
    shown = "".join(c if c.isprintable() else "?" for c in text).strip()[:200] or "?"
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def render_config(
    *, agent: str, name: str, zone: str | None, devices: Sequence[Device], mqtt_port: int, page_port: int
) -> str:
    """The first config.yaml: each sound card a source, or the test signal where there is none."""
    timezone = f"timezone: {zone}" if zone else "# timezone: Europe/Berlin   # not known on this box: please set it"
    return f"""\
# Written at the first start, and yours from then on. Only a port that another program has taken is ever replaced.
# Paths are relative to this file. "isr-agent check-config" says what is wrong with it, if anything.

agent:
  id: {agent}   # permanent: part of topics and file names
  name: {quoted(name)}
  {timezone}

recording:
  directory: recordings
  period: 15m          # a new file at every quarter of an hour of the wall clock
  format: flac         # or wav
  sync_interval: 2s    # what a power cut can take away at most

mqtt:                  # without this section nothing is sent to a broker
  host: localhost
  port: {mqtt_port}
  username: {agent}
  password_file: secrets/mqtt-{agent}
  base_topic: {BASE_TOPIC}

sources:
{_render_sources(devices)}
  # A stream from the network:
  # - id: radio
  #   name: Local radio
  #   type: icecast
  #   url: http://localhost:8000/live

archive:               # the page
  host: 127.0.0.1
  port: {page_port}
"""


def _render_sources(devices: Sequence[Device]) -> str:
    if not devices:
        return """\
  - id: test           # no sound card was found: a signal that this program makes itself
    name: Test signal
    type: test
    period: 1m
"""
    return "\n".join(
        f"""\
  - id: {source}
    name: {quoted(device.name)}
    type: alsa
    device: {quoted(device.device)}
    sample_rate: 48000
    channels: 1
    sample_format: S16_LE
"""
        for source, device in zip(source_ids([device.card for device in devices]), devices, strict=True)
    )


def render_options(user: str, password: str, port: int) -> str:
    """Options of a mosquitto client, one per line, as it reads them from its file."""
    return f"-h localhost\n-p {port}\n-u {user}\n-P {password}\n"


def options_with_port(text: str, port: int) -> str:
    """The same options with another port; every other line as it is."""
    return re.sub(r"^-p .*$", f"-p {port}", text, flags=re.MULTILINE)


def render_passwords(passwords: Mapping[str, str]) -> str:
    """The input of `mosquitto_passwd -U`: `user:password`, one per line."""
    return "".join(f"{user}:{password}\n" for user, password in passwords.items())


# --- reading and changing config.yaml ---------------------------------------------------------------------------------


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


def generated_user(root: Section, directory: Path) -> str | None:
    """The agent's user where a configuration still uses what the first start generated for the shipped broker."""
    agent = root.section("agent").value("id", agent_identifier, "")
    mqtt = root.section("mqtt")
    password_file = directory / mqtt.value("password_file", str, "")
    ours = agent and mqtt.value("username", str, "") == agent and password_file == secret_path(directory, agent)
    return agent if ours else None


def facts_of(settings: Settings, user: str | None) -> Facts:
    """What scripts/run needs of the settings; `user` as `generated_user` says.

    Raises ConfigError where the shipped broker is to be used in a way that its ACL does not allow.
    """
    mqtt = settings.mqtt
    own_broker = mqtt is not None and user is not None and mqtt.host in LOCAL_HOSTS
    if mqtt is not None and own_broker and mqtt.base_topic != BASE_TOPIC:
        raise ConfigError(
            f"mqtt.base_topic is {mqtt.base_topic}, but the broker that ships knows only {BASE_TOPIC}",
            hint=f"set it to {BASE_TOPIC}, or use a broker of your own: docs/broker.md",
        )
    return Facts(
        agent=settings.agent.id,
        source=settings.sources[0].id,
        own_broker=own_broker,
        mqtt_port=mqtt.port if mqtt is not None else 1883,
        page_host=settings.archive.host,
        page_port=settings.archive.port,
        recordings=settings.recordings,
    )


# --- the edge: files and ports ----------------------------------------------------------------------------------------


def secret_path(directory: Path, user: str) -> Path:
    """Where the password of a broker user is kept."""
    return directory / "secrets" / f"mqtt-{user}"


def write_new(path: Path, text: str, *, mode: int = 0o600) -> bool:
    """Write a file that is not there yet, whole or not at all; False, and nothing done, where it is there.

    One caller at a time: scripts/run holds a lock. (A hard link would do without, but not on every file system.)
    """
    if os.path.lexists(path):
        return False
    temporary = _written_beside(path, text)
    temporary.chmod(mode)
    temporary.replace(path)
    return True


def rewrite(path: Path, text: str) -> None:
    """Replace the text of a file that is there in one step; its owner and mode stay."""
    target = path.resolve()
    temporary = _written_beside(target, text)
    shutil.copymode(target, temporary)
    os.chown(temporary, target.stat().st_uid, target.stat().st_gid)
    temporary.replace(target)


def _written_beside(path: Path, text: str) -> Path:
    """A new file of mode 0600 in the folder of `path`, synced."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    return Path(name)


def port_is_free(port: int) -> bool:
    """Whether nothing listens on `port` of this box's own addresses. Raises ConfigError where it is not allowed."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # Connections of an earlier run that are still closing do not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EACCES:
                raise ConfigError(f"port {port} may only be used by root", hint="take one above 1023") from error
            # A box without IPv6: nobody else is there either.
    return True


def free_port(wanted: int, avoid: Collection[int] = ()) -> int:
    """`wanted`, or the next higher port that is free and not in `avoid`."""
    for port in range(wanted, 65536):
        if port not in avoid and port_is_free(port):
            return port
    raise ConfigError(f"no free port from {wanted} on")


def settle_ports(config: Path, facts: Facts, say: Callable[[str], None]) -> None:
    """Replace the ports in the file that other programs have taken. Raises ConfigError where that cannot be."""
    mqtt_port = facts.mqtt_port
    if facts.own_broker:
        mqtt_port = _settle_port(config, "mqtt", facts.mqtt_port, (), say)
    _settle_port(config, "archive", facts.page_port, (mqtt_port,), say)


def _settle_port(config: Path, section: str, port: int, avoid: Collection[int], say: Callable[[str], None]) -> int:
    free = free_port(port, avoid)
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


def read_or_make_passwords(directory: Path, agent: str) -> dict[str, str]:
    """The password of each user of the shipped broker; those that are missing are made."""
    (directory / "secrets").mkdir(mode=0o700, exist_ok=True)
    passwords: dict[str, str] = {}
    for user in (agent, *BROKER_USERS):
        path = secret_path(directory, user)
        write_new(path, secrets.token_urlsafe(24) + "\n")
        passwords[user] = path.read_text(encoding="utf-8").strip()
    return passwords


def write_broker_files(directory: Path, passwords: Mapping[str, str], port: int) -> None:
    """The operator's options files, with the port of now, and `.run/passwd.new` as input for mosquitto_passwd."""
    folder = directory / "secrets" / OPERATOR
    folder.mkdir(mode=0o700, exist_ok=True)
    for client in CLIENTS:
        path = folder / client
        write_new(path, render_options(OPERATOR, passwords[OPERATOR], port))
        options = path.read_text(encoding="utf-8")
        if (changed := options_with_port(options, port)) != options:
            rewrite(path, changed)
    run = directory / ".run"
    run.mkdir(mode=0o700, exist_ok=True)
    (run / "passwd.new").unlink(missing_ok=True)
    write_new(run / "passwd.new", render_passwords(passwords))


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


def render_facts(facts: Facts) -> str:
    """`name=value` lines for the shell; the value is the rest of the line."""
    return "".join(
        f"{name}={int(value) if isinstance(value, bool) else value}\n" for name, value in asdict(facts).items()
    )


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
