"""Walks the recordings folder and names what is in it. Links, hidden names and odd files are passed over."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.archive_format.names import PART, SIDECAR
from archive_api.recordings.opening import open_folder, open_inner_folder
from archive_api.recordings.paths import DEPTH_MAX, Parts, extension_of, is_part, is_servable_component


@dataclass(slots=True)
class Folder:
    """One folder that holds audio: names of finished audio, of `.part` audio and of sidecars.

    `descriptor` is the open folder, for as long as the walk stands here.
    """

    parts: Parts
    descriptor: int
    audio: list[str] = field(default_factory=list)
    open_audio: list[str] = field(default_factory=list)
    sidecars: set[str] = field(default_factory=set)

    def path(self, name: str) -> str:
        """The path of a file in it, below the recordings folder."""
        return "/".join((*self.parts, name))


def walk(recordings: Path, hidden: Path) -> Iterator[Folder]:
    """Every folder below `recordings`, but `hidden` (the agent's state, wherever it was put).

    Raises OSError where the recordings folder cannot be read; a folder in it that cannot be is passed over.
    """
    with open_folder(recordings) as root:
        yield from _walk(root, (), identity_of(hidden))


def _walk(descriptor: int, parts: Parts, hidden: tuple[int, int] | None) -> Iterator[Folder]:
    folder, inner = look_into(descriptor, parts)
    yield folder
    for name in inner:
        try:
            below = open_inner_folder(descriptor, name)
        except OSError:
            continue  # gone meanwhile, or not ours to read
        try:
            status = os.fstat(below)
            if identity(status) != hidden:
                yield from _walk(below, (*parts, name), hidden)
        finally:
            os.close(below)


def look_into(descriptor: int, parts: Parts) -> tuple[Folder, list[str]]:
    """What is in one open folder, and the names of the folders in it, as far down as a path may reach."""
    folder = Folder(parts, descriptor)
    inner = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            if not is_servable_component(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                _file(folder, entry.name)
    return folder, inner if len(parts) + 2 <= DEPTH_MAX else []


def _file(folder: Folder, name: str) -> None:
    if extension_of(name) is not None:
        (folder.open_audio if is_part(name) else folder.audio).append(name)
    elif name.endswith(SIDECAR):
        folder.sidecars.add(name)


def sidecar_of(audio: str) -> str:
    """The name of the sidecar that belongs to audio of this name, finished or not."""
    return audio.removesuffix(PART).rpartition(".")[0] + SIDECAR


def identity_of(path: Path) -> tuple[int, int] | None:
    """Which folder a path leads to, by whatever name; None where there is none."""
    try:
        return identity(path.stat())
    except OSError:
        return None


def identity(status: os.stat_result) -> tuple[int, int]:
    """Device and inode."""
    return status.st_dev, status.st_ino
