"""Where a recording comes from that does not say it itself: what lies around it is asked."""

import re
from collections.abc import Iterator
from datetime import timedelta
from zoneinfo import ZoneInfo

from agent.archive_format.ledger import read_ledger
from agent.archive_format.names import LEDGER, PART, SIDECAR
from agent.model import Gap, Segment
from agent.storage.history import read_sidecar
from agent.storage.plain import LEDGER_BYTES, NotPlainError, read_plain
from agent.storage.writer import Origin
from agent.verify.places import Group

UNKNOWN = "unknown"
_OFFSET = re.compile(r"([+-])(\d\d)00(-\d+)?")
_JOIN = timedelta(milliseconds=100)
_JOIN_SHARE = 0.001
"""So far may lie where a file ends by its samples, and where the next one begins: a card's drift."""


def origin_of(group: Group, boot: str) -> Origin:
    """Agent and zone by another segment of the same source; without one, the zone by the offset in the name."""
    for near in _around(group):
        try:
            zone = ZoneInfo(near.tz)
        except (ValueError, KeyError, OSError):
            continue
        return Origin(near.agent, group.source, boot, UNKNOWN, zone, near.url)
    return Origin(UNKNOWN, group.source, boot, UNKNOWN, _zone_of(group.stem))


def gap_before(group: Group, segment: Segment) -> Gap | None:
    """The gap of the ledger that ended where the segment begins."""
    try:
        lines = read_ledger(read_plain(group.recordings / group.source / LEDGER, LEDGER_BYTES))
    except (OSError, NotPlainError):
        return None
    gaps = (line.gap for line in lines.values() if line.at == "end")
    return next((gap for gap in gaps if gap.end == segment.start and not gap.filled_samples), None)


def joined_end(group: Group, segment: Segment) -> Segment | None:
    """The next segment, where it joins this one as well as a card's clock lets it."""
    within = _JOIN + _JOIN_SHARE * (segment.end - segment.start)
    for other in _around(group):
        begins = other.start if other.gap_before is None else other.gap_before.start
        if segment.start < begins and abs(begins - segment.end) <= within:
            return other
    return None


def _around(group: Group) -> Iterator[Segment]:
    """The segments of the source in the same folder, those of the next day behind them."""
    own = group.path("").parent
    folders = [own]
    if group.is_in_place:
        later = (group.recordings / group.source).glob("[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]")
        folders += sorted(folder for folder in later if folder > own)[:1]
    for folder in folders:
        for suffix in (SIDECAR, SIDECAR + PART):
            for path in sorted(folder.glob(f"{group.source}_*{suffix}")):
                segment = None if path.name.startswith(group.stem + ".") else read_sidecar(path)
                if segment is not None:
                    yield segment


def _zone_of(stem: str) -> ZoneInfo:
    """A zone with the offset that a name ends with; UTC where it has half hours, of which no such zone exists."""
    match = _OFFSET.search(stem, len(stem) - 8)
    if match is None or match[2] == "00":
        return ZoneInfo("UTC")
    west = "-" if match[1] == "+" else "+"  # POSIX counts westwards
    return ZoneInfo(f"Etc/GMT{west}{int(match[2])}")
