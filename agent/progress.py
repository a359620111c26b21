"""How far a long command has got: a bar on a terminal, a line now and then elsewhere.

Both processes use it. It asks for no time itself: `now_s` is a clock that never steps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

_WIDTH = 30
_REDRAWN_EVERY_S = 0.1
_RATE_AFTER_S = 1.0
"""Before that a rate says nothing."""
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(slots=True)
class Progress:
    """Shows how much of a total is done, with rate and time left; `unit` is what is counted, `bytes` are scaled."""

    out: TextIO
    is_terminal: bool
    now_s: Callable[[], float]
    unit: str = "bytes"
    _began_s: float | None = field(default=None, init=False)
    _drawn_s: float = field(default=0.0, init=False)
    _width: int = field(default=0, init=False)
    _tenth: int = field(default=-1, init=False)

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` is done."""
        now_s = self.now_s()
        if self._began_s is None:
            self._began_s = now_s
        percent = 100 if total <= 0 else min(100, done * 100 // total)
        if not self.is_terminal:
            if percent // 10 != self._tenth:
                self._tenth = percent // 10
                self._write(f"{percent // 10 * 10} %: {self._amounts(done, total)}\n")
        elif self._width == 0 or done >= total or now_s - self._drawn_s >= _REDRAWN_EVERY_S:
            self._drawn_s = now_s
            self._draw(percent, self._amounts(done, total) + self._pace(done, total, now_s - self._began_s))

    def clear(self) -> None:
        """Take the bar away, so that a line can be written in its place."""
        if self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0

    def end(self) -> None:
        """Leave the line of the bar."""
        if self._width:
            self._write("\n")
            self._width = 0

    def _draw(self, percent: int, text: str) -> None:
        line = f"[{'#' * (percent * _WIDTH // 100):<{_WIDTH}}] {percent:3d} %  {text}"
        self._write("\r" + line.ljust(self._width))
        self._width = len(line)

    def _amounts(self, done: int, total: int) -> str:
        if self.unit == "bytes":
            return f"{in_bytes(done)} of {in_bytes(total)}"
        return f"{done} of {total} {self.unit}"

    def _pace(self, done: int, total: int, spent_s: float) -> str:
        if spent_s < _RATE_AFTER_S or not done:
            return ""
        rate = done / spent_s
        shown = f"{in_bytes(rate)}/s" if self.unit == "bytes" else f"{rate:.0f} {self.unit}/s"
        return f", {shown}, {in_time(max(0, total - done) / rate)} left"

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


def in_bytes(count: float) -> str:
    """`512 B`, `1.2 MB`: thousands, as disks are sold."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def counted(count: int, what: str) -> str:
    """`1 segment`, `2 segments`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def in_time(seconds: float) -> str:
    """`0:07`, `1:02:03`."""
    whole = round(seconds)
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
