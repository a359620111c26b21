"""A file as a container reads it, without mapping it: a file that is cut short meanwhile reads short, and nothing
worse (a map of it would kill the process)."""

import os

_WINDOW_BYTES = 1 << 18


class FileView:
    """The first `length` bytes of an open file. A piece is kept, because containers go along it in small steps."""

    def __init__(self, descriptor: int, length: int) -> None:
        self._descriptor = descriptor
        self._length = length
        self._start = 0
        self._window = b""

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._length)
        if start >= stop:
            return b""
        at = start - self._start
        if at < 0 or stop - self._start > len(self._window):
            size = max(stop - start, min(_WINDOW_BYTES, self._length - start))
            self._start, self._window = start, os.pread(self._descriptor, size, start)
            at = 0
        return self._window[at : at + stop - start]

    def find(self, wanted: bytes, start: int = 0, end: int | None = None) -> int:
        """As bytes.find, for bounds within the file."""
        end = self._length if end is None else min(end, self._length)
        while start < end:
            piece = self[start : min(end, start + _WINDOW_BYTES)]
            found = piece.find(wanted)
            if found >= 0:
                return start + found
            if start + len(piece) >= end or len(piece) < len(wanted):
                break
            start += len(piece) - len(wanted) + 1
        return -1

    def rfind(self, wanted: bytes, start: int = 0, end: int | None = None) -> int:
        """As bytes.rfind, for bounds within the file."""
        end = self._length if end is None else min(end, self._length)
        while start < end:
            first = max(start, end - _WINDOW_BYTES)
            found = os.pread(self._descriptor, end - first, first).rfind(wanted)
            if found >= 0:
                return first + found
            if first == start:
                break
            end = first + len(wanted) - 1
        return -1
