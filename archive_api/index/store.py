"""The index as its one writer has it."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from archive_api.index.gap_row import GAP_COLUMNS, GapRow
from archive_api.index.row import COLUMNS, Event, Row, Title
from archive_api.index.schema import APPLICATION_ID, INSERT_GAP, INSERT_ROW, ROW, TABLES, VERSION, statements

_BUSY_S = 60.0
"""How long to wait for another writer: a reindex copies everything in one transaction."""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_log = logging.getLogger(__name__)


class UnusableError(Exception):
    """The file is no index of this version and of this configuration, or is damaged."""


class Store:
    """An open index file. `settings` is what rows depend on besides the folder: another text makes the file outdated.

    Raises UnusableError, or sqlite3.DatabaseError where it is damaged.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self._path = path
        self._base = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            self._prepare(settings)
            self._identity = _identity(path)
        except BaseException:
            self._base.close()
            raise

    def close(self) -> None:
        """Give the file back."""
        self._base.close()

    @property
    def is_current(self) -> bool:
        """Whether the file still is the one of that name: who finds it broken puts another in its place."""
        try:
            return _identity(self._path) == self._identity
        except OSError:
            return False

    def count(self) -> int:
        """How many recordings there are."""
        return int(self._base.execute("SELECT count(*) FROM segments").fetchone()[0])

    def folders(self) -> list[tuple[str, str | None]]:
        """Every folder and what it looked like when it was read."""
        return self._base.execute("SELECT folder, seen FROM folders ORDER BY folder").fetchall()

    def folder(self, folder: str) -> tuple[str | None] | None:
        """What a folder looked like, by itself; None where it was never read."""
        found: tuple[str | None] | None = self._base.execute(
            "SELECT seen FROM folders WHERE folder = ?", (folder,)
        ).fetchone()
        return found

    def folders_in(self, folder: str) -> dict[str, str | None]:
        """The folders directly in a folder, and what they looked like."""
        low, high = _below(folder)
        found = self._base.execute("SELECT folder, seen FROM folders WHERE folder >= ? AND folder < ?", (low, high))
        return {name: seen for name, seen in found if name and "/" not in name.removeprefix(low)}

    def seen_in(self, folder: str) -> dict[str, tuple[str | None, str]]:
        """File to what it looked like and to its state, for everything directly in a folder."""
        found = self._base.execute("SELECT file, seen, state FROM segments WHERE folder = ?", (folder,))
        return {file: (seen, state) for file, seen, state in found}

    def files_below(self, folder: str) -> list[str]:
        """The files in a folder and in all folders in it."""
        low, high = _below(folder)
        query = "SELECT file FROM segments WHERE folder = ? OR (folder >= ? AND folder < ?)"
        return [file for (file,) in self._base.execute(query, (folder, low, high))]

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction; nothing of it stays where it raises."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._base.execute("COMMIT")
        except BaseException:
            if self._base.in_transaction:  # a full disk has ended it already
                self._base.execute("ROLLBACK")
            raise

    def put(self, folder: str, row: Row, seen: str | None) -> Row | None:
        """Have this row, in the place of one for the same file; what that was, as `drop`."""
        before = self.drop(row.file)
        values = [getattr(row, name) for name in COLUMNS]
        number = self._base.execute(INSERT_ROW, (folder, seen, *values)).lastrowid
        self._base.executemany("INSERT INTO titles VALUES (?, ?, ?, ?, ?)", _titles(number, row.titles))
        self._base.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _events(number, row.events))
        return before

    def drop(self, file: str) -> Row | None:
        """Remove the row of a file; what it was, without its lists."""
        query = f"DELETE FROM segments WHERE file = ? RETURNING {ROW}"  # noqa: S608 - our own names
        found = self._base.execute(query, (file,)).fetchall()
        return Row(*found[0]) if found else None

    def keep_folder(self, folder: str, seen: str | None) -> None:
        """Note that a folder was read."""
        self._base.execute("INSERT OR REPLACE INTO folders VALUES (?, ?)", (folder, seen))

    def drop_folder(self, folder: str) -> None:
        """Forget a folder and all folders in it; its rows are dropped one by one."""
        low, high = _below(folder)
        for table in ("folders", "ledgers", "gaps"):
            query = f"DELETE FROM {table} WHERE folder = ? OR (folder >= ? AND folder < ?)"  # noqa: S608 - our own names
            self._base.execute(query, (folder, low, high))

    def ledger(self, folder: str) -> tuple[int, int, str] | None:
        """The inode of a ledger, how many bytes of it were read, and a digest of the last of those; None where there
        was none."""
        query = "SELECT inode, read_bytes, before FROM ledgers WHERE folder = ?"
        found: tuple[int, int, str] | None = self._base.execute(query, (folder,)).fetchone()
        return found

    def keep_ledger(self, folder: str, agent: str, inode: int, read_bytes: int, before: str) -> None:
        """Note how far a ledger was read, and a digest of what stands there."""
        values = (folder, agent, inode, read_bytes, before)
        self._base.execute("INSERT OR REPLACE INTO ledgers VALUES (?, ?, ?, ?, ?)", values)

    def put_gaps(self, folder: str, gaps: list[GapRow]) -> None:
        """Have these gaps; a later line of one takes the place of an earlier."""
        values = ([folder, *(getattr(gap, name) for name in GAP_COLUMNS)] for gap in gaps)
        self._base.executemany(INSERT_GAP, values)

    def drop_ledger(self, folder: str) -> None:
        """Forget a ledger and its gaps."""
        self._base.execute("DELETE FROM gaps WHERE folder = ?", (folder,))
        self._base.execute("DELETE FROM ledgers WHERE folder = ?", (folder,))

    def adopt(self, other: Path) -> None:
        """Have everything that another index file has, instead of what is here, in one step for all readers."""
        self._base.execute("ATTACH ? AS other", (str(other),))
        try:
            with self.writing():
                for table in (*TABLES, "sums"):
                    self._base.execute(f"DELETE FROM main.{table}")  # noqa: S608 - our own names
                for table in TABLES:
                    self._base.execute(f"INSERT INTO main.{table} SELECT * FROM other.{table}")  # noqa: S608
        finally:
            self._base.execute("DETACH other")

    def _prepare(self, settings: str) -> None:
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = NORMAL")
        with self.writing():
            if not self._base.execute("SELECT 1 FROM sqlite_master").fetchall():
                self._create(settings)
        facts = tuple(self._base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if facts != (APPLICATION_ID, VERSION):
            raise UnusableError("made by another version")
        if self._base.execute("SELECT value FROM meta WHERE key = 'settings'").fetchone() != (settings,):
            raise UnusableError("made for another configuration")
        if self._base.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise UnusableError("damaged")

    def _create(self, settings: str) -> None:
        for statement in _split(statements()):
            self._base.execute(statement)
        self._base.execute("INSERT INTO meta VALUES ('settings', ?)", (settings,))
        self._base.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._base.execute(f"PRAGMA user_version = {VERSION}")


def open_store(path: Path, settings: str) -> Store:
    """The index of this name, an empty one where there is none of this version or where it is damaged.

    Raises sqlite3.Error or OSError where no file can be had there at all.
    """
    try:
        return Store(path, settings)
    except (UnusableError, sqlite3.DatabaseError) as error:
        if not is_damage(error):
            raise
        _log.warning("the index is of no use (%s); building it anew", error)
    remove(path)
    return Store(path, settings)


def is_damage(error: Exception) -> bool:
    """Whether the file itself is wrong, so that only a new one helps: not a full or failing disk."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return isinstance(error, UnusableError) or code & 0xFF in _DAMAGE


def remove(path: Path) -> None:
    """Remove an index with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _below(folder: str) -> tuple[str, str]:
    """The bounds of the names of all folders in a folder: '0' comes right after '/'."""
    return (f"{folder}/", f"{folder}0") if folder else ("", "\U0010ffff")


def _titles(number: int | None, titles: Iterable[Title]) -> Iterator[tuple[object, ...]]:
    for place, title in enumerate(titles):
        yield number, place, title.at_ms, title.text, title.text.casefold()


def _events(number: int | None, events: Iterable[Event]) -> Iterator[tuple[object, ...]]:
    for place, event in enumerate(events):
        yield number, place, event.id, event.type, event.start_ms, event.end_ms, event.offset_s, event.max_dbfs


def _split(script: str) -> Iterator[str]:
    """The statements of a script one by one: executescript would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
