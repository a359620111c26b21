"""status.json: the agent's live state, for the archive and for anybody who looks (schema `status`)."""

from typing import Any

from agent.archive_format.sidecar import gap_json
from agent.archive_format.times import rfc3339
from agent.model import AgentStatus, AudioFormat, SourceStatus

FRESH_S = 5.0
"""A status older than this means that the agent does not run."""


def status_json(status: AgentStatus) -> dict[str, Any]:
    """The whole file. What a later version measures is null."""
    return {
        "v": 1,
        "ts": rfc3339(status.at),
        "agent": status.agent,
        "boot": status.boot,
        "run": status.run,
        "pid": status.pid,
        "version": status.version,
        "tz": status.tz,
        "disk": {"free_bytes": status.free_bytes, "hours_left": None},
        "sources": [{**source_json(source), "level": None} for source in status.sources],
        "active": [source.open_segment.file for source in status.sources if source.open_segment],
    }


def source_json(source: SourceStatus) -> dict[str, Any]:
    """One source, without its level: that is what its state topic says too."""
    opened, gap = source.open_segment, source.gap
    return {
        "id": source.id,
        "name": source.name,
        "type": source.type,
        "state": source.state,
        "desired": source.desired,
        "since": rfc3339(source.since),
        "format": None if source.format is None else format_json(source.format),
        "open_segment": None
        if opened is None
        else {
            "file": opened.file,
            "start": rfc3339(opened.start),
            "samples_safe": opened.samples_safe,
            "bytes_safe": opened.bytes_safe,
        },
        "sound": None,
        "title": source.title,
        "gap": None if gap is None else {key: gap_json(gap, at="begin")[key] for key in ("id", "start", "cause")},
        "recorded_today_s": None,
        "missing_today_s": None,
        "completeness_pct": None,
        "last_error": source.last_error,
    }


def format_json(audio_format: AudioFormat) -> dict[str, Any]:
    """What a source delivers."""
    return {
        "codec": audio_format.codec,
        "sample_rate_hz": audio_format.sample_rate_hz,
        "channels": audio_format.channels,
        "bits": audio_format.bits,
    }
