"""What of a source's time was recorded, what is missing and why: from the index and from what grows right now."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from agent.archive_format.coverage import Day, Hole, Span, Stretch, causes, coarse, day_of, days_of, sums, tile
from agent.archive_format.times import ms_of, parse, rfc3339
from agent.model import Desired, GapCause
from archive_api.index.current import Current
from archive_api.index.gap_row import GapRow
from archive_api.index.reader import Reader
from archive_api.index.times import at_ms
from archive_api.index.walk import SourceId

Json = dict[str, Any]

PICTURE_MOST = 480
"""So many stretches at most for a picture: three minutes of a day each, where it is finer than that."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One source, and all that is known of it but for the span that is asked for."""

    reader: Reader
    current: Current
    key: SourceId
    open_spans: list[Span] = field(default_factory=list)
    told: Json | None = None

    @property
    def now_ms(self) -> int:
        """Now, in milliseconds since 1970."""
        return self.current.now_ns // 1_000_000

    @property
    def lasting(self) -> GapRow | None:
        """The gap that lasts, as the ledger tells it."""
        return self.reader.lasting_gap(self.key)

    def stretches(self, within: Span) -> list[Stretch]:
        """The tiling of a span, up to now."""
        recorded = [*self.reader.recorded(self.key, within), *self.open_spans]
        holes, lasting = self.reader.holes(self.key, within), self.lasting
        holes += self._left_alone(recorded, holes, within) if lasting is None else [lasting.hole(self.now_ms)]
        return tile(recorded, holes, (within[0], min(within[1], self.now_ms)))

    def _left_alone(self, recorded: list[Span], holes: list[Hole], within: Span) -> Iterator[Hole]:
        """An agent that was killed says nothing. Its last word tells that it was to record, and it does not."""
        told = self.told
        if told is None or self.current.live.running or told.get("desired") != Desired.RECORD:
            return
        ends = [end for _, end in recorded] + [hole.end_ms for hole in holes]
        since_ms = max(ends) if ends else ms_of(parse(self.current.live.status["ts"]))
        yield Hole(since_ms, max(since_ms, within[1]), GapCause.AGENT_CRASHED)


def today(asked: Asked) -> Json:
    """The local day so far, with a picture of it. The numbers of an agent that runs are its own, so that all who look
    see the same ones."""
    day = day_of(asked.now_ms, asked.current.box.zone)
    stretches = asked.stretches(day.span)
    found = {**_day_json(day, stretches), "coverage": [_stretch_json(one) for one in _picture(day, stretches)]}
    if asked.told is not None and asked.current.live.running:
        own = {
            "recorded_s": asked.told.get("recorded_today_s"),
            "missing_s": asked.told.get("missing_today_s"),
            "completeness_pct": asked.told.get("completeness_pct"),
        }
        if isinstance(own["recorded_s"], int | float) and isinstance(own["missing_s"], int | float):
            found.update(own)
    return found


def days(asked: Asked, within: Span) -> list[Json]:
    """Every local day of a span with something in it, the newest first."""
    agent, source = asked.key
    span = (within[0], min(within[1], asked.now_ms))
    wanted = list(days_of(span, asked.current.box.zone))
    found = []
    for day, stretches in _by_day(asked.stretches(span), wanted):
        files = asked.reader.counted(asked.key, (max(day.start_ms, span[0]), min(day.end_ms, span[1])))
        if not stretches and not files.segments:
            continue
        more = asdict(files)
        head = {"id": f"{agent}/{source}", "agent": agent, "source": source, "tz": asked.current.box.zone.key}
        found.append({**head, **_day_json(day, stretches), **more})
    return found[::-1]


def _by_day(stretches: list[Stretch], wanted: list[Day]) -> Iterator[tuple[Day, list[Stretch]]]:
    """The stretches of each day, cut at its midnights."""
    at = 0
    for day in wanted:
        of_day: list[Stretch] = []
        while at < len(stretches) and stretches[at].start_ms < day.end_ms:
            one = stretches[at]
            start_ms, end_ms = max(one.start_ms, day.start_ms), min(one.end_ms, day.end_ms)
            of_day.append(Stretch(start_ms, end_ms, one.cause))
            if one.end_ms > day.end_ms:
                break
            at += 1
        yield day, of_day


def _day_json(day: Day, stretches: Iterable[Stretch]) -> Json:
    listed = list(stretches)
    found = sums(listed)
    return {
        "day": day.date.isoformat(),
        "start": rfc3339(at_ms(day.start_ms)),
        "end": rfc3339(at_ms(day.end_ms)),
        "recorded_s": found.recorded_ms / 1000,
        "missing_s": found.missing_ms / 1000,
        "not_asked_s": found.not_asked_ms / 1000,
        "completeness_pct": found.completeness_pct,
        "causes": {cause: length_ms / 1000 for cause, length_ms in causes(listed).items()},
    }


def _picture(day: Day, stretches: list[Stretch]) -> list[Stretch]:
    return coarse(stretches, day.span, PICTURE_MOST)


def _stretch_json(stretch: Stretch) -> Json:
    start, end = rfc3339(at_ms(stretch.start_ms)), rfc3339(at_ms(stretch.end_ms))
    missing = None if stretch.cause is None else stretch.cause.missing
    return {"start": start, "end": end, "cause": stretch.cause, "missing": missing}
