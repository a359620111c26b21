"""status.json: the agent's live state, for the archive and for anybody who looks (schema `status`)."""

from typing import Any

from agent.archive_format.sidecar import gap_json
from agent.archive_format.times import rfc3339
from agent.model import AgentStatus, AudioFormat, Level, SourceStatus

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
        "disk": {"free_bytes": status.disk.free_bytes, "hours_left": status.disk.hours_left},
        "sources": [
            {**source_json(source), "level": level_json(status.levels.get(source.id))} for source in status.sources
        ],
        "active": [source.open_segment.file for source in status.sources if source.open_segment],
    }


def source_json(source: SourceStatus) -> dict[str, Any]:
    """One source, without its level: that is what its state topic says too."""
    opened, gap, today = source.open_segment, source.gap, source.today
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
        "sound": source.sound,
        "title": source.title,
        "gap": None if gap is None else {key: gap_json(gap, at="begin")[key] for key in ("id", "start", "cause")},
        "recorded_today_s": None if today is None else today.recorded_s,
        "missing_today_s": None if today is None else today.missing_s,
        "completeness_pct": None if today is None else today.completeness_pct,
        "missing_total_s": source.missing_total_s,
        "last_error": source.last_error,
    }


def level_json(level: Level | None) -> dict[str, Any] | None:
    """The latest level of a source."""
    return None if level is None else {"rms_dbfs": level.rms_dbfs, "peak_dbfs": level.peak_dbfs}


def format_json(audio_format: AudioFormat) -> dict[str, Any]:
    """What a source delivers."""
    return {
        "codec": audio_format.codec,
        "sample_rate_hz": audio_format.sample_rate_hz,
        "channels": audio_format.channels,
        "bits": audio_format.bits,
    }
