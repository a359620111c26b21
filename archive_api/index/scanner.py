"""Brings the index in line with the folder: one folder at a time, reading only what looks different."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from archive_api.index import describe, ledgers
from archive_api.index.describe import Box
from archive_api.index.row import Row, State
from archive_api.index.store import Store
from archive_api.recordings.opening import NOT_THERE, open_folder, stat_file
from archive_api.recordings.paths import Parts, is_part, plain_name
from archive_api.recordings.scan import Folder, identity, identity_of, look_into, sidecar_of

Change: TypeAlias = tuple[Literal["opened", "closed", "moved", "deleted"], Row]

_BATCH = 100
_SETTLED_NS = 2_000_000_000
"""Times on disk come in steps. What changed so shortly before it was read may change again within the same step."""


class Scanner:
    """Looks at folders. `on_folder` is called with each before it is read, `on_change` after a change is committed,
    `on_file` for each audio file; `now_ns` tells the time on the wall in nanoseconds since 1970.
    """

    def __init__(
        self,
        recordings: Path,
        hidden: Path,
        box: Box,
        store: Store,
        *,
        now_ns: Callable[[], int],
        on_folder: Callable[[str, int], None] = lambda _folder, _descriptor: None,
        on_change: Callable[[Change], None] = lambda _change: None,
        on_file: Callable[[], None] = lambda: None,
    ) -> None:
        self._recordings, self._hidden, self._box, self._store = recordings, hidden, box, store
        self._now_ns = now_ns
        self._on_folder, self._on_change, self._on_file = on_folder, on_change, on_file

    def everything(self) -> Iterator[str]:
        """Look at every file; yields each folder once it is done.

        Raises OSError where the recordings folder cannot be read; so do the others.
        """
        yield from self._walk((), deep=True)

    def changed_folders(self) -> Iterator[str]:
        """Look into the folders to which something was added or from which something was taken."""
        done: set[str] = set()
        for folder, seen in self._store.folders():
            if folder not in done and self._is_changed(folder, seen):
                for one in self._walk(_parts(folder), deep=False):
                    done.add(one)
                    yield one

    def folder(self, folder: str) -> Iterator[str]:
        """Look into one folder, and into those in it that are new, or that others have taken the place of."""
        yield from self._walk(_parts(folder), deep=False)

    def _walk(self, parts: Parts, *, deep: bool) -> Iterator[str]:
        waiting = [parts]
        while waiting:
            here = waiting.pop()
            known = self._store.folders_in("/".join(here))
            inner = {"/".join((*here, name)) for name in self._look(here)}
            for gone in known.keys() - inner:
                self._forget(gone)
            wanted = [name for name in inner if deep or self._is_changed(name, known.get(name))]
            waiting += sorted((_parts(name) for name in wanted), reverse=True)
            yield "/".join(here)

    def _look(self, parts: Parts) -> list[str]:
        """Bring one folder in line; the names of the folders in it."""
        name = "/".join(parts)
        try:
            with open_folder(self._recordings, parts) as descriptor:
                status = os.fstat(descriptor)
                if identity(status) == identity_of(self._hidden):
                    return []
                self._on_folder(name, descriptor)
                known = self._store.folder(name)
                if known is None:  # first of all: rows in a folder that nobody knows would never go
                    self._keep(name, None)
                folder, inner = look_into(descriptor, parts)
                self._files(name, folder)
                looks = _looks(status, descriptor)
                if len(parts) == 1:
                    ledgers.follow(self._store, name, descriptor, self._box.agent)
        except OSError as error:
            if not parts or error.errno not in NOT_THERE:
                raise
            self._forget(name)
            return []
        if self._is_settled(status.st_mtime_ns) and known != (looks,):
            self._keep(name, looks)
        return inner

    def _keep(self, name: str, looks: str | None) -> None:
        with self._store.writing():
            self._store.keep_folder(name, looks)

    def _files(self, name: str, folder: Folder) -> None:
        known = self._store.seen_in(name)
        finished = set(folder.audio)
        there: set[str] = set()
        batch: list[_Found] = []
        for audio in (*folder.audio, *(part for part in folder.open_audio if plain_name(part) not in finished)):
            self._on_file()
            file = folder.path(plain_name(audio))
            seen, state = known.get(file, (None, None))
            looks = self._looks(folder, audio)
            if looks is None or looks != seen:
                found = self._read(folder, audio, file, looks)
                if found is None:
                    continue
                if found.seen is None or found.seen != seen:
                    batch.append(replace(found, was=state))
            there.add(file)
            if len(batch) >= _BATCH:
                self._write(name, batch)
                batch = []
        for gone in self._deleted(folder, known):
            there.add(gone.row.file if isinstance(gone, _Found) else gone)
            if isinstance(gone, _Found):
                batch.append(gone)
            if len(batch) >= _BATCH:
                self._write(name, batch)
                batch = []
        self._write(name, batch)
        self._drop(sorted(set(known) - there))

    def _deleted(self, folder: Folder, known: dict[str, tuple[str | None, str]]) -> "Iterator[_Found | str]":
        """What is told by sidecars whose audio has been deleted: a row, or the file where it is known already."""
        beside = {sidecar_of(audio) for audio in (*folder.audio, *folder.open_audio)}
        rows = {sidecar_of(file.rpartition("/")[2]): file for file in known}
        for sidecar in sorted(folder.sidecars - beside):
            file = rows.get(sidecar)
            seen, state = known[file] if file is not None else (None, None)
            status = stat_file(folder.descriptor, sidecar)
            if status is None:
                continue
            is_settled = self._is_settled(max(status.st_mtime_ns, status.st_ctime_ns))
            looks = f"deleted|{status.st_ino}:{status.st_mtime_ns}:{status.st_ctime_ns}" if is_settled else None
            if file is not None and looks is not None and looks == seen:
                self._on_file()
                yield file
                continue
            found = describe.deleted(folder.descriptor, "/".join(folder.parts), sidecar)
            if found is not None:
                self._on_file()
                yield _Found(found[0], looks, state)

    def _looks(self, folder: Folder, audio: str) -> str | None:
        """What tells a finished file from the same file changed; None where that cannot be told yet, or never."""
        if is_part(audio):
            return None
        sidecar = sidecar_of(audio)
        names = (audio, sidecar) if sidecar in folder.sidecars else (audio,)
        facts = [stat_file(folder.descriptor, name) for name in names]
        there = [fact for fact in facts if fact is not None]
        if not all(self._is_settled(max(one.st_mtime_ns, one.st_ctime_ns)) for one in there):
            return None
        return "|".join(f"{one.st_ino}:{one.st_size}:{one.st_mtime_ns}:{one.st_ctime_ns}" for one in there)

    def _read(self, folder: Folder, audio: str, file: str, looks: str | None) -> "_Found | None":
        """Read a file; None where it has gone or is none of ours."""
        if is_part(audio):
            row = describe.opened(folder.descriptor, file, self._box)
            return None if row is None else _Found(row, f"open|{row.id}|{row.start_ms}")
        status = stat_file(folder.descriptor, audio)
        return None if status is None else _Found(describe.finished(folder.descriptor, file, status, self._box), looks)

    def _write(self, name: str, batch: list["_Found"]) -> None:
        if not batch:
            return
        with self._store.writing():
            before = [self._store.put(name, found.row, found.seen) for found in batch]
        for found, was in zip(batch, before, strict=True):
            if found.row.state == State.OPEN:
                if found.was != State.OPEN:
                    self._on_change(("opened", found.row))
            elif found.row.state == State.DELETED:
                if found.was not in (None, State.DELETED):
                    self._on_change(("deleted", found.row))
            elif found.was is None or found.was == State.OPEN:
                self._on_change(("closed", found.row))
            elif was is not None and (was.start_ms, was.end_ms) != (found.row.start_ms, found.row.end_ms):
                self._on_change(("moved", found.row))

    def _drop(self, files: list[str]) -> None:
        for at in range(0, len(files), _BATCH):
            with self._store.writing():
                gone = [self._store.drop(file) for file in files[at : at + _BATCH]]
            for row in gone:
                if row is not None and row.state != State.DELETED:
                    self._on_change(("deleted", row))

    def _forget(self, folder: str) -> None:
        self._drop(self._store.files_below(folder))
        with self._store.writing():
            self._store.drop_folder(folder)

    def _is_changed(self, folder: str, seen: str | None) -> bool:
        """Whether a folder is no longer what it looked like, or there is no telling."""
        try:
            with open_folder(self._recordings, _parts(folder)) as descriptor:
                return seen is None or seen != _looks(os.fstat(descriptor), descriptor)
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            return True

    def _is_settled(self, time_ns: int) -> bool:
        return self._now_ns() - time_ns > _SETTLED_NS


@dataclass(frozen=True, slots=True)
class _Found:
    """A row, what its file looked like, and its state in the index so far."""

    row: Row
    seen: str | None
    was: str | None = None


def _looks(status: os.stat_result, descriptor: int) -> str:
    """What tells a folder from another one in its place, from itself with another name in it, or with a longer
    ledger."""
    return f"{status.st_ino}:{status.st_mtime_ns}{ledgers.looks_of(descriptor)}"


def _parts(folder: str) -> Parts:
    return tuple(folder.split("/")) if folder else ()
