"""How much of its local day a source has recorded, how much is missing, and all that ever was. Pure."""

from zoneinfo import ZoneInfo

from agent.archive_format.coverage import Day, Hole, Span, day_of, sums, tile
from agent.archive_format.times import ms_of
from agent.model import Gap, GapLine, OpenSegment, Segment, Today

_UNSURE_MS = 60_000
"""A server's burst after a reconnect may bring back so much of what seemed lost."""


class DayAccount:
    """Of one source. It is told of every file and of every line of the ledger, in whatever order and more than once; of
    the lines of a day that is over, once each."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._finished: dict[str, Span] = {}
        self._growing: dict[str, Span] = {}
        self._gaps: dict[str, Gap] = {}
        self._inside: dict[str, Gap] = {}
        self._lost_ms: dict[str, int] = {}
        self._lost_all_ms = self._dropped_ms = 0
        self._lasting: Gap | None = None
        self._day: Day | None = None

    def finished(self, segment: Segment) -> None:
        """A file is complete, or another word on it is: its times can be corrected."""
        self._growing.pop(segment.file, None)
        self._finished[segment.file] = ms_of(segment.start), ms_of(segment.end)
        self._inside |= {gap.id: gap for gap in segment.gaps}

    def is_of(self, now_ms: int) -> bool:
        """Whether this moment is in the day that was asked for last."""
        return self._day is not None and self._day.start_ms <= now_ms < self._day.end_ms

    def open(self, opened: OpenSegment) -> None:
        """What of the open file is safe on disk. It counts until the file is complete."""
        self._growing[opened.file.removesuffix(".part")] = ms_of(opened.start), ms_of(opened.end or opened.start)

    def line(self, line: GapLine) -> None:
        """A line of the ledger; the last one of a gap counts."""
        gap = line.gap
        if line.at != "end" and not gap.filled_samples:
            self._lasting = gap
        elif self._lasting is not None and self._lasting.id == gap.id:
            self._lasting = None
        self._gaps[gap.id] = gap
        lost_ms = _length_ms(gap) if gap.cause.missing else 0
        self._lost_all_ms += lost_ms - self._counted_ms(gap)
        self._lost_ms[gap.id] = lost_ms

    def _counted_ms(self, gap: Gap) -> int:
        """How much of a gap is among the losses already. One of an earlier day is not remembered: its correction tells
        what it was."""
        known_ms, corrected = self._lost_ms.get(gap.id), gap.corrected
        if known_ms is not None:
            return known_ms
        if corrected is None or not gap.cause.missing or ms_of(corrected.end_as_recorded) > self._dropped_ms:
            return 0
        return ms_of(corrected.end_as_recorded) - ms_of(corrected.start_as_recorded)

    def today(self, now_ms: int) -> Today:
        """The local day of this moment."""
        day = self._turn(now_ms)
        found = sums(tile((self._growing | self._finished).values(), self._holes(now_ms), day.span))
        return Today(
            day.date,
            recorded_s=found.recorded_ms / 1000,
            missing_s=found.missing_ms / 1000,
            completeness_pct=found.completeness_pct,
        )

    def lost_s(self, now_ms: int) -> float:
        """Seconds that are missing altogether, since the ledger was begun.

        The last minute of a gap that lasts is not yet among them: what was counted must not become less.
        """
        lost_ms, gap = self._lost_all_ms, self._lasting
        if gap is not None and gap.cause.missing:
            lost_ms += max(0, now_ms - _UNSURE_MS - ms_of(gap.start) - self._lost_ms[gap.id])
        return lost_ms / 1000

    def _holes(self, now_ms: int) -> list[Hole]:
        lasting = None if self._lasting is None else self._lasting.id
        return [
            Hole(ms_of(gap.start), now_ms if gap.id == lasting else _end_ms(gap), gap.cause, self._is_inside(gap))
            for gap in (self._inside | self._gaps).values()
        ]

    def _is_inside(self, gap: Gap) -> bool:
        return gap.filled_samples > 0 or gap.id in self._inside

    def _turn(self, now_ms: int) -> Day:
        """The day; what was before it is forgotten."""
        if self._day is None or not self.is_of(now_ms):
            self._day = day_of(now_ms, self._zone)
        since = self._day.start_ms
        self._finished = {file: span for file, span in self._finished.items() if span[1] > since}
        self._growing = {file: span for file, span in self._growing.items() if span[1] > since}
        self._inside = {key: gap for key, gap in self._inside.items() if _end_ms(gap) > since}
        self._gaps = {key: gap for key, gap in self._gaps.items() if gap is self._lasting or _end_ms(gap) > since}
        self._lost_ms = {key: self._lost_ms[key] for key in self._gaps}
        self._dropped_ms = max(self._dropped_ms, since)
        return self._day


def _end_ms(gap: Gap) -> int:
    return ms_of(gap.end or gap.start)


def _length_ms(gap: Gap) -> int:
    return max(0, _end_ms(gap) - ms_of(gap.start))
