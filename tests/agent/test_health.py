from pathlib import Path

from agent.health import box_facts, cpu_temp_c, memory_bytes
from agent.model import DiskStatus


def zone(thermal: Path, number: int, kind: str, temp: str) -> None:
    folder = thermal / f"thermal_zone{number}"
    folder.mkdir(parents=True)
    (folder / "type").write_text(kind + "\n")
    (folder / "temp").write_text(temp + "\n")


def test_the_processor_counts_before_any_other_zone(tmp_path: Path) -> None:
    zone(tmp_path, 0, "acpitz", "71000")
    assert cpu_temp_c(tmp_path) == 71.0
    zone(tmp_path, 1, "cpu-thermal", "48312")
    zone(tmp_path, 2, "gpu", "nonsense")
    zone(tmp_path, 3, "cpu1", "-273000")
    assert cpu_temp_c(tmp_path) == 48.3


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert cpu_temp_c(tmp_path / "none") is None
    facts = box_facts(DiskStatus(), lambda: None, thermal=tmp_path)
    assert (facts.disk.free_bytes, facts.cpu_temp_c, facts.clock_synchronized) == (None, None, None)


def test_this_box() -> None:
    facts = box_facts(DiskStatus(10**9), lambda: True)
    assert facts.disk.free_bytes == 10**9
    assert facts.clock_synchronized is True
    resident = memory_bytes()
    assert resident is not None
    # The kernel counts in batches, so its two answers differ a little.
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    assert abs(resident - int(line.split()[1]) * 1024) < 20 << 20
