"""Corrects one source of one boot whose clock is known by now: its gaps, then its sidecars, a little at a time.

It may be stopped anywhere and done again: what is corrected says so, and what it was before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.archive_format.coverage import Span, merged
from agent.archive_format.ledger import read_ledger
from agent.archive_format.names import LEDGER, PART, SIDECAR
from agent.archive_format.times import ms_of
from agent.boot_clock import BootClock
from agent.clock_correction import (
    Edges,
    corrected_gaps,
    corrected_segment,
    is_wrong,
    offset_ms,
    overlaps_moved,
    true_offset_ms,
)
from agent.model import Gap, GapLine, Segment
from agent.storage.beneath import NotOursError
from agent.storage.history import days, segment_of, sidecars_in
from agent.storage.ledger import Ledger
from agent.storage.plain import LEDGER_BYTES, is_plain, read_plain
from agent.storage.sidecars import Sidecars

_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be corrected. The lines of the boot stand in the ledger from `ledger_from` on, up to `ledger_to` where
    a later boot is known."""

    clock: BootClock
    source: str
    ledger_from: int
    ledger_to: int | None
    at: datetime
    tell_again: bool


@dataclass(slots=True)
class Outcome:
    """What came of it. `is_waiting`: something is still open that will have to be corrected when it is closed. `moved`:
    where the segments lay, as recorded, that have another place in time now."""

    count: int = 0
    most_ms: int = 0
    is_waiting: bool = False
    moved: list[Span] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a sidecar until it is its turn."""

    file: str
    rev: int
    edges: Edges
    boottime_ms: int | None
    offset_ms: int | None
    is_wrong: bool
    is_corrected: bool
    is_open: bool
    overlaps: bool
    is_before: bool

    def is_touched(self, fixed: dict[str, Gap]) -> bool:
        """Whether it may have to be changed, once it is finished."""
        return self.is_wrong or self.overlaps or self.edges.gap_before in fixed

    def is_waited_for(self, fixed: dict[str, Gap]) -> bool:
        """Whether it is not finished and has to be changed then. Of one that began when the clock was right only the
        overlap may be wrong, and nobody waits for that."""
        overlaps = self.overlaps and self.is_before
        return self.is_open and (self.is_wrong or overlaps or self.edges.gap_before in fixed)

    def by(self, true_ms: int) -> "_Known":
        """The same once the true offset is known."""
        if not self.is_wrong or self.offset_ms is None:
            return self
        return replace(self, edges=replace(self.edges, by_ms=true_ms - self.offset_ms))


class CorrectSource:
    """Does one job. `outcome` is complete when `work` has ended, `told` gets the lines of the ledger."""

    def __init__(
        self, recordings: Path, zone: ZoneInfo, sidecars: Sidecars, told: Callable[[GapLine], None], job: Job
    ) -> None:
        self._recordings, self._zone, self._stored, self._told, self._job = recordings, zone, sidecars, told, job
        self.outcome = Outcome()

    def work(self) -> Iterator[None]:
        """Yields now and then. Raises OSError or StorageError where the disk does not let us, NotPlainError where the
        ledger is too large."""
        job = self._job
        lines, begun_before = self._ledger()
        found: dict[str, _Known] = {}
        for number, path in enumerate(self._sidecars(lines)):
            if number % _AT_ONCE == 0:
                yield
            if (one := self._known(path)) is not None:
                found[one.file] = one
        offsets = [(one.boottime_ms, one.offset_ms) for one in found.values()]
        true_ms = true_offset_ms(job.clock, offsets)
        known = sorted((one.by(true_ms) for one in found.values()), key=lambda one: one.boottime_ms or 0)
        moved = (one.edges for one in known if (one.is_wrong or one.is_corrected) and one.edges.by_ms)
        self.outcome.moved = merged((edges.start_ms, edges.end_ms) for edges in moved)
        ended = [line.gap for line in lines if line.at == "end"]
        fixed = {gap.id: gap for gap in ended if gap.corrected is not None}
        ledger = Ledger(self._recordings, job.source, self._told)
        for gap in corrected_gaps(ended, begun_before, [one.edges for one in known], job.clock, true_ms, job.at):
            ledger.append(GapLine("end", gap))
            fixed[gap.id] = gap
            yield
        for one in known:
            if self._write(one, true_ms, fixed):
                yield
        # A gap that outlasts its boot ends among the lines of the next one.
        lasts = job.ledger_to is None and any(line.at != "end" for line in lines)
        self.outcome.is_waiting = lasts or any(one.is_waited_for(fixed) for one in known)

    def _write(self, one: _Known, true_ms: int, fixed: dict[str, Gap]) -> bool:
        """Correct a sidecar; whether there was anything to do."""
        job = self._job
        if one.is_open or not (one.is_touched(fixed) or (job.tell_again and one.is_corrected)):
            return False
        try:
            settled = self._stored.change(one.file, lambda segment: self._settled(segment, true_ms, fixed))
        except NotOursError:
            return True  # gone meanwhile
        changed = settled.rev != one.rev
        if not changed and job.tell_again:
            self._stored.tell(settled)
        if changed and one.is_wrong:
            self.outcome.count += 1
            self.outcome.most_ms = max(self.outcome.most_ms, abs(one.edges.by_ms))
        return True

    def _known(self, path: Path) -> _Known | None:
        """What a sidecar tells, where it is of this boot."""
        segment = segment_of(path)
        if segment is None:
            return None
        clock, corrected = self._job.clock, segment.clock.corrected
        if segment.boot != clock.boot:
            return None
        start, end = segment.start, segment.end
        if corrected is not None:
            start, end = corrected.start_as_recorded, corrected.end_as_recorded
        boottime_s = segment.clock.start_boottime_s
        gaps = tuple(gap.id for gap in segment.gaps)
        gap_before = None if segment.gap_before is None else segment.gap_before.id
        return _Known(
            segment.file,
            segment.rev,
            Edges(ms_of(start), ms_of(end), ms_of(segment.start) - ms_of(start), gaps, gap_before),
            boottime_ms=None if boottime_s is None else round(boottime_s * 1000),
            offset_ms=offset_ms(segment),
            is_wrong=is_wrong(segment, clock),
            is_corrected=corrected is not None,
            # Beside audio that has not its name yet, it is the writer's.
            is_open=path.suffix == PART or (self._recordings / f"{segment.file}{PART}").exists(),
            overlaps=segment.clock.overlap_s > 0,
            is_before=clock.is_before(boottime_s),
        )

    def _settled(self, segment: Segment, true_ms: int, fixed: dict[str, Gap]) -> Segment:
        """What a finished sidecar is to be once the clock of its boot is known."""
        job = self._job
        if is_wrong(segment, job.clock):
            segment = corrected_segment(segment, true_ms, job.at)
        is_before = job.clock.is_before(segment.clock.start_boottime_s)
        if segment.clock.overlap_s > 0 and (is_before or overlaps_moved(segment, self.outcome.moved)):
            # It overlapped with one that has its true place by now.
            segment = replace(segment, clock=replace(segment.clock, overlap_s=0.0))
        if segment.gap_before is not None:
            segment = replace(segment, gap_before=fixed.get(segment.gap_before.id, segment.gap_before))
        return replace(segment, gaps=tuple(fixed.get(gap.id, gap) for gap in segment.gaps))

    def _ledger(self) -> tuple[list[GapLine], set[str]]:
        """The last line of each gap of this boot, and which of the gaps began before it."""
        path, job = self._recordings / self._job.source / LEDGER, self._job
        data = read_plain(path, LEDGER_BYTES) if is_plain(path) else b""
        earlier, lines = data[: job.ledger_from], list(read_ledger(data[job.ledger_from : job.ledger_to]).values())
        return lines, {line.gap.id for line in lines if line.gap.id.encode() in earlier}

    def _sidecars(self, lines: list[GapLine]) -> Iterator[Path]:
        """The sidecars, finished or not, of the days on which anything may lie that a wrong clock has dated."""
        # Today, because a gap over which the clock was set back does not say when it ended.
        wanted = {_date(ms_of(self._job.at), self._zone)}
        for begin_ms, end_ms in self._job.clock.walls():
            first, last = _date(begin_ms, self._zone), _date(end_ms, self._zone)
            wanted |= {first + timedelta(days=more) for more in range((last - first).days + 1)}
        ends = [line.gap.corrected.end_as_recorded if line.gap.corrected else line.gap.end for line in lines]
        wanted |= {_date(ms_of(end), self._zone) for end in ends if end is not None}
        near = {day + timedelta(days=more) for day in wanted for more in (-1, 0, 1)}
        for folder in days(self._recordings, self._job.source):
            if _date_of(folder) in near:
                # First what is unfinished: what is finished meanwhile is found once more then, and counts.
                yield from sidecars_in(folder, self._job.source, SIDECAR + PART)
                yield from sidecars_in(folder, self._job.source)


def _date(ms: int, zone: ZoneInfo) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(zone).date()


def _date_of(folder: Path) -> date | None:
    try:
        return date(*(int(part) for part in folder.parts[-3:]))
    except ValueError:
        return None
