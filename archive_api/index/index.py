"""The index of one archive: a thread that keeps it, and connections for who asks."""

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from agent import clock
from agent.errors import IsrError
from archive_api.index.describe import Box
from archive_api.index.reader import Reader
from archive_api.index.scanner import Change, Scanner
from archive_api.index.store import Store, UnusableError, is_damage, open_store, remove
from archive_api.index.watch import Changes, Watcher

FILE = "index.sqlite"
_FOLDERS_EVERY_S, _FOLDERS_EVERY_BLIND_S, _ALL_EVERY_S = 60.0, 10.0, 600.0
_FIRST_PAUSE_S, _MOST_PAUSE_S = 0.5, 10.0
_STOP_S = 5.0

_log = logging.getLogger(__name__)


class IndexUnavailableError(Exception):
    """There is no index to be read at this moment; it is being built, or its disk is in trouble."""


class _StoppedError(Exception):
    """The thread has been told to end."""


class Index:
    """Recordings as rows. Nothing runs before `start`."""

    def __init__(self, state_directory: Path, recordings: Path, hidden: Path, box: Box) -> None:
        self.path = state_directory / FILE
        self.settings = f"agent {box.agent}, zone {box.zone.key}, hidden {hidden}"
        self.recordings, self.hidden, self._box = recordings, hidden, box
        self._listeners: list[Callable[[Change], None]] = []
        self._stopping = threading.Event()
        self._damaged = threading.Event()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)
        self._is_blind = self._is_told_of_blindness = self._is_faulty = False
        self.is_caught_up = False
        """Whether everything has been looked at since the thread began."""

    def start(self) -> None:
        """Begin to catch up and to follow. Raises IsrError where the state folder cannot be written."""
        make_state_directory(self.path.parent)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        os.eventfd_write(self._wake, 1)
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            _log.error("the thread of the index did not end in time")

    def listen(self, callback: Callable[[Change], None]) -> None:
        """Have `callback` called with every `("opened" | "closed" | "moved" | "deleted", row)` once it can be read.

        It is called from the thread of the index and has to return soon. What happened while the archive did not run
        is not told. A row comes without its lists where it is `deleted`.
        """
        self._listeners.append(callback)

    def scanner(self, store: Store, **callbacks: Callable[..., None]) -> Scanner:
        """What brings `store` in line with the recordings folder."""
        return Scanner(self.recordings, self.hidden, self._box, store, now_ns=lambda: clock.now().wall_ns, **callbacks)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reader]:
        """A look at the index, the same from begin to end. Raises IndexUnavailableError."""
        try:
            address = f"file:{quote(str(self.path))}?mode=ro"
            with contextlib.closing(sqlite3.connect(address, uri=True, timeout=1, isolation_level=None)) as base:
                base.execute("BEGIN")
                yield Reader(base)
        except sqlite3.Error as error:
            if is_damage(error):
                self._damaged.set()
                os.eventfd_write(self._wake, 1)
            raise IndexUnavailableError from error

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            self.is_caught_up = False
            try:
                with contextlib.closing(open_store(self.path, self.settings)) as store:
                    self._follow(store)
            except _StoppedError:
                return
            except (OSError, sqlite3.Error, UnusableError) as error:
                if self.is_caught_up:
                    pause_s = _FIRST_PAUSE_S
                self._fault(error, is_news=pause_s == _FIRST_PAUSE_S)
                self._stopping.wait(pause_s)
                pause_s = min(pause_s * 2, _MOST_PAUSE_S)

    def _fault(self, error: Exception, *, is_news: bool) -> None:
        self._is_faulty = True
        if is_damage(error):
            _log.warning("the index is of no use (%s); building it anew", error)
            with contextlib.suppress(OSError):  # then opening it tells what is wrong
                remove(self.path)
        elif is_news:
            reason = error.strerror if isinstance(error, OSError) else error
            _log.warning("the index is not kept at the moment: %s", reason)

    def _follow(self, store: Store) -> None:
        """Catch up, then follow until told to stop, or until another file is in the place of this one."""
        with contextlib.ExitStack() as resources:
            watcher = self._watcher(resources)
            scanner = self.scanner(
                store,
                on_folder=lambda folder, descriptor: self._watch(watcher, folder, descriptor),
                on_change=self._tell,
                on_file=self._check_stop,
            )
            self._drain(scanner.everything())
            self.is_caught_up = True
            if self._is_faulty:
                _log.info("the index is kept again")
                self._is_faulty = False
            all_at_s = clock.monotonic_s() + _ALL_EVERY_S
            folders_at_s = clock.monotonic_s() + self._folders_every_s
            while store.is_current:
                changes = self._wait(watcher, min(all_at_s, folders_at_s) - clock.monotonic_s())
                now_s = clock.monotonic_s()
                if changes.all or now_s >= all_at_s:
                    self._drain(scanner.everything())
                    all_at_s, folders_at_s = now_s + _ALL_EVERY_S, now_s + self._folders_every_s
                elif now_s >= folders_at_s:
                    self._drain(scanner.changed_folders())
                    folders_at_s = now_s + self._folders_every_s
                for folder in sorted(changes.folders):
                    self._drain(scanner.folder(folder))

    @property
    def _folders_every_s(self) -> float:
        return _FOLDERS_EVERY_BLIND_S if self._is_blind else _FOLDERS_EVERY_S

    def _watcher(self, resources: contextlib.ExitStack) -> Watcher | None:
        self._is_blind = False
        try:
            return resources.enter_context(Watcher())
        except OSError as error:
            self._go_blind(error)
            return None

    def _watch(self, watcher: Watcher | None, folder: str, descriptor: int) -> None:
        if watcher is not None:
            try:
                watcher.add(folder, descriptor)
            except OSError as error:
                self._go_blind(error)

    def _go_blind(self, error: OSError) -> None:
        if not self._is_told_of_blindness:
            text = "no notifications for all folders (%s); new recordings are found within %.0f s (see inotify(7))"
            _log.warning(text, error.strerror, _FOLDERS_EVERY_BLIND_S)
        self._is_blind = self._is_told_of_blindness = True

    def _wait(self, watcher: Watcher | None, timeout_s: float) -> Changes:
        if watcher is not None:
            changes = watcher.wait(max(0.0, timeout_s), self._wake)
        else:
            self._stopping.wait(max(0.0, timeout_s))
            changes = Changes()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        self._check_stop()
        if self._damaged.is_set():
            self._damaged.clear()
            raise UnusableError("damaged, as a reader found")
        return changes

    def _drain(self, steps: Iterable[str]) -> None:
        for _ in steps:
            self._check_stop()

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise _StoppedError

    def _tell(self, change: Change) -> None:
        if not self.is_caught_up:
            return
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:  # noqa: BLE001 - whatever it is: told, and the index goes on
                _log.exception("a listener of the index failed")


def make_state_directory(folder: Path) -> None:
    """Make the archive's own folder; IsrError where it cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason: str | None = error.strerror
    else:
        reason = None if os.access(folder, os.W_OK | os.X_OK) else "it may not be written"
    if reason is not None:
        raise IsrError(
            f"the archive's state folder {folder} cannot be used: {reason}",
            hint="set archive.state_directory to a folder that the archive may write; it need not be kept for good",
        )
