"""Keeps what is cut off a damaged recording, in pieces: it may be larger than the memory."""

import os
from collections.abc import Iterator
from pathlib import Path

from agent.storage.files import TEMPORARY, rename_new
from agent.storage.plain import is_plain, open_plain

_PIECE_BYTES = 1 << 20


def rest_bytes(audio: Path, begin: int) -> int:
    """How much there is from `begin` on, without the zeros at the end."""
    with open_plain(audio) as file:
        end = os.fstat(file.fileno()).st_size
        while end > begin:
            first = max(begin, end - _PIECE_BYTES)
            piece = os.pread(file.fileno(), end - first, first)
            if used := len(piece.rstrip(b"\0")):
                return first + used - begin
            end = first
    return 0


def keep(audio: Path, begin: int, length: int, kept: Path) -> None:
    """Copy these bytes to a file of their own, durably. One that has them already, of a repair that was cut short, is
    good; FileExistsError, and nothing changed, where there is another one."""
    temporary = kept.with_name(kept.name + TEMPORARY)
    if is_plain(kept) and kept.stat().st_size == length:
        with open_plain(kept) as there:
            if all(there.read(len(piece)) == piece for piece in _pieces(audio, begin, length)):
                return
    temporary.unlink(missing_ok=True)
    with temporary.open("xb") as file:
        for piece in _pieces(audio, begin, length):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    try:
        rename_new(temporary, kept)
    except FileExistsError:
        temporary.unlink()
        raise


def _pieces(audio: Path, begin: int, length: int) -> Iterator[bytes]:
    with open_plain(audio) as file:
        file.seek(begin)
        while length:
            piece = file.read(min(_PIECE_BYTES, length))
            if not piece:
                raise OSError(f"{audio.name} became shorter")
            yield piece
            length -= len(piece)
