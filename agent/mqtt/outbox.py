"""The outbox on disk: an SQLite file that gives every message its number and keeps it until the broker has it.

Used by the delivery thread alone. Every change is one transaction that survives a power cut once `write` returns.
"""

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from agent.archive_format.times import from_ns, to_ns
from agent.errors import IsrError
from agent.mqtt.rows import Draft, Dropped, Kind, Newest, Row

FILE = "outbox.sqlite"
_APPLICATION_ID, _LAYOUT = 0x69737271, 1
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_TABLES = """
CREATE TABLE outbox (
  epoch TEXT NOT NULL, dropped_first INTEGER, dropped_last INTEGER, dropped_count INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE rows (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,
  boot TEXT NOT NULL, known_s REAL NOT NULL, known_ms INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE newest (
  source TEXT PRIMARY KEY, id TEXT NOT NULL, rev INTEGER NOT NULL, start_ms INTEGER NOT NULL
);
"""


class OutboxBrokenError(IsrError):
    """The file is no outbox of ours, or not any more: what it held cannot be read."""


class OutboxUnwritableError(IsrError):
    """Nothing can be written at the moment; trying again may help."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an outbox held when it was opened."""

    epoch: str
    is_new: bool
    rows: list[Row]
    newest: dict[str, Newest]
    dropped: Dropped | None


class Outbox:
    """An open outbox. `boot` is the kernel's id of this boot: only within one is `known_s` worth something."""

    def __init__(self, connection: sqlite3.Connection, boot: str) -> None:
        self._connection = connection
        self._boot = boot

    @classmethod
    def open(cls, path: Path, boot: str, baseline: Callable[[], Iterable[Newest]]) -> tuple[Self, Contents]:
        """Open, or begin a new one with a new epoch; that one takes its first memory of segments from `baseline`.

        Raises OutboxBrokenError or OutboxUnwritableError.
        """
        _must_be_a_file_of_ours(path)
        try:
            connection = sqlite3.connect(path, timeout=0.0, isolation_level=None)
        except sqlite3.Error as error:
            raise _told(error) from error
        try:
            outbox = cls(connection, boot)
            return outbox, outbox._begin(baseline)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise _told(error) from error
            raise

    def write(
        self,
        drafts: Sequence[Draft],
        *,
        done: Iterable[int] = (),
        newest: Iterable[Newest] = (),
        dropped: Dropped | None = None,
    ) -> list[Row]:
        """In one transaction: give drafts their numbers, forget what is done, remember the newest segments and what
        was dropped so far. Raises OutboxBrokenError or OutboxUnwritableError; then nothing of it has happened."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            rows = [self._insert(draft) for draft in drafts]
            self._connection.executemany("DELETE FROM rows WHERE seq = ?", [(seq,) for seq in done])
            self._remember(newest)
            self._connection.execute(
                "UPDATE outbox SET dropped_first = ?, dropped_last = ?, dropped_count = ?",
                (None, None, 0) if dropped is None else (dropped.first_seq, dropped.last_seq, dropped.count),
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise _told(error) from error
        return rows

    def body(self, seq: int) -> bytes:
        """What a row says. Raises OutboxBrokenError or OutboxUnwritableError."""
        try:
            found = self._connection.execute("SELECT body FROM rows WHERE seq = ?", (seq,)).fetchone()
        except sqlite3.Error as error:
            raise _told(error) from error
        if found is None:
            raise OutboxBrokenError(f"row {seq} is gone")
        return bytes(found[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _begin(self, baseline: Callable[[], Iterable[Newest]]) -> Contents:
        execute = self._connection.execute
        # Exclusive: nobody else's lock can hold us up, and WAL needs no shared memory.
        execute("PRAGMA locking_mode = EXCLUSIVE")
        layout = execute("PRAGMA user_version").fetchone()[0]
        application = execute("PRAGMA application_id").fetchone()[0]
        is_new = (layout, application) == (0, 0) and execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not is_new and (layout, application) != (_LAYOUT, _APPLICATION_ID):
            raise OutboxBrokenError("it is no outbox of this version of the agent")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA journal_size_limit = 4194304")
        if is_new:
            self._create(baseline())
        elif (problem := execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise OutboxBrokenError(str(problem))
        return self._contents(is_new=is_new)

    def _create(self, newest: Iterable[Newest]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for statement in _TABLES.split(";")[:-1]:
            execute(statement)
        execute("INSERT INTO outbox (epoch) VALUES (?)", (secrets.token_hex(4),))
        self._remember(newest)
        execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        execute(f"PRAGMA user_version = {_LAYOUT}")
        execute("COMMIT")

    def _contents(self, *, is_new: bool) -> Contents:
        execute = self._connection.execute
        try:
            epoch, first, last, count = execute("SELECT * FROM outbox").fetchone()
            select = "SELECT seq, kind, source, id, boot, known_s, known_ms, length(body) FROM rows ORDER BY seq"
            with closing(execute(select)) as found:
                rows = [
                    Row(seq, Kind(kind), source, id_, size, known_s if boot == self._boot else None, _at(known_ms))
                    for seq, kind, source, id_, boot, known_s, known_ms, size in found
                ]
            newest = {
                source: Newest(source, id_, rev, _at(start_ms))
                for source, id_, rev, start_ms in execute("SELECT source, id, rev, start_ms FROM newest")
            }
        except (ValueError, TypeError, OverflowError) as error:
            raise OutboxBrokenError(f"it holds what we never wrote: {error}") from error
        dropped = Dropped(first, last, count) if count else None
        return Contents(epoch, is_new, rows, newest, dropped)

    def _insert(self, draft: Draft) -> Row:
        known_ms = _ms(draft.known_at)
        seq = self._connection.execute(
            "INSERT INTO rows (kind, source, id, boot, known_s, known_ms, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (draft.kind, draft.source, draft.id, self._boot, draft.known_s, known_ms, draft.body),
        ).lastrowid
        assert seq is not None
        return Row(seq, draft.kind, draft.source, draft.id, len(draft.body), draft.known_s, _at(known_ms))

    def _remember(self, newest: Iterable[Newest]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO newest VALUES (?, ?, ?, ?)",
            [(one.source, one.id, one.rev, _ms(one.start)) for one in newest],
        )

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise _told(error) from error


def put_aside(path: Path, at: datetime) -> Path:
    """Rename a broken outbox and what SQLite keeps beside it; its new name. OSError where that cannot be done."""
    aside = path.with_name(f"{path.name}.broken-{at:%Y%m%dT%H%M%SZ}")
    for suffix in ("-wal", "-shm", ""):
        one = path.with_name(path.name + suffix)
        if one.exists():
            one.rename(aside.with_name(aside.name + suffix))
    return aside


def _must_be_a_file_of_ours(path: Path) -> None:
    """What SQLite calls a file that cannot be opened is either ours and unreadable, or the disk's fault."""
    try:
        with path.open("r+b"):
            pass
    except FileNotFoundError:
        return
    except (PermissionError, IsADirectoryError) as error:
        raise OutboxBrokenError(f"{path.name} cannot be opened: {error.strerror}") from error
    except OSError as error:
        raise OutboxUnwritableError(f"{path.name} cannot be opened: {error.strerror}") from error


def _told(error: sqlite3.Error) -> IsrError:
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the error, the rest says where it happened.
    is_broken = code is not None and code & 0xFF in _BROKEN
    return (OutboxBrokenError if is_broken else OutboxUnwritableError)(str(error))


def _ms(at: datetime) -> int:
    return (to_ns(at) + 500_000) // 1_000_000


def _at(ms: int) -> datetime:
    return from_ns(ms * 1_000_000)
