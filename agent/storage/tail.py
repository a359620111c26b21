"""Reads back what a source recorded last, so that a server's burst after a restart of the agent is recognised."""

import logging
import mmap
from pathlib import Path

from agent.archive_format.times import to_ns
from agent.codecs.tails import tail
from agent.model import Instant, Segment, Tail
from agent.storage.history import newest
from agent.storage.plain import open_plain

_log = logging.getLogger(__name__)
_FRESH_NS = 600_000_000_000
"""No server's burst is ten minutes long."""
_UNSURE_NS = 1_000_000_000
"""By so much the end of what a crash left may seem to lie ahead: it is told by samples, and by no clock."""
_STEP_NS = 10_000_000
_FILES, _PACKETS = 12, 1024


def read_tail(recordings: Path, source: str, now: Instant, boot: str) -> Tail | None:
    """The last packets of a source, from its newest files that join; None where they are ten minutes old, or of a kind
    that does not tell. A short look: at most a dozen files, and only at the end of each. `boot` is the one of `now`."""
    segments = sorted(newest(recordings, source, _FILES), key=lambda segment: _ago_ns(segment, now, boot))
    if not segments or segments[0].format.codec == "pcm":
        return None
    ago_ns = _ago_ns(segments[0], now, boot)
    if not -_UNSURE_NS <= ago_ns < _FRESH_NS:
        return None
    packets: list[bytes] = []
    following: Segment | None = None
    for segment in segments:
        if following is not None and (segment.end, segment.format) != (following.start, following.format):
            break
        found = _packets(recordings, segment)
        packets = found + packets
        following = segment
        if len(found) != segment.packets or len(packets) >= _PACKETS:
            break
    if not packets:
        return None
    ago_ns = max(0, ago_ns)
    ended = Instant(now.wall_ns - ago_ns, now.boottime_ns - ago_ns, now.monotonic_ns - ago_ns)
    return Tail(segments[0].format, tuple(packets), ended)


def _ago_ns(segment: Segment, now: Instant, boot: str) -> int:
    """How long ago a segment ended: by the clock that is never set, where that is the same one."""
    by_wall_ns, started_s = now.wall_ns - to_ns(segment.end), segment.clock.start_boottime_s
    if segment.boot != boot or started_s is None:
        return by_wall_ns
    started_ns = round(started_s * 1e9)
    ago_ns = now.boottime_ns - started_ns - (to_ns(segment.end) - to_ns(segment.start))
    # Where the wall clock was not set since, it tells the very millisecond that the sidecar has.
    return by_wall_ns if abs(by_wall_ns - ago_ns) < _STEP_NS else ago_ns


def _packets(recordings: Path, segment: Segment) -> list[bytes]:
    try:
        with (
            open_plain(recordings / segment.file) as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return tail(segment.container, data, segment.payload_offset)
    except (OSError, ValueError) as error:
        _log.warning("%s cannot be read back: %s", segment.file, error)
        return []
