"""Sidecars: a segment as JSON and back (schema `segment`)."""

import json
import operator
from types import UnionType
from typing import Any
from zoneinfo import ZoneInfo

from agent.archive_format.times import parse, rfc3339, rfc3339_local
from agent.model import (
    AudioFormat,
    Clock,
    ClockStep,
    CloseReason,
    Correction,
    Deletion,
    EventAt,
    EventType,
    Gap,
    GapCause,
    Loudness,
    SampleFormat,
    Segment,
    TitleAt,
)

Json = dict[str, Any]

_KINDS: dict[str, type | UnionType] = {
    **dict.fromkeys(("id", "agent", "source", "boot", "run", "file", "container", "tz"), str),
    **dict.fromkeys(("samples", "bytes", "payload_offset", "priming_packets", "rev"), int),
    **dict.fromkeys(("aligned_start", "aligned_end", "recovered", "protected"), bool),
    **dict.fromkeys(("sha256", "url"), str | None),
    "packets": int | None,
}
"""Fields that stand in a sidecar as they are in a Segment."""


_STORED_AS = {"wav": "pcm", "flac": "flac"}
"""Containers that hold a codec of their own, whatever came in."""


def segment_json(segment: Segment) -> Json:
    """The sidecar, also the body of the segment message. What a later version measures is null."""
    zone = ZoneInfo(segment.tz)
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
        "codec": _STORED_AS.get(segment.container, segment.format.codec),
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
            "steps": [{"at": rfc3339(step.at), "by_s": round(step.by_s, 3)} for step in segment.clock.steps],
            "corrected": None if segment.clock.corrected is None else _shift_json(segment),
        },
        "gap_before": None if segment.gap_before is None else gap_json(segment.gap_before, at="end"),
        "gaps": [gap_json(gap, at="end") for gap in segment.gaps],
        "missing_s": round(sum((gap.duration_s or 0.0 for gap in segment.gaps if gap.cause.missing), 0.0), 3),
        "overruns": sum(gap.cause is GapCause.OVERRUN for gap in segment.gaps),
        "loudness": None if segment.loudness is None else _loudness_json(segment.loudness),
        "events": [_event_json(event) for event in segment.events],
        "titles": [
            {"at": rfc3339(title.at), "offset_s": round(title.offset_s, 3), "text": title.text}
            for title in segment.titles
        ],
        "url": segment.url,
        "recovered": segment.recovered,
        "protected": segment.protected,
        "deleted": None if segment.deleted is None else _deletion_json(segment.deleted),
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
            tuple(ClockStep(parse(step["at"]), float(step["by_s"])) for step in clock["steps"]),
            _correction_from(clock.get("corrected")),
        ),
        gap_before=None if data["gap_before"] is None else gap_from(data["gap_before"]),
        gaps=tuple(gap_from(gap) for gap in data["gaps"]),
        events=tuple(_event_from(event) for event in data["events"]),
        loudness=None if data["loudness"] is None else _loudness_from(data["loudness"]),
        titles=tuple(TitleAt(title["text"], parse(title["at"]), title["offset_s"]) for title in data["titles"]),
        deleted=None if data["deleted"] is None else _deletion_from(data["deleted"]),
    )


def _deletion_json(deletion: Deletion) -> Json:
    return {"at": rfc3339(deletion.at), "why": deletion.why}


def _deletion_from(data: Json) -> Deletion:
    return Deletion(parse(data["at"]), str(data["why"]))


def _shift_json(segment: Segment) -> Json:
    assert segment.clock.corrected is not None
    by_s = (segment.start - segment.clock.corrected.start_as_recorded).total_seconds()
    return {**_correction_json(segment.clock.corrected), "by_s": round(by_s, 3)}


def _correction_json(corrected: Correction) -> Json:
    return {
        "at": rfc3339(corrected.at),
        "start_as_recorded": rfc3339(corrected.start_as_recorded),
        "end_as_recorded": rfc3339(corrected.end_as_recorded),
    }


def _correction_from(data: Json | None) -> Correction | None:
    if data is None:
        return None
    return Correction(parse(data["at"]), parse(data["start_as_recorded"]), parse(data["end_as_recorded"]))


def _event_json(event: EventAt) -> Json:
    return {
        "id": event.id,
        "event_type": event.type,
        "start": rfc3339(event.start),
        "end": None if event.end is None else rfc3339(event.end),
        "offset_s": round(event.offset_s, 3),
        "max_dbfs": event.max_dbfs,
    }


def _event_from(data: Json) -> EventAt:
    return EventAt(
        id=data["id"],
        type=EventType(data["event_type"]),
        start=parse(data["start"]),
        end=None if data["end"] is None else parse(data["end"]),
        offset_s=data["offset_s"],
        max_dbfs=data["max_dbfs"],
    )


def _loudness_json(loudness: Loudness) -> Json:
    later = ("true_peak_dbtp", "lufs_i", "lra_lu", "laeq_db", "l10_db", "l50_db", "l90_db")
    return {
        "rms_dbfs": loudness.rms_dbfs,
        "peak_dbfs": loudness.peak_dbfs,
        **dict.fromkeys(later),
        "calibrated": False,
    }


def _loudness_from(data: Json) -> Loudness:
    return Loudness(float(data["rms_dbfs"]), float(data["peak_dbfs"]))


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
        **({} if gap.corrected is None else {"corrected": _correction_json(gap.corrected)}),
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
        corrected=_correction_from(data.get("corrected")),
    )


def encode(data: Json) -> bytes:
    """Readable JSON in UTF-8; NaN and infinity are refused, because they are not JSON."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1).encode() + b"\n"


def encode_line(data: Json) -> bytes:
    """JSON on one line, with its newline."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n"
