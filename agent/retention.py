"""Which finished segments are to be deleted, and which rule says so. Pure.

Oldest first; protected ones last of all, and only where the rules say `protected_too`. A rule takes no more than it
needs. What an earlier rule takes counts for the later ones: age, the size of a source, the size of all, free space.
"""

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from agent.model import Kept, Retention

_MOST_FREE = 0.9
"""`min_free` of so much of the disk is a slip."""


class Why(StrEnum):
    """The rule that deletes: the closed list of `deleted.why`."""

    MAX_AGE = "max_age"
    MAX_SIZE = "max_size"
    MIN_FREE = "min_free"


@dataclass(frozen=True, slots=True)
class Doomed:
    """A segment that is to go, and why."""

    segment: Kept
    why: Why


@dataclass(frozen=True, slots=True)
class Rules:
    """Those of every source, and how large all of them together may be. A source that is named nowhere (it was taken
    out of the configuration) has the rules of `others`."""

    others: Retention
    sources: Mapping[str, Retention]

    def of(self, source: str) -> Retention:
        """The rules of a source."""
        return self.sources.get(source) or self.others

    @property
    def delete_nothing(self) -> bool:
        """Whether no rule ever deletes audio."""
        rules = (self.others, *self.sources.values())
        return all(one.max_age_s is one.max_size_bytes is one.min_free_bytes is None for one in rules)


def fitting(rules: Rules, disk_bytes: Mapping[str, int], main_bytes: int) -> Rules:
    """The rules without each `min_free` that is (nearly) the whole disk: it would delete every recording. `disk_bytes`
    is how large the disks of sources are, `main_bytes` that of all others; 0 where a disk does not tell."""

    def fits(rule: Retention, size_bytes: int) -> Retention:
        least = rule.min_free_bytes
        is_too_much = least is not None and 0 < size_bytes * _MOST_FREE <= least
        return replace(rule, min_free_bytes=None) if is_too_much else rule

    sources = {source: fits(rule, disk_bytes.get(source, main_bytes)) for source, rule in rules.sources.items()}
    return Rules(fits(rules.others, main_bytes), sources)


def selection(
    segments: Sequence[Kept],
    rules: Rules,
    now: datetime,
    free_bytes: Mapping[int, int],
    gainless: Container[str] = (),
) -> list[Doomed]:
    """What has to go now, in the order in which it is to go.

    `segments` are all finished ones, oldest first. `free_bytes` tells what is free on each disk; a disk that it does
    not name is not looked after. To delete a file of `gainless` frees nothing.
    """
    doomed: dict[str, Doomed] = {}
    for kept in _in_turn(_older(segments, rules, now), rules):
        doomed[kept.file] = Doomed(kept, Why.MAX_AGE)
    for source, own in sorted(rules.sources.items()):
        if own.max_size_bytes is not None:
            _shrink([one for one in segments if one.source == source], own.max_size_bytes, rules, doomed)
    if rules.others.max_size_bytes is not None:
        _shrink(segments, rules.others.max_size_bytes, rules, doomed)
    _make_room([one for one in segments if one.file not in gainless], rules, free_bytes, doomed)
    return list(doomed.values())


def _older(segments: Sequence[Kept], rules: Rules, now: datetime) -> Iterator[Kept]:
    ages_s = {one.max_age_s for one in (rules.others, *rules.sources.values()) if one.max_age_s is not None}
    if not ages_s:
        return
    newest = now - timedelta(seconds=min(ages_s))
    for kept in segments[: bisect_left(segments, newest, key=lambda one: one.start)]:
        age_s = rules.of(kept.source).max_age_s
        if age_s is not None and kept.dated and (kept.end or kept.start) <= now - timedelta(seconds=age_s):
            yield kept


def _shrink(segments: Sequence[Kept], most_bytes: int, rules: Rules, doomed: dict[str, Doomed]) -> None:
    total = sum(one.bytes for one in segments if one.file not in doomed)
    if total <= most_bytes:
        return
    for kept in _in_turn(segments, rules):
        if total <= most_bytes:
            return
        if kept.file not in doomed:
            doomed[kept.file] = Doomed(kept, Why.MAX_SIZE)
            total -= kept.bytes


def _make_room(
    segments: Sequence[Kept], rules: Rules, free_bytes: Mapping[int, int], doomed: dict[str, Doomed]
) -> None:
    wanted = max((one.min_free_bytes or 0 for one in (rules.others, *rules.sources.values())), default=0)
    free = dict(free_bytes)
    there = {one.file for one in segments} if doomed else set()
    for one in doomed.values():
        if one.segment.file in there:
            free[one.segment.disk] = free.get(one.segment.disk, 0) + one.segment.bytes
    if all(left >= wanted for disk, left in free.items() if disk in free_bytes):
        return
    for kept in _in_turn(segments, rules):
        least = rules.of(kept.source).min_free_bytes
        if least is not None and kept.disk in free_bytes and free[kept.disk] < least and kept.file not in doomed:
            doomed[kept.file] = Doomed(kept, Why.MIN_FREE)
            free[kept.disk] += kept.bytes


def _in_turn(segments: Iterable[Kept], rules: Rules) -> Iterator[Kept]:
    """Those that may go at all, in the order in which they go."""
    protected = []
    for kept in segments:
        if not kept.protected:
            yield kept
        elif rules.of(kept.source).protected_too:
            protected.append(kept)
    yield from protected
