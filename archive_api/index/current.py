"""Recordings as they are right now: what grows or may have changed since is read from its own folder."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.archive_format.names import PART
from agent.archive_format.status import FRESH_S
from agent.archive_format.times import rfc3339, rfc3339_local
from archive_api.index import describe
from archive_api.index.describe import Box
from archive_api.index.row import Row, State, links
from archive_api.index.times import at_ms
from archive_api.recordings.live import Live
from archive_api.recordings.opening import NOT_THERE, open_folder, stat_file
from archive_api.recordings.paths import Parts
from archive_api.recordings.scan import sidecar_of

_BEGINNING_S = 2 * FRESH_S
"""Until the agent tells of audio that it has begun, the file itself has to show that somebody is at work."""


@dataclass(frozen=True, slots=True)
class Current:
    """The recordings folder and the agent's last word, at `now_ns` nanoseconds since 1970."""

    recordings: Path
    live: Live
    box: Box
    now_ns: int

    def look(self, row: Row) -> tuple[Row, dict[str, Any] | None] | None:
        """A row as it is now, and the object of its sidecar if it has one; None where nothing is left of it.

        Its id stays the one by which the index finds it. Raises OSError where the disk is in trouble.
        """
        *folders, name = row.file.split("/")
        try:
            with open_folder(self.recordings, tuple(folders)) as folder:
                found = self._open(folder, row) or self._finished(folder, name, row)
                return None if found is None else (replace(found[0], id=row.id), found[1])
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            return None

    def _open(self, folder: int, row: Row) -> tuple[Row, dict[str, Any] | None] | None:
        status = stat_file(folder, row.file.rpartition("/")[2] + PART) if row.state == State.OPEN else None
        if status is None:
            return None
        is_growing = self.now_ns - status.st_mtime_ns < _BEGINNING_S * 1e9
        is_open = self.live.running and (row.file + PART in self.live.active or is_growing)
        state = State.OPEN if is_open else State.DAMAGED
        found = describe.open_sidecar(folder, row.file)
        if found is None:
            return replace(row, state=state, bytes=status.st_size, duration_s=None), None
        return replace(found[0], state=state), found[1]

    def _finished(self, folder: int, name: str, row: Row) -> tuple[Row, dict[str, Any] | None] | None:
        status = stat_file(folder, name)
        if status is None:
            return describe.deleted(folder, row.file.rpartition("/")[0], sidecar_of(name))
        found = describe.sidecar(folder, sidecar_of(name), row.file)
        return describe.finished(folder, row.file, status, self.box), None if found is None else found[1]


def path_of(row: Row) -> Parts:
    """Where the audio lies; of open audio it is the name that it has while it is recorded."""
    parts = row.file.split("/")
    return (*parts[:-1], parts[-1] + PART) if row.state == State.OPEN else tuple(parts)


def detail(row: Row, sidecar: dict[str, Any] | None, box: Box) -> dict[str, Any]:
    """Everything that is known: the sidecar's object, or one of the same shape, with state and links."""
    own = {"id": row.id, "file": row.file, "state": row.state, "links": links(f"/api/v1/segments/{row.id}")}
    if sidecar is not None:
        return {**sidecar, "bytes": row.bytes, **own}
    start, is_known = at_ms(row.start_ms), row.duration_s is not None
    return {
        **dict.fromkeys(_SHAPE),
        "v": 1,
        "kind": "segment",
        "agent": row.agent,
        "source": row.source,
        "container": row.container,
        "bytes": row.bytes,
        "start": rfc3339(start),
        "end": rfc3339(at_ms(row.end_ms)) if is_known else None,
        "start_local": rfc3339_local(start, box.zone),
        "tz": row.tz,
        "duration_s": row.duration_s,
        **{name: [] for name in ("gaps", "events", "titles")},
        "protected": False,
        **own,
    }


_SHAPE = (
    *("v", "rev", "id", "kind", "agent", "boot", "run", "source", "file", "container", "codec", "sample_rate_hz"),
    *("channels", "bits", "sample_format", "bytes", "sha256", "start", "end", "start_local", "tz", "samples"),
    *("packets", "duration_s", "payload_offset", "priming_packets", "aligned_start", "aligned_end", "reason", "clock"),
    *("gap_before", "gaps", "missing_s", "overruns", "loudness", "events", "titles", "url", "recovered", "protected"),
    "deleted",
)
"""The fields of a sidecar, in their order."""
