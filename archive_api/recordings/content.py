"""An open file of known length: what it was when opened is what can be read."""

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Self

from agent.codecs.base import Patch
from archive_api.answers.conditions import Validators


class ShrunkError(Exception):
    """The file has become shorter than it was when it was opened."""


class Content:
    """The first `size` bytes of a descriptor, which it owns, with `patches` laid over them."""

    def __init__(
        self, descriptor: int, size: int, name: str, validators: Validators, patches: Sequence[Patch] = ()
    ) -> None:
        self._descriptor = descriptor
        self.size = size
        self.name = name
        self.validators = validators
        self._patches = patches

    @classmethod
    def finished(cls, descriptor: int, name: str) -> Self:
        """A file as it is now. Its tag changes with every write the file system notes, and with every replacement."""
        status = os.fstat(descriptor)
        tag = etag("file", status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        modified = datetime.fromtimestamp(status.st_mtime_ns // 1_000_000_000, UTC)
        return cls(descriptor, status.st_size, name, Validators(tag, modified))

    def read(self, start: int, length: int) -> bytes:
        """Exactly these bytes, which must lie below `size`; raises ShrunkError where they are gone."""
        data = os.pread(self._descriptor, length, start)
        while len(data) < length:
            more = os.pread(self._descriptor, length - len(data), start + len(data))
            if not more:
                raise ShrunkError(f"{self.name} ends at byte {start + len(data)}, but {self.size} were promised")
            data += more
        return overlaid(data, start, self._patches)

    def close(self) -> None:
        """Give the descriptor back; a second time it does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def overlaid(data: bytes, start: int, patches: Sequence[Patch]) -> bytes:
    """The bytes of a file from `start` on, with what of the patches falls into them."""
    for patch in patches:
        low = max(start, patch.offset)
        high = min(start + len(data), patch.offset + len(patch.data))
        if low < high:
            piece = patch.data[low - patch.offset : high - patch.offset]
            data = data[: low - start] + piece + data[high - start :]
    return data


def etag(*facts: object) -> str:
    """A strong entity tag that stands for these facts and gives none of them away."""
    return f'"{hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()}"'
