"""Which files belong together, and below which recordings folder they lie. Reads names only."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agent.archive_format.names import AUDIO_SUFFIXES, LEVELS, PART, SIDECAR, STATE_DIRECTORY, STATUS, name_of, start_of
from agent.errors import ConfigError

_SUFFIXES = (LEVELS, SIDECAR, *AUDIO_SUFFIXES)
_DAY = (re.compile(r"[a-z0-9][a-z0-9-]{0,31}"), *(re.compile(digits) for digits in (r"\d{4}", r"\d\d", r"\d\d")))


@dataclass(frozen=True, slots=True)
class Group:
    """All files of one stem. `folder` is relative to `recordings`; `.` where no recordings folder can be told."""

    recordings: Path
    folder: PurePosixPath
    stem: str
    is_alone: bool = False
    """Named by itself, so that nothing can be said of what lies before and behind it."""

    @property
    def is_in_place(self) -> bool:
        """Whether it lies in the folders of a source and a day."""
        return self.folder != PurePosixPath()

    @property
    def source(self) -> str:
        """Which source recorded it: by its folder, else by its name."""
        return self.folder.parts[0] if self.is_in_place else self.stem.partition("_")[0]

    def path(self, suffix: str) -> Path:
        """The file of this stem with this suffix."""
        return self.recordings / self.folder / (self.stem + suffix)

    def shown(self, suffix: str) -> str:
        """The same, below the recordings folder."""
        return str(self.folder / (self.stem + suffix))


def groups(path: Path) -> Iterator[Group]:
    """The groups at or below `path`, a folder or any one file of a group, in order of their names.

    Hidden folders and links below `path` are passed over; it may itself lead through links. Raises ConfigError where
    there is no such path, or it is none of ours.
    """
    path = _real(path)
    if path.is_dir():
        yield from _below(path)
        return
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or folder")
    stem = stem_of(path.name)
    if stem is None:
        raise ConfigError(f"{path}: this is no recording", hint="name a folder, or a file like mic_2026-11-22T14-…")
    recordings, folder = root_of(path.parent)
    yield Group(recordings, folder, stem, is_alone=True)


def _real(path: Path) -> Path:
    """Where it really lies: an agent that records there has its lock there.

    The folder of a source may itself be a link: an agent records through it, and its recordings folder is before it.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - the parents by the name that was given are needed
    for root in absolute.parents:
        if (root / STATE_DIRECTORY).is_dir() or (root / STATUS).is_file():
            source, *inner = absolute.relative_to(root).parts
            own = (root / source).joinpath(*inner)
            if own.resolve() == (root / source).resolve().joinpath(*inner):
                return (root.resolve() / source).joinpath(*inner)
    return absolute.resolve()


def _below(top: Path) -> Iterator[Group]:
    for folder, inner, names in os.walk(top):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        stems = {stem for name in names if (stem := stem_of(name)) is not None}
        if stems:
            recordings, relative = root_of(Path(folder))
            yield from (Group(recordings, relative, stem) for stem in sorted(stems))


def root_of(folder: Path) -> tuple[Path, PurePosixPath]:
    """The recordings folder that `folder` lies in, and its place there; `folder` itself and `.` for any other one."""
    parts = folder.parts[-len(_DAY) :]
    if len(parts) == len(_DAY) and all(kind.fullmatch(part) for kind, part in zip(_DAY, parts, strict=True)):
        return folder.parents[len(_DAY) - 1], PurePosixPath(*parts)
    return folder, PurePosixPath()


def stem_of(file: str) -> str | None:
    """What the files of one segment have in common; None for a file that is none of them."""
    plain = file.removesuffix(PART)
    for suffix in _SUFFIXES:
        stem = plain.removesuffix(suffix)
        if stem != plain:
            name = name_of(PurePosixPath(f"{stem}.wav"))
            return stem if name is not None and _has_start(stem) else None
    return None


def _has_start(stem: str) -> bool:
    name = name_of(PurePosixPath(f"{stem}.wav"))
    try:
        return name is not None and start_of(name) is not None
    except (ValueError, OverflowError):
        return False
