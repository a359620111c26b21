"""What processes have used so far, from /proc: CPU time of a process and of its ended children, peak memory."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PARENT, _CPU_TIMES = 1, slice(11, 15)
"""Places in /proc/<pid>/stat behind the name: parent; user, system, and both of children that were waited for."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The sum over some processes since each of them started. `peak_rss_mb` adds up the peak of each."""

    cpu_s: float
    peak_rss_mb: float
    pss_mb: float


def descendants(pid: int) -> list[int]:
    """All children of a process, and theirs."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields is not None:
            children.setdefault(int(fields[_PARENT]), []).append(int(folder.name))
    found = list(children.get(pid, ()))
    for child in found:
        found.extend(children.get(child, ()))  # the list grows while it is walked
    return found


def usage(pids: Iterable[int]) -> Usage:
    """What these processes have used; ProcessLookupError where one of them is not there."""
    cpu_s = peak_kb = pss_kb = 0.0
    for pid in pids:
        fields = _stat(pid)
        if fields is None:
            raise ProcessLookupError(f"process {pid} has ended during the measurement")
        cpu_s += sum(map(int, fields[_CPU_TIMES])) / _TICKS_PER_S
        peak_kb += _kb(pid, "status", "VmHWM:")
        pss_kb += _kb(pid, "smaps_rollup", "Pss:")
    return Usage(cpu_s, peak_kb / 1024, pss_kb / 1024)


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _kb(pid: int, file: str, key: str) -> int:
    lines = Path(f"/proc/{pid}/{file}").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))
