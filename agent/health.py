"""Facts about the box, as cheap as they come: asked every few seconds."""

import os
from collections.abc import Callable
from pathlib import Path

from agent.model import DiskStatus
from agent.mqtt.payloads import BoxFacts

_THERMAL = Path("/sys/class/thermal")
_CPU_ZONES = ("cpu", "x86_pkg_temp", "soc", "core")


def box_facts(disk: DiskStatus, synchronized: Callable[[], bool | None], *, thermal: Path = _THERMAL) -> BoxFacts:
    """What the box says of itself right now; None where it does not tell."""
    return BoxFacts(disk, cpu_temp_c(thermal), memory_bytes(), synchronized())


def cpu_temp_c(thermal: Path = _THERMAL) -> float | None:
    """Degrees of the zone that is named after the processor, else of the hottest; None where there is none."""
    zones: list[tuple[bool, float]] = []
    for zone in sorted(thermal.glob("thermal_zone*")):
        try:
            name = (zone / "type").read_text(encoding="ascii", errors="replace").lower()
            degrees = int((zone / "temp").read_text(encoding="ascii")) / 1000
        except (OSError, ValueError):
            continue  # a sensor that is switched off
        if -50 < degrees < 200:
            zones.append((any(word in name for word in _CPU_ZONES), degrees))
    return round(max(zones)[1], 1) if zones else None


def memory_bytes() -> int | None:
    """Memory of this process that is in RAM."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
