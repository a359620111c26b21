"""What a sidecar that is to be written anew keeps of the one before, which is not sound. Pure."""

import json
import re

from agent.archive_format.sidecar import Json, encode, segment_from, segment_json
from agent.verify.schema import problems

_V = 1
_OF_THE_AUDIO = frozenset(
    ("v", "rev", "kind", "file", "container", "codec", "sample_rate_hz", "channels", "bits", "sample_format", "bytes")
) | frozenset(("sha256", "samples", "packets", "duration_s", "payload_offset", "priming_packets", "recovered"))
"""The audio itself, or its name, tells these."""
_DERIVED = ("start_local", "missing_s", "overruns")
_TIMES = ("start", "end", "tz", "clock")
_PROTECTED = re.compile(rb'"protected"\s*:\s*true')
_WRONG = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def is_newer(data: Json) -> bool:
    """Whether a later version of this program has written it, which knows more than this one."""
    version = data.get("v")
    return isinstance(version, int | float) and version > _V


def told_by(sidecar: bytes) -> Json:
    """What the bytes of a sidecar that is not sound still tell; of what is no JSON, whether it was protected."""
    try:
        data = json.loads(sidecar)
    except (ValueError, RecursionError):
        return {"protected": True} if _PROTECTED.search(sidecar) else {}
    return data if isinstance(data, dict) else {}


def carried_over(anew: Json, before: Json) -> Json:
    """`anew`, a sound sidecar, with all that `before` tells in a way that can be understood.

    Of the sidecar of another file only the protection counts: who protects wants neither to be lost.
    """
    is_protected = before.get("protected", False) not in (False, None)
    if not _is_of(before.get("file", anew["file"]), anew["file"]):
        return {**anew, "protected": is_protected}
    kept = dict(anew)
    times = {name: before[name] for name in _TIMES if name in before}
    if len(times) == len(_TIMES) and _fits({**kept, **times}):
        kept |= times
    for name, value in before.items():
        if name not in (*_OF_THE_AUDIO, *_DERIVED, *_TIMES, "protected") and _fits({**kept, name: value}):
            kept[name] = value
    kept["protected"] = is_protected
    if _fits({**kept, "rev": before.get("rev")}):
        kept["rev"] = int(before["rev"]) + 1
    derived = segment_json(segment_from(kept))
    return {**kept, **{name: derived[name] for name in _DERIVED}}


def _is_of(file: object, own: str) -> bool:
    return not isinstance(file, str) or file.rpartition("/")[2] == own.rpartition("/")[2]


def _fits(candidate: Json) -> bool:
    """Whether it is a sound sidecar, whose times are those of its samples."""
    try:
        if problems("segment", candidate):
            return False
        segment = segment_from(candidate)
        encode({**candidate, **segment_json(segment)})
        encode(candidate)
    except _WRONG:
        return False
    first, last = segment.clock.map[0], segment.clock.map[-1]
    return first == (0, segment.start) and last == (segment.samples, segment.end) and segment.start <= segment.end
