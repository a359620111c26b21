"""The entries of broken packets in the sidecar of a stream that nobody lists any more. Pure but for the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from agent.archive_format.ledger import read_ledger
from agent.archive_format.names import LEDGER
from agent.archive_format.times import to_ms
from agent.codecs.base import Whole
from agent.codecs.decoding import Broken
from agent.gaps import broken_gap
from agent.model import Gap, GapCause, Segment
from agent.storage.plain import LEDGER_BYTES, NotPlainError, read_plain


def listed_to(known: Segment, whole: Whole) -> int | None:
    """Up to which sample a sidecar so far lists the broken packets of a stream: as far as it counts. None for PCM."""
    return None if whole.format.sample_format is not None else min(known.samples, whole.samples)


def sound_before(known: Segment, cut: Segment, within_s: float) -> tuple[datetime, int] | None:
    """A moment of a stream of which the end was lost, and its sample, that lies far from all entries: those before it
    are listed, and those behind it have to be looked for. At most `within_s` before the end. None for what is whole,
    and for PCM."""
    if known.format.sample_format is not None or known.samples <= cut.samples:
        return None
    if cut.duration_s <= within_s:
        return cut.start, 0
    at = cut.end - timedelta(seconds=within_s)
    between = []
    for gap in known.gaps:
        if gap.end is not None and gap.end > at and gap.start < cut.end:
            between.append((gap.start - at, at))
            at = max(at, gap.end)
    length, at = max([*between, (cut.end - at, at)])
    at += max(timedelta(0), length) / 2
    return at, cut.samples - round((cut.end - at).total_seconds() * cut.format.sample_rate_hz)


def as_cut(known: Segment, cut: Segment, since: datetime, broken: Iterable[Broken]) -> Segment:
    """The segment with the entries of `known` up to that moment, and of those behind it as many as were found in what
    is left: times tell less exactly where the end lies."""
    missing = sum(run.end - run.begin for run in broken)
    kept = []
    for gap in known.gaps:
        assert gap.end is not None
        if gap.end > since:
            samples = min(missing, gap.filled_samples)
            missing -= samples
            gap = replace(gap, start=min(gap.start, cut.end), end=min(gap.end, cut.end), filled_samples=samples)
        if gap.filled_samples:
            kept.append(gap)
    return replace(cut, gaps=tuple(kept))


def with_broken(segment: Segment, broken: Iterable[Broken]) -> Segment:
    """The segment with entries for these packets too, dated by the end of its clock map."""
    sample, at = segment.clock.map[-1]
    rate_hz = segment.format.sample_rate_hz
    listed = max((gap.end for gap in segment.gaps if gap.end is not None), default=segment.start)
    found = []
    for run in broken:
        start, end = (to_ms(at - timedelta(seconds=(sample - edge) / rate_hz)) for edge in (run.begin, run.end))
        start = max(listed, start)
        listed = max(start, end)
        found.append(broken_gap(segment.source, start, listed, run.packets, run.end - run.begin))
    return replace(segment, gaps=(*segment.gaps, *found))


def as_told(segment: Segment, recordings: Path) -> Segment:
    """The segment whose sidecar was lost, with the entries that the ledger has of the same packets: none is told
    twice."""
    try:
        lines = read_ledger(read_plain(recordings / segment.source / LEDGER, LEDGER_BYTES))
    except (OSError, NotPlainError):
        return segment
    told = [
        line.gap
        for line in lines.values()
        if line.gap.cause is GapCause.CORRUPT and line.gap.filled_samples and _is_in(line.gap, segment)
    ]
    return replace(segment, gaps=_joined(told, segment.gaps))


def _is_in(gap: Gap, segment: Segment) -> bool:
    return gap.end is not None and gap.start < segment.end and gap.end > segment.start


def _joined(told: Sequence[Gap], found: Sequence[Gap]) -> tuple[Gap, ...]:
    """What was told, and what was found behind it; all that was found where the two do not fit."""
    missing = sum(gap.filled_samples for gap in told)
    for number, gap in enumerate(found):
        if missing <= 0:
            return (*told, *found[number:]) if not missing else tuple(found)
        missing -= gap.filled_samples
    return tuple(found) if missing else tuple(told)
