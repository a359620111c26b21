"""The one place that changes the sidecar of a finished segment: read, change, `rev` + 1, write durably, tell.

Whoever has something to correct (a checksum, a time, protection, deletion) says how the segment is to change; the
sidecar on disk counts, and changes of several come one after the other, so that none is lost.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from agent.archive_format.names import PART, SegmentName, name_of, source_of
from agent.archive_format.sidecar import encode, segment_from, segment_json
from agent.model import FinishedSegment, Segment
from agent.storage.beneath import NotOursError, folder_beneath, read_in, replace_in, status_in

_MOST_BYTES = 16 << 20
_WRONG = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)

Change = Callable[[Segment], Segment]


class Sidecars:
    """Those of one recordings folder. For any thread. `tell` takes what was changed, to be said to the world."""

    def __init__(self, recordings: Path, tell: Callable[[FinishedSegment], None]) -> None:
        self._recordings, self._tell = recordings, tell
        self._lock = threading.Lock()

    def read(self, file: str) -> Segment:
        """What the sidecar of a segment tells; `file` is that of its audio, below the recordings folder.

        Raises NotOursError where there is none that speaks of this file, OSError where it cannot be read.
        """
        name = our_name(file)
        with folder_beneath(self._recordings, name.folder) as folder:
            return read_segment(folder, name)

    def change(self, file: str, change: Change) -> Segment:
        """Change the sidecar of a finished segment, durably, and tell; what it says then.

        Nothing is written where `change` gives back what it got. Raises as `read`, and OSError where the disk takes
        nothing; the sidecar is as it was then.
        """
        changed, is_new = self._change(file, change)
        if is_new:
            self.tell(changed)
        return changed

    def change_untold(self, file: str, change: Change) -> Segment:
        """As `change`; who asks tells himself, when what it is about is done too."""
        return self._change(file, change)[0]

    def tell(self, segment: Segment) -> None:
        """Say to the world what a sidecar says now."""
        self._tell(FinishedSegment(segment, self._recordings / segment.file))

    def _change(self, file: str, change: Change) -> tuple[Segment, bool]:
        name = our_name(file)
        with self._lock, folder_beneath(self._recordings, name.folder) as folder:
            known = read_segment(folder, name)
            wanted = change(known)
            if wanted == known:
                return known, False
            if status_in(folder, PurePosixPath(name.audio_part).name) is not None:
                raise NotOursError(f"{file} is not finished yet")
            changed = replace(wanted, rev=known.rev + 1)
            replace_in(folder, PurePosixPath(name.sidecar).name, _encoded(changed))
            return changed, True


def _encoded(segment: Segment) -> bytes:
    try:
        return encode(segment_json(segment))
    except _WRONG as error:  # a time zone that this box does not know, a number that is none
        raise NotOursError(f"the sidecar of {segment.file} cannot be written again: {error}") from error


def our_name(file: str) -> SegmentName:
    """The name that a finished audio file of ours has, in its source's folder; NotOursError for any other."""
    path = PurePosixPath(file)
    name = name_of(path)
    if name is None or path.suffix == PART or len(path.parts) != 5 or path.parts[0] != source_of(name):
        raise NotOursError(f"{file} is no name of ours")
    return name


def read_segment(folder: int, name: SegmentName) -> Segment:
    """What the sidecar in an open folder tells; NotOursError where there is none that speaks of this very file."""
    data = read_in(folder, PurePosixPath(name.sidecar).name, _MOST_BYTES)
    if data is None:
        raise NotOursError(f"{name.audio} has no sidecar")
    try:
        segment = segment_from(json.loads(data))
    except _WRONG as error:
        raise NotOursError(f"{name.sidecar} is no sidecar of ours: {error}") from error
    if segment.file != name.audio or segment.source != source_of(name) or segment.container != name.extension:
        raise NotOursError(f"{name.sidecar} speaks of another file")
    return segment
