"""A file system of a few megabytes in memory. Mounting one needs root, or sudo without a password."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


@contextmanager
def small_disk(folder: Path, megabytes: int, options: str = "") -> Iterator[Path]:
    """Mounted at `folder`, which is made, while this lasts; `options` are more of tmpfs."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ",".join(filter(None, (f"size={megabytes}m,uid={os.getuid()}", options)))
    subprocess.run([*_root(), "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*_root(), "umount", "--lazy", folder], check=True)


def free_bytes(folder: Path) -> int:
    """What is free there."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def fill(file: Path, leave_bytes: int) -> None:
    """A file that is none of ours and leaves only so much free."""
    size = free_bytes(file.parent) - leave_bytes
    with file.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, size)
