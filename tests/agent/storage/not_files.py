"""What may have the name of a file and is none."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

NOT_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    "folder": Path.mkdir,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "itself": lambda path: path.symlink_to(path.name),
    "linked": lambda path: path.symlink_to(path.parent.parent / "elsewhere"),
}
"""By what it is; `elsewhere`, beside the folder, may be a file."""
