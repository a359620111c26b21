"""What waits in the outbox: a message that must arrive, before and after it got its place in the stream. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

LATE_S = 60.0
"""What has been known for longer than this is not news any more."""

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
"""No message of ours is older."""


class Kind(StrEnum):
    """What a row tells of."""

    SEGMENT = "segment"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that has no number yet. `body` is its JSON without what is known only when it is sent.

    `id` and `rev` are those of the segment (an event has rev 1), `start` is the segment's, or when the event was.
    `known_s` is on the monotonic clock, `known_at` on the wall.
    """

    kind: Kind
    source: str
    id: str
    rev: int
    start: datetime
    body: bytes
    known_s: float
    known_at: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """A message that is safe on disk, under its number. `known_s` is None where it stems from an earlier boot."""

    seq: int
    kind: Kind
    source: str
    id: str
    size_bytes: int
    known_s: float | None
    known_at: datetime

    def is_late(self, now_s: float) -> bool:
        """Whether it has been known for too long to be news; what an earlier boot left always has."""
        return self.known_s is None or now_s - self.known_s > LATE_S

    def age_s(self, now_s: float, utc_now: datetime) -> float:
        """Seconds since it became known; by the wall clock where the box was started anew since."""
        age_s = (utc_now - self.known_at).total_seconds() if self.known_s is None else now_s - self.known_s
        return max(0.0, age_s)

    def is_expired(self, utc_now: datetime, age: timedelta) -> bool:
        """Whether it has waited for longer than that; one that a box without a clock wrote in 1970 has not."""
        return _FIRST <= self.known_at < utc_now - age


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest segment of a source that has got a row."""

    source: str
    id: str
    rev: int
    start: datetime


@dataclass(frozen=True, slots=True)
class Dropped:
    """Numbers that will never be said: how many, and between which."""

    first_seq: int
    last_seq: int
    count: int

    def and_then(self, other: "Dropped | None") -> "Dropped":
        """Both together."""
        if other is None:
            return self
        first, last = min(self.first_seq, other.first_seq), max(self.last_seq, other.last_seq)
        return Dropped(first, last, self.count + other.count)


def dropped(rows: list[Row]) -> Dropped | None:
    """What these rows leave behind when they go."""
    numbers = [row.seq for row in rows]
    return Dropped(min(numbers), max(numbers), len(numbers)) if numbers else None
