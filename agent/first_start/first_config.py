"""The configuration of a box that has none yet: its name, its time zone, what is plugged into it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SourceFault
from agent.first_start.files import write_new
from agent.first_start.render import agent_id, render_config
from agent.sources.devices import Device, list_devices


@dataclass(frozen=True, slots=True)
class Host:
    """The box: its name, and its time zone where that is known."""

    name: str
    timezone: str | None


def write_first_config(
    config: Path,
    host: Host,
    say: Callable[[str], None],
    *,
    mqtt_port: int,
    page_port: int,
    in_container: bool = False,
) -> None:
    """A configuration for this box and what is plugged into it. FileExistsError where there is one."""
    devices = _devices(say)
    text = render_config(
        agent=agent_id(host.name),
        name=host.name,
        zone=host.timezone,
        devices=devices,
        mqtt_port=mqtt_port,
        page_port=page_port,
        in_container=in_container,
    )
    write_new(config, text, mode=0o644)
    found = ", ".join(device.name for device in devices) or "a test signal, because no sound card was found"
    say(f"Wrote {config}. To be recorded: {found}. Time zone: {host.timezone or 'not known, UTC'}.")


def _devices(say: Callable[[str], None]) -> list[Device]:
    try:
        return list_devices()
    except SourceFault as fault:
        say(str(fault))
        return []
