"""One gap as the index has it. Pure."""

from dataclasses import dataclass, fields
from typing import Any

from agent.archive_format.coverage import Hole
from agent.archive_format.times import ms_of, rfc3339
from agent.model import GapCause, GapLine
from archive_api.index.times import at_ms

_INTEGER_MOST = (1 << 63) - 1
_TEXT_MOST = 1000
_CAUSES = {str(cause): cause for cause in GapCause}


@dataclass(frozen=True, slots=True)
class GapRow:
    """The last line that the ledger has of a gap. Times are milliseconds since 1970; `end_ms` of one that `lasts` is as
    far as it was known when the line was written. One that is filled is over, even where the line of its end is not
    there."""

    id: str
    agent: str
    source: str
    start_ms: int
    end_ms: int
    lasts: bool
    cause: str
    missing: bool
    filled_samples: int
    detail: str | None

    def as_json(self) -> dict[str, Any]:
        """As lists show it: the object of the ledger, without its line's own place in time."""
        return {
            "id": self.id,
            "source": self.source,
            "agent": self.agent,
            "start": rfc3339(at_ms(self.start_ms)),
            "end": None if self.lasts else rfc3339(at_ms(self.end_ms)),
            "duration_s": None if self.lasts else (self.end_ms - self.start_ms) / 1000,
            "cause": self.cause,
            "missing": bool(self.missing),
            "filled_samples": self.filled_samples,
            "detail": self.detail,
        }

    def hole(self, now_ms: int) -> Hole:
        """Its place in the tiling; one that lasts reaches to now."""
        end_ms = max(self.end_ms, now_ms) if self.lasts else self.end_ms
        return hole(self.start_ms, end_ms, self.cause, self.filled_samples)


def hole(start_ms: int, end_ms: int, cause: str, filled_samples: int) -> Hole:
    """The place of a gap in the tiling."""
    return Hole(start_ms, end_ms, _CAUSES[cause], filled_samples > 0)


GAP_COLUMNS = tuple(field.name for field in fields(GapRow))


def gap_row(line: GapLine, agent: str) -> GapRow | None:
    """The row of a line; None where neither SQLite nor a calendar could hold it: nobody of ours has written it."""
    gap = line.gap
    start_ms = ms_of(gap.start)
    end_ms = max(start_ms, start_ms if gap.end is None else ms_of(gap.end))
    detail = gap.detail if isinstance(gap.detail, str) else None
    if len(gap.id) > _TEXT_MOST or not 0 <= gap.filled_samples <= _INTEGER_MOST:
        return None
    try:
        at_ms(end_ms)
    except (OverflowError, ValueError):
        return None  # rounded, it lies behind the end of the calendar
    return GapRow(
        id=_text(gap.id),
        agent=agent,
        source=gap.source,
        start_ms=start_ms,
        end_ms=end_ms,
        lasts=line.at != "end" and not gap.filled_samples,
        cause=gap.cause,
        missing=gap.cause.missing,
        filled_samples=gap.filled_samples,
        detail=None if detail is None else _text(detail[:_TEXT_MOST]),
    )


def _text(text: str) -> str:
    """JSON can spell half a surrogate pair, which SQLite cannot hold."""
    return text.encode("utf-8", "replace").decode()
