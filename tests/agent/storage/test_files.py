import ctypes
import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import LockedError
from agent.storage.files import FolderLock, append_durably, make_folders, rename_new, sync_folder, write_whole
from tests.agent.storage.crash import Killed, dying


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_whole(path, b"old")
    for before in range(10):
        with dying(before) as killer:
            try:
                write_whole(path, b"new")
            except Killed:
                assert path.read_bytes() == b"old"
                continue
        assert killer.left >= 0
        break
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=8).filter(lambda b: b"\n" not in b), st.booleans()), max_size=8)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_a_torn_line_never_spoils_the_next(tmp_path: Path, lines: list[tuple[bytes, bool]]) -> None:
    path = tmp_path / "folder" / "lines"
    path.unlink(missing_ok=True)
    for line, torn in lines:
        append_durably(path, line if torn else line + b"\n")
    found = path.read_bytes().split(b"\n") if lines else []
    assert [line for line in found if line] == [line for line, _ in lines]


def test_folders_are_made_below_the_root(tmp_path: Path) -> None:
    make_folders(tmp_path / "a" / "b" / "c", tmp_path)
    make_folders(tmp_path / "a" / "b" / "c", tmp_path)
    assert (tmp_path / "a" / "b" / "c").is_dir()
    sync_folder(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        sync_folder(tmp_path / "file")


class NoRename:
    """A C library whose file system knows no renameat2."""

    def __init__(self, code: int) -> None:
        self.code = code

    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(self.code)
        return -1


@pytest.fixture(params=["renameat2", "link", "rename"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Three kinds of file system: with renameat2, without it, and without links as well."""
    kind = str(request.param)
    if kind != "renameat2":
        monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: NoRename(errno.EINVAL))
    if kind == "rename":

        def refuse(*_: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    return kind


@pytest.mark.usefixtures("file_system")
def test_a_rename_gives_the_new_name_and_takes_the_old(tmp_path: Path) -> None:
    (tmp_path / "a ä+").write_bytes(b"audio")
    rename_new(tmp_path / "a ä+", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_bytes() == b"audio"


@pytest.mark.usefixtures("file_system")
def test_a_rename_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        rename_new(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b").read_bytes() == b"old"


@pytest.mark.usefixtures("file_system")
def test_a_rename_of_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rename_new(tmp_path / "a", tmp_path / "b")


def test_a_rename_that_a_crash_cut_in_two_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without renameat2 there is a moment with both names."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: NoRename(errno.ENOSYS))
    (tmp_path / "a").write_bytes(b"audio")
    os.link(tmp_path / "a", tmp_path / "b")
    rename_new(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_belongs_to_one(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "state")
    with pytest.raises(LockedError, match=f"process {os.getpid()}") as caught:
        FolderLock(tmp_path / "state")
    assert caught.value.hint
    FolderLock(tmp_path / "other").release()
    lock.release()
    FolderLock(tmp_path / "state").release()
