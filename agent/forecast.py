"""How long the disk will last: from what was really written lately, and from what the rules delete. Pure."""

from collections import deque
from collections.abc import Mapping

from agent.model import Retention
from agent.retention import Rules

_WINDOW_S = 3600.0
_EVERY_S = 10.0
_KNOWN_AFTER_S = 60.0


class WriteRate:
    """Bytes a second that one source has written over the last hour; known after a minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def put(self, now_s: float, written_bytes: int) -> None:
        """So much has been written so far, all in all; `now_s` is monotonic. It counts every ten seconds."""
        if self._seen and now_s - self._seen[-1][0] < _EVERY_S:
            return
        self._seen.append((now_s, written_bytes))
        while now_s - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()

    @property
    def bytes_per_s(self) -> float | None:
        """The rate; None while it is not known."""
        if not self._seen or (span_s := self._seen[-1][0] - self._seen[0][0]) < _KNOWN_AFTER_S:
            return None
        return max(0.0, (self._seen[-1][1] - self._seen[0][1]) / span_s)


def hours_left(
    free_bytes: int, rates: Mapping[str, float | None], kept_bytes: Mapping[str, int], rules: Rules
) -> float | None:
    """Hours until the disk is full at the rates of its sources; None where none is known or there is no end in sight.

    There is none where nothing is written, where the rules keep the disk from filling (`min_free` deletes the oldest,
    or all that `max_age` and `max_size` let the sources keep finds room). `kept_bytes` is what each source has there.
    """
    known = {source: rate for source, rate in rates.items() if rate is not None}
    total = sum(known.values())
    if total <= 0 or all(rules.of(source).min_free_bytes is not None for source, rate in known.items() if rate > 0):
        return None
    growing = [
        (rate, _growth_bytes(rules.of(source), rules, source, rate, kept_bytes.get(source, 0)))
        for source, rate in known.items()
        if rate > 0
    ]
    most = rules.others.max_size_bytes
    if most is not None and max(0, most - sum(kept_bytes.values())) <= free_bytes:
        return None
    lasts_s = _lasts_s(free_bytes, growing)
    return None if lasts_s is None else round(lasts_s / 3600, 1)


def _lasts_s(free_bytes: float, growing: list[tuple[float, float]]) -> float | None:
    """When the free bytes are used up by what grows at such rates up to such sizes; None where they never are."""
    left, at_s = float(free_bytes), 0.0
    turns = sorted((growth / rate, rate) for rate, growth in growing)
    for number, (ends_s, _) in enumerate(turns):
        total = sum(rate for _, rate in turns[number:])
        taken = total * (ends_s - at_s)
        if left < taken:
            return at_s + left / total
        left, at_s = left - taken, ends_s
    return None


def _growth_bytes(rule: Retention, rules: Rules, source: str, rate: float, kept_bytes: int) -> float:
    """How much larger a source can get under its own rules."""
    size = rule.max_size_bytes if source in rules.sources else None
    limits = [size, None if rule.max_age_s is None else rate * rule.max_age_s]
    most = min((limit for limit in limits if limit is not None), default=float("inf"))
    return max(0.0, most - kept_bytes)
