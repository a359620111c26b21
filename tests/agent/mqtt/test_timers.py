from datetime import timedelta
from pathlib import Path

import pytest

from agent.mqtt.timers import StopTimers
from tests.agent.build import utc


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.wall_s = 0.0

    def timers(self, folder: Path) -> StopTimers:
        return StopTimers(folder, utc_now=lambda: utc(self.wall_s), now_s=lambda: self.now_s)


def test_a_timer_is_due_when_its_time_is_over_whatever_the_wall_clock_does(tmp_path: Path) -> None:
    clock = Clock()
    timers = clock.timers(tmp_path)
    timers.set("mic", 600)
    clock.wall_s += 1e6
    clock.now_s += 599
    assert timers.due() == []
    clock.now_s += 1
    assert timers.due() == ["mic"]
    timers.set("mic", None)
    assert timers.due() == []


def test_a_timer_outlives_the_agent(tmp_path: Path) -> None:
    clock = Clock()
    clock.timers(tmp_path).set("mic", 600)
    clock.now_s, clock.wall_s = 5.0, 400.0
    timers = clock.timers(tmp_path)
    clock.now_s += 199
    assert timers.due() == []
    clock.now_s += 1
    assert timers.due() == ["mic"]
    clock.wall_s += timedelta(days=1).total_seconds()
    assert clock.timers(tmp_path).due() == ["mic"]
    timers.set("mic", None)
    assert clock.timers(tmp_path).due() == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"stop_at":[]}', b'{"stop_at":{"mic":5}}', b'{"stop_at":{"mic":"soon"}}']
)
def test_a_file_that_cannot_be_read_stops_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stop-at.json").write_bytes(content)
    timers = Clock().timers(tmp_path)
    assert timers.due() == []
    timers.set("mic", 5)


def test_what_cannot_be_remembered_is_not_promised(tmp_path: Path) -> None:
    timers = Clock().timers(tmp_path / "missing")
    with pytest.raises(OSError, match="No such file"):
        timers.set("mic", 0.0)
    assert timers.due() == []
    timers.set("mic", None)
