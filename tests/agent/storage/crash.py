"""Stops a program before any one of its operations on files, as kill -9 does."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from agent.storage import files, finish
from agent.storage.writer import SegmentWriter


class Killed(BaseException):
    """Nobody catches it."""


class Killer:
    """Counts the operations and stops before number `before` (from 0)."""

    def __init__(self, before: int) -> None:
        self.left = before

    def wrap(self, call: Callable[..., Any], *, real: bool = True) -> Callable[..., Any]:
        def stopped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever it wraps
            if self.left <= 0:
                raise Killed
            self.left -= 1
            return call(*args, **kwargs) if real else None

        return stopped


def _opening(killer: Killer, real: Callable[..., Any]) -> Callable[..., Any]:
    wrapped = killer.wrap(real)

    def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Path.open
        return (real if mode in ("r", "rb") else wrapped)(path, mode, *args, **kwargs)

    return opened


@contextmanager
def dying(before: int) -> Iterator[Killer]:
    """Within this, the program dies before its operation number `before`; what reads does not count."""
    killer = Killer(before)
    renaming = killer.wrap(files.rename_new)
    with (
        patch.object(os, "fsync", killer.wrap(os.fsync, real=False)),
        patch.object(os, "fdatasync", killer.wrap(os.fdatasync, real=False)),
        patch.object(os, "pwrite", killer.wrap(os.pwrite)),
        patch.object(os, "replace", killer.wrap(os.replace)),
        patch.object(os, "unlink", killer.wrap(os.unlink)),
        patch.object(os, "mkdir", killer.wrap(os.mkdir)),
        patch.object(Path, "open", _opening(killer, Path.open)),
        patch.object(finish, "rename_new", renaming),
    ):
        yield killer


def died(files: SegmentWriter) -> None:
    """What the kernel does for a process that is no more: its descriptors are closed, nothing else is written."""
    if files._file is not None:
        files._file.close()


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its content; a folder has none."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
