"""Segments and events as they go into the outbox. Pure."""

from datetime import datetime

from agent.model import Segment, SoundEvent
from agent.mqtt import payloads
from agent.mqtt.rows import Draft, Kind, Newest

_REV_MAX = 1 << 31


def segment_draft(segment: Segment, known_s: float, known_at: datetime) -> Draft:
    """A closed or corrected segment. ValueError or KeyError for a sidecar that says what no segment of ours does."""
    if not 0 < segment.rev < _REV_MAX:
        raise ValueError(f"rev is {segment.rev}")
    body = payloads.encode(payloads.segment(segment))
    # A segment that was salvaged is as old as its audio.
    ended_s = known_s - max(0.0, (known_at - segment.end).total_seconds())
    return Draft(Kind.SEGMENT, segment.source, segment.id, segment.rev, segment.start, body, ended_s, known_at)


def event_draft(event: SoundEvent, known_s: float, known_at: datetime) -> Draft:
    """One end of something heard."""
    body = payloads.encode(payloads.event(event))
    return Draft(Kind.EVENT, event.source, event.id, 1, event.at, body, known_s, known_at)


def is_newer(draft: Draft, newest: Newest | None) -> bool:
    """Whether a segment is the newest of its source, or a correction of that."""
    if newest is None or draft.start > newest.start:
        return True
    return draft.id == newest.id and draft.rev > newest.rev
