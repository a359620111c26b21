"""Sidecars: a segment as JSON and back (schema `segment`)."""

import json
import operator
from types import UnionType
from typing import Any
from zoneinfo import ZoneInfo

from agent.archive_format.times import parse, rfc3339, rfc3339_local
from agent.model import AudioFormat, Clock, CloseReason, Gap, GapCause, SampleFormat, Segment, TitleAt

Json = dict[str, Any]

_KINDS: dict[str, type | UnionType] = {
    **dict.fromkeys(("id", "agent", "source", "boot", "run", "file", "container", "tz"), str),
    **dict.fromkeys(("samples", "bytes", "payload_offset", "priming_packets", "rev"), int),
    **dict.fromkeys(("aligned_start", "aligned_end", "recovered"), bool),
    **dict.fromkeys(("sha256", "url"), str | None),
    "packets": int | None,
}
"""Fields that stand in a sidecar as they are in a Segment."""


def segment_json(segment: Segment) -> Json:
    """The sidecar, also the body of the segment message. What a later version measures is null."""
    zone = ZoneInfo(segment.tz)
    is_pcm = segment.container == "wav"
    return {
        "v": 1,
        "rev": segment.rev,
        "id": segment.id,
        "kind": "segment",
        "agent": segment.agent,
        "boot": segment.boot,
        "run": segment.run,
        "source": segment.source,
        "file": segment.file,
        "container": segment.container,
        "codec": "pcm" if is_pcm else segment.container,
        "sample_rate_hz": segment.format.sample_rate_hz,
        "channels": segment.format.channels,
        "bits": segment.format.bits,
        "sample_format": segment.format.sample_format,
        "bytes": segment.bytes,
        "sha256": segment.sha256,
        "start": rfc3339(segment.start),
        "end": rfc3339(segment.end),
        "start_local": rfc3339_local(segment.start, zone),
        "tz": segment.tz,
        "samples": segment.samples,
        "packets": segment.packets,
        "duration_s": round(segment.duration_s, 6),
        "payload_offset": segment.payload_offset,
        "priming_packets": segment.priming_packets,
        "aligned_start": segment.aligned_start,
        "aligned_end": segment.aligned_end,
        "reason": segment.reason,
        "clock": {
            "synchronized": segment.clock.synchronized,
            "start_boottime_s": segment.clock.start_boottime_s,
            "drift_ppm": segment.clock.drift_ppm,
            "overlap_s": segment.clock.overlap_s,
            "map": [[sample, rfc3339(at)] for sample, at in segment.clock.map],
            "steps": [],
        },
        "gap_before": None if segment.gap_before is None else gap_json(segment.gap_before, at="end"),
        "gaps": [gap_json(gap, at="end") for gap in segment.gaps],
        "missing_s": round(sum((gap.duration_s or 0.0 for gap in segment.gaps if gap.cause.missing), 0.0), 3),
        "overruns": sum(gap.cause is GapCause.OVERRUN for gap in segment.gaps),
        "loudness": None,
        "events": [],
        "titles": [
            {"at": rfc3339(title.at), "offset_s": round(title.offset_s, 3), "text": title.text}
            for title in segment.titles
        ],
        "url": segment.url,
        "recovered": segment.recovered,
        "protected": False,
        "deleted": None,
    }


def segment_from(data: Json) -> Segment:
    """The segment that a sidecar tells of; KeyError, TypeError or ValueError where it is none."""
    layout = None if data["sample_format"] is None else SampleFormat(data["sample_format"])
    codec = data["codec"] if layout is None else "pcm"
    clock = data["clock"]
    for name, kind in _KINDS.items():
        if not isinstance(data[name], kind):
            raise TypeError(f"{name} is {data[name]!r}")
    if not operator.index(data["sample_rate_hz"]) > 0:
        raise ValueError("sample_rate_hz is not above 0")
    return Segment(
        **{name: data[name] for name in _KINDS},
        format=AudioFormat(codec, data["sample_rate_hz"], data["channels"], data["bits"], layout),
        start=parse(data["start"]),
        end=parse(data["end"]),
        reason=None if data["reason"] is None else CloseReason(data["reason"]),
        clock=Clock(
            clock["synchronized"],
            clock["start_boottime_s"],
            clock["drift_ppm"],
            clock["overlap_s"],
            tuple((operator.index(sample), parse(at)) for sample, at in clock["map"]),
        ),
        gap_before=None if data["gap_before"] is None else gap_from(data["gap_before"]),
        gaps=tuple(gap_from(gap) for gap in data["gaps"]),
        titles=tuple(TitleAt(title["text"], parse(title["at"]), title["offset_s"]) for title in data["titles"]),
    )


def gap_json(gap: Gap, *, at: str) -> Json:
    """A gap as it stands in sidecars and in the ledger (schema `gap`)."""
    return {
        "v": 1,
        "id": gap.id,
        "source": gap.source,
        "at": at,
        "start": rfc3339(gap.start),
        "end": None if gap.end is None else rfc3339(gap.end),
        "duration_s": None if gap.duration_s is None else round(gap.duration_s, 3),
        "cause": gap.cause,
        "missing": gap.cause.missing,
        "filled_samples": gap.filled_samples,
        "detail": gap.detail,
    }


def gap_from(data: Json) -> Gap:
    """The gap that such an object tells of; KeyError, TypeError or ValueError where it is none."""
    return Gap(
        id=data["id"],
        source=data["source"],
        start=parse(data["start"]),
        end=None if data["end"] is None else parse(data["end"]),
        cause=GapCause(data["cause"]),
        detail=data["detail"],
        filled_samples=data["filled_samples"],
    )


def encode(data: Json) -> bytes:
    """Readable JSON in UTF-8; NaN and infinity are refused, because they are not JSON."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1).encode() + b"\n"


def encode_line(data: Json) -> bytes:
    """JSON on one line, with its newline."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n"
