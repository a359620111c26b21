"""Goes through recordings, one segment after the other, and tells what is wrong. Reads only; an agent may record on."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from agent.archive_format.ledger import read_ledger
from agent.archive_format.names import LEDGER, PART, SIDECAR, STATUS, name_of, start_of
from agent.archive_format.status import FRESH_S
from agent.archive_format.times import parse
from agent.model import Gap
from agent.storage.forgotten import forgotten_before
from agent.storage.plain import LEDGER_BYTES, NotPlainError, read_plain
from agent.verify.facts import told
from agent.verify.finding import Check, Finding
from agent.verify.judge import judge
from agent.verify.ledger import judge_ledger
from agent.verify.places import Group
from agent.verify.reader import Advance, audio_bytes, look, signature
from agent.verify.tiling import Piece, judge_tiling

_LONGEST = timedelta(hours=26)
"""No segment is longer: a day of 25 hours, and something for clocks that were set."""
_FORGOTTEN_S = 600.0
"""An agent writes to what it records every few seconds; a part that is older could not be helped."""
_LOOKS = 3
_READ = "look at the disk (dmesg, smartctl) and at the rights of the file"


@dataclass(slots=True)
class Report:
    """What has been looked at so far, and what was found."""

    segments: int = 0
    bytes: int = 0
    without_checksum: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class _Source:
    """What one batch knows of one source; `open` are the starts of what cannot be placed in time."""

    pieces: list[Piece] = field(default_factory=list)
    open: list[datetime] = field(default_factory=list)


class Verifier:
    """One run. `now` is the wall clock; `progress` gets bytes done and bytes there are; `tell` each finding at once."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        progress: Callable[[int, int], None],
        tell: Callable[[Finding], None],
        since: datetime | None = None,
        quick: bool = False,
    ) -> None:
        self._now, self._progress, self._tell = now, progress, tell
        self._since, self._quick = since, quick
        self._total = 0
        self.report = Report()

    def check(self, batches: list[list[Group]]) -> Report:
        """Look at all of them. What one batch holds lies together in time, so that holes in it can be told."""
        chosen = [[group for group in batch if self._is_wanted(group)] for batch in batches]
        self._total = sum(audio_bytes(group) for batch in chosen for group in batch)
        self._progress(0, self._total)
        for batch in chosen:
            self._batch(batch)
        self._progress(self._total, self._total)
        return self.report

    def _is_wanted(self, group: Group) -> bool:
        if self._since is None:
            return True
        start = _start_of(group)
        if start >= self._since or start < self._since - _LONGEST:
            return start >= self._since
        try:
            segment = told(read_plain(group.path(SIDECAR))).segment
        except (OSError, NotPlainError):
            return True
        return segment is None or segment.end > self._since

    def _batch(self, batch: list[Group]) -> None:
        sources: dict[tuple[Path, str], _Source] = {}
        for group in batch:
            source = sources.setdefault((group.recordings, group.source), _Source())
            self._segment(group, source)
        in_place = {group.recordings for group in batch if group.is_in_place and not group.is_alone}
        for (recordings, source_id), source in sources.items():
            if recordings in in_place:  # of a folder by itself the ledger is elsewhere
                forgotten = forgotten_before(recordings / source_id)
                self._found(judge_tiling(source.pieces, self._ledger(recordings, source_id), source.open, forgotten))

    def _segment(self, group: Group, source: _Source) -> None:
        done, size = self.report.bytes, audio_bytes(group)
        findings: list[Finding] = []
        for _ in range(_LOOKS):
            before = signature(group)
            recorded_now = self._is_recorded_now(group)
            try:
                facts = look(group, self._advance(done, size), quick=self._quick)
            except (OSError, NotPlainError) as error:
                findings = [_unreadable(group, error)]
                segment, is_deleted = None, False
            else:
                findings = judge(facts, is_recorded_now=recorded_now)
                segment = facts.told.segment if facts.told is not None and not facts.parts else None
                is_deleted = facts.told is not None and facts.told.is_deleted
            if not findings or signature(group) == before:
                break
        if segment is None:
            source.open.append(_start_of(group))
        else:
            file = group.shown(f".{segment.container}")
            if segment.start <= segment.end and not any(one.check is Check.NAME for one in findings):
                source.pieces.append(Piece(file, segment))
            self.report.without_checksum += segment.sha256 is None and not is_deleted
        self.report.segments += 1
        self.report.bytes = done + size
        self._found(iter(findings))
        self._progress(self.report.bytes, self._total)

    def _is_recorded_now(self, group: Group) -> bool:
        """Whether an agent is at work on it, or will be soon: one that runs finishes what an earlier one left."""
        now = self._now()
        if group.source not in running_sources(group.recordings, now):
            return False
        written = (mtime_ns for suffix, _, _, mtime_ns in signature(group) if suffix.endswith(PART))
        return max(written, default=0) / 1e9 > now.timestamp() - _FORGOTTEN_S

    def _advance(self, done: int, size: int) -> Advance:
        return lambda share: self._progress(done + round(share * size), self._total)

    def _ledger(self, recordings: Path, source: str) -> list[Gap]:
        path = recordings / source / LEDGER
        try:
            data = read_plain(path, LEDGER_BYTES)
        except (OSError, NotPlainError) as error:
            shown = f"{source}/{LEDGER}"
            advice = "put it back from a copy; `gap_before` in the sidecars tells part of it"
            found = (isinstance(error, OSError) and error.strerror) or str(error)
            self._found(iter([Finding(shown, Check.LEDGER, found, "the gaps of this source", advice)]))
            return []
        self._found(judge_ledger(f"{source}/{LEDGER}", data, source))
        return [line.gap for line in read_ledger(data).values() if line.at == "end"]

    def _found(self, findings: Iterator[Finding]) -> None:
        for finding in findings:
            self.report.findings.append(finding)
            self._tell(finding)


def _unreadable(group: Group, error: OSError | NotPlainError) -> Finding:
    name, found = group.stem, str(error)
    if isinstance(error, OSError):
        name = PurePosixPath(error.filename).name if isinstance(error.filename, str) else name
        found = str(error.strerror)
    return Finding(str(group.folder / name), Check.READ, found, "bytes", _READ)


def running_sources(recordings: Path, now: datetime) -> frozenset[str]:
    """The sources of an agent that runs now on these recordings; none where none does."""
    try:
        status = json.loads(read_plain(recordings / STATUS))
        age_s = (now - parse(status["ts"])) / timedelta(seconds=1)
        ids = frozenset(str(source["id"]) for source in status["sources"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return frozenset()
    return ids if age_s <= FRESH_S else frozenset()


def _start_of(group: Group) -> datetime:
    name = name_of(PurePosixPath(f"{group.stem}.wav"))
    return datetime.min.replace(tzinfo=UTC) if name is None else start_of(name)
