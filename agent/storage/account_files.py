"""What the account of a day is built from at the start: sidecars and the gap ledger, read a little at a time."""

import errno
from collections.abc import Iterator
from pathlib import Path

from agent.archive_format.ledger import read_lines
from agent.archive_format.names import LEDGER
from agent.model import GapLine, Segment
from agent.storage.history import days, segment_of, sidecars_in
from agent.storage.plain import NotPlainError, open_plain

_LEDGER_BYTES = 32 << 10
_SIDECARS = 20


def ledger_lines(recordings: Path, source: str) -> Iterator[list[GapLine]]:
    """Every line of the ledger of a source, in portions. OSError where it cannot be read."""
    try:
        with open_plain(recordings / source / LEDGER) as file:
            while lines := file.readlines(_LEDGER_BYTES):
                yield list(read_lines(b"".join(lines)))
    except FileNotFoundError:
        return
    except NotPlainError as error:
        raise OSError(errno.EINVAL, str(error)) from error


def segments_since(recordings: Path, source: str, since_s: float) -> Iterator[list[Segment]]:
    """Sidecars that may tell of audio after a moment, in portions: all those in folders that have changed since.

    The name of a folder tells less: times are corrected once the clock is right, and names are not. The sidecar of
    audio that was deleted counts as any other. OSError where a folder cannot be read.
    """
    portion: list[Segment] = []
    for folder in days(recordings, source):
        if folder.stat().st_mtime < since_s:
            continue
        for number, path in enumerate(sidecars_in(folder, source)):
            segment = segment_of(path)
            if segment is not None:
                portion.append(segment)
            if number % _SIDECARS == _SIDECARS - 1:
                yield portion
                portion = []
    yield portion
