"""The texts of the first start: config.yaml, options of the clients, input for mosquitto_passwd. Pure."""

import re
from collections.abc import Mapping, Sequence

from agent.config.values import RESERVED_IDS
from agent.sources.devices import Device

# The shipped ACL knows this one only.
BASE_TOPIC = "isr"
ID_LENGTH = 32


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
    *,
    agent: str,
    name: str,
    zone: str | None,
    devices: Sequence[Device],
    mqtt_port: int,
    page_port: int,
    in_container: bool = False,
) -> str:
    """The first config.yaml: each sound card a source, or the test signal where there is none.

    `in_container`: for docker compose, where the page is for the network and asks for a password, and where each part
    writes to a folder of its own.
    """
    state = "\n  state_directory: state" if in_container else ""
    page = _page_in_container(name) if in_container else ""
    timezone = f"timezone: {zone}" if zone else "# timezone: Europe/Berlin   # not known on this box: please set it"
    return f"""\
# Written at the first start, and yours from then on. Only a port that another program has taken is ever replaced.
# Paths are relative to this file. "isr-agent check-config" says what is wrong with it, if anything.

agent:
  id: {agent}   # permanent: part of topics and file names
  name: {quoted(name)}
  {timezone}{state}

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
{page}"""


def _page_in_container(hostname: str) -> str:
    """Served to the network with a password, by the names of the box: the container does not know them."""
    short = hostname.partition(".")[0].lower()
    names = f"  allowed_hosts: [{short}, {short}.local]\n" if re.fullmatch(r"[a-z0-9][a-z0-9-]*", short) else ""
    return f"""\
  auth: basic
  username: isr
  password_file: secrets/archive
{names}  state_directory: archive
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
    # plug: converts what the card does not offer. Without it only the card's own formats are accepted.
    device: {quoted("plug" + device.device)}
    sample_rate: 48000
    channels: 1
    sample_format: S16_LE
"""
        for source, device in zip(source_ids([device.card for device in devices]), devices, strict=True)
    )


def render_options(user: str, password: str, port: int) -> str:
    """Options of a mosquitto client, one per line, as it reads them from its file."""
    return f"-h localhost\n-p {port}\n-u {user}\n-P {password}\n"


def options_with(text: str, password: str, port: int) -> str:
    """The same options with another password and port; every other line as it is."""
    text = re.sub(r"^-p .*$", f"-p {port}", text, flags=re.MULTILINE)
    return re.sub(r"^-P .*$", lambda _: f"-P {password}", text, flags=re.MULTILINE)


def render_passwords(passwords: Mapping[str, str]) -> str:
    """The input of `mosquitto_passwd -U`: `user:password`, one per line."""
    return "".join(f"{user}:{password}\n" for user, password in passwords.items())
