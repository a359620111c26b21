import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.mqtt.outbox import FILE, Contents, Outbox, OutboxBrokenError, OutboxUnwritableError, put_aside
from agent.mqtt.rows import Draft, Dropped, Kind, Newest
from tests.agent.build import utc
from tests.system.running import REPOSITORY

NEWEST = Newest("mic", "id", 2, utc(5))


def draft(number: int, kind: Kind = Kind.SEGMENT) -> Draft:
    return Draft(kind, "mic", f"id-{number}", 1, utc(number), b"x" * number, float(number), utc(number))


@contextmanager
def opened(path: Path, boot: str = "boot") -> Iterator[tuple[Outbox, Contents]]:
    outbox, contents = Outbox.open(path, boot, lambda: [NEWEST])
    try:
        yield outbox, contents
    finally:
        outbox.close()


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    with opened(tmp_path / FILE) as (outbox, contents):
        assert contents.is_new
        assert contents.newest == {"mic": NEWEST}
        rows = outbox.write([draft(1), draft(2, Kind.EVENT)])
        assert [row.seq for row in rows] == [1, 2]
        outbox.write([draft(3)], done=[1], newest=[Newest("mic", "id-3", 1, utc(3))], dropped=Dropped(1, 2, 2))
        epoch = contents.epoch
    with opened(tmp_path / FILE) as (outbox, contents):
        assert (contents.is_new, contents.epoch) == (False, epoch)
        assert [(row.seq, row.id, row.size_bytes, row.known_s) for row in contents.rows] == [
            (2, "id-2", 2, 2.0),
            (3, "id-3", 3, 3.0),
        ]
        assert contents.newest == {"mic": Newest("mic", "id-3", 1, utc(3))}
        assert contents.dropped == Dropped(1, 2, 2)
        assert outbox.body(3) == b"xxx"
        outbox.write((), done=[2, 3])
    with opened(tmp_path / FILE, boot="later") as (outbox, contents):
        assert contents.rows == []
        assert contents.dropped is None
        assert outbox.write([draft(4)])[0].seq == 4, "a number is never used again"
    with opened(tmp_path / FILE) as (_, contents):
        assert contents.rows[0].known_s is None, "another boot's monotonic clock means nothing"


def test_kill_at_any_moment_loses_nothing_and_uses_no_number_twice(tmp_path: Path) -> None:
    moments = random.Random(7)
    committed: dict[int, str] = {}
    forgotten: set[int] = set()
    for life in range(12):
        command = [sys.executable, "-m", "tests.agent.mqtt.outbox_crash", str(tmp_path / FILE), f"life{life}"]
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=REPOSITORY)
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        killer = threading.Timer(moments.uniform(0, 0.2), os.kill, (child.pid, signal.SIGKILL))
        killer.start()
        lines += child.stdout.readlines()
        killer.join()
        child.wait(10)
        child.stdout.close()
        for word in " ".join(line for line in lines if line.endswith("\n")).split():
            if word.startswith("-"):
                forgotten.add(int(word[1:]))
            else:
                number, _, name = word[1:].partition("=")
                assert committed.setdefault(int(number), name) == name, "a number for two messages"
        with opened(tmp_path / FILE) as (outbox, contents):
            found = {row.seq: row.id for row in contents.rows}
            # What was forgotten last may not have been said any more.
            missing = committed.keys() - found.keys() - forgotten
            assert len(missing) <= 2, "committed and lost"
            forgotten |= missing
            for seq, name in found.items():
                assert committed.setdefault(seq, name) == name
                assert outbox.body(seq) == name.encode()
            last = max(committed)
            assert sorted(committed) == list(range(1, last + 1)), "a hole"
    assert len(committed) > 100


@pytest.mark.parametrize(
    "content",
    [
        b"no database at all" * 500,
        b"SQLite format 3\0" + b"\xff" * 5000,
    ],
)
def test_a_file_that_is_no_outbox_is_broken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(OutboxBrokenError):
        Outbox.open(tmp_path / FILE, "boot", list)
    aside = put_aside(tmp_path / FILE, utc(0))
    assert aside.name == "outbox.sqlite.broken-20261122T130000Z"
    assert aside.read_bytes() == content
    with opened(tmp_path / FILE) as (_, contents):
        assert contents.is_new


def test_damage_inside_is_seen(tmp_path: Path) -> None:
    with opened(tmp_path / FILE) as (outbox, _):
        outbox.write([draft(number) for number in range(1, 400)])
    data = bytearray((tmp_path / FILE).read_bytes())
    for at in range(4096 * 3, len(data), 512):
        data[at : at + 64] = b"\xa5" * 64
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(OutboxBrokenError):
        Outbox.open(tmp_path / FILE, "boot", list)


def test_another_database_and_another_version_are_not_ours(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE cats (name TEXT)")
    connection.close()
    with pytest.raises(OutboxBrokenError):
        Outbox.open(tmp_path / FILE, "boot", list)
    with opened(tmp_path / "new"):
        pass
    connection = sqlite3.connect(tmp_path / "new", isolation_level=None)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(OutboxBrokenError):
        Outbox.open(tmp_path / "new", "boot", list)


def test_a_folder_in_its_place_is_put_aside_too(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(OutboxBrokenError):
        Outbox.open(tmp_path / FILE, "boot", list)
    put_aside(tmp_path / FILE, utc(0))
    with opened(tmp_path / FILE) as (_, contents):
        assert contents.is_new


def test_an_empty_file_is_a_new_outbox(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    with opened(tmp_path / FILE) as (_, contents):
        assert contents.is_new


def test_a_birth_that_failed_leaves_no_outbox_without_a_memory(tmp_path: Path) -> None:
    def interrupted() -> list[Newest]:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        Outbox.open(tmp_path / FILE, "boot", interrupted)
    with opened(tmp_path / FILE) as (_, contents):
        assert contents.is_new
        assert contents.newest == {"mic": NEWEST}


def test_a_full_disk_changes_nothing_and_may_be_over(tmp_path: Path) -> None:
    with opened(tmp_path / FILE) as (outbox, _):
        outbox.write([draft(1)])
        pages = outbox._connection.execute("PRAGMA page_count").fetchone()[0]
        outbox._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(OutboxUnwritableError, match="full"):
            outbox.write([draft(100_000)], done=[1])
        assert outbox.body(1) == b"x"
        outbox._connection.execute("PRAGMA max_page_count = 1000000")
        assert outbox.write([draft(100_000)])[0].seq == 2


def test_a_lock_of_somebody_else_is_no_damage(tmp_path: Path) -> None:
    with opened(tmp_path / FILE):
        pass
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutboxUnwritableError):
        Outbox.open(tmp_path / FILE, "boot", list)
    other.close()
