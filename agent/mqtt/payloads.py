"""What the messages say; each has a schema in `agent/schemas`. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.archive_format.sidecar import segment_json
from agent.archive_format.status import source_json
from agent.archive_format.times import rfc3339
from agent.model import DiskStatus, Level, Notice, Problem, Segment, SoundEvent, SourceState, SourceStatus

ONLINE, OFFLINE = b"online", b"offline"
COMMAND_BYTES_MAX = 4096
API = "1.0"

Json = dict[str, Any]


def encode(data: Json) -> bytes:
    """Compact JSON; NaN and infinity are refused, because they are not JSON."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def source_available(status: SourceStatus) -> bytes:
    """Whether the source delivers samples: a stopped one does not."""
    return ONLINE if status.state is SourceState.RECORDING else OFFLINE


def state(status: SourceStatus, at: datetime) -> Json:
    """The full snapshot of a source."""
    return {"v": 1, "ts": rfc3339(at), **source_json(status)}


def segment(closed: Segment) -> Json:
    """A closed segment, before it has its number: its sidecar without the long lists."""
    body = segment_json(closed)
    events, titles = body.pop("events"), body.pop("titles")
    body["clock"].pop("map")
    return {**body, "events_count": len(events), "titles_count": len(titles)}


def event(heard: SoundEvent) -> Json:
    """Something heard, before it has its number."""
    place = heard.place
    return {
        "v": 1,
        "id": heard.id,
        "event_type": heard.event_type,
        "pair": heard.pair,
        "at": rfc3339(heard.at),
        "source": heard.source,
        "level_dbfs": heard.level_dbfs,
        "max_dbfs": heard.max_dbfs,
        "threshold_dbfs": heard.threshold_dbfs,
        "duration_s": heard.duration_s,
        "segment": None if place is None else place.segment,
        "file": None if place is None else place.file,
        "offset_s": None if place is None else round(place.offset_s, 3),
        "ended_by": heard.ended_by,
    }


def numbered(body: bytes, at: datetime, *, seq: int, epoch: str, late: bool, age_s: float) -> bytes:
    """The body of a segment or event as it is sent, with its place in the stream of messages."""
    place = {"seq": seq, "epoch": epoch, "ts": rfc3339(at), "late": late, "age_s": round(age_s, 3)}
    return encode({**json.loads(body), **place})


def level(measured: Level) -> Json:
    """How loud it was; `ts` is when the window ended. What a later version measures is null."""
    return {
        "v": 1,
        "ts": rfc3339(measured.at),
        "window_s": measured.window_s,
        "rms_dbfs": measured.rms_dbfs,
        "peak_dbfs": measured.peak_dbfs,
        "lufs_m": None,
        "lufs_s": None,
        "laeq_db": None,
        "clipped": measured.clipped,
        "silent": measured.silent,
    }


def notice(told: Notice, at: datetime) -> Json:
    """One warning or error; `at` is when it became known."""
    return {
        "v": 1,
        "ts": rfc3339(at),
        "code": told.code,
        "severity": told.severity,
        "source": told.source,
        "text": told.text,
        "hint": told.hint,
    }


@dataclass(frozen=True, slots=True)
class BoxFacts:
    """What the box says of itself; None where it does not tell."""

    disk: DiskStatus
    cpu_temp_c: float | None
    memory_bytes: int | None
    clock_synchronized: bool | None


@dataclass(frozen=True, slots=True)
class OutboxFacts:
    """How the outbox is: rows that wait, the age of the oldest, rows dropped since the start, topics that are refused,
    and why nothing can be written."""

    depth: int = 0
    oldest_s: float | None = None
    dropped: int = 0
    dropped_lately: bool = False
    blocked_reason: str | None = None
    unwritable: str | None = None


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """How the connection is: how often it came back, why it was lost last, commands that were too many."""

    reconnects: int
    last_error: str | None
    commands_dropped: int


def problems(box: BoxFacts, outbox: OutboxFacts, statuses: list[SourceStatus]) -> list[Problem]:
    """What is wrong right now, each once."""
    states = {status.state for status in statuses}
    found = {
        Problem.SOURCE_ERROR: SourceState.ERROR in states,
        Problem.DISK_LOW: box.disk.is_low,
        Problem.DISK_FULL: SourceState.DISK_FULL in states,
        Problem.CLOCK_UNSYNCHRONIZED: box.clock_synchronized is False,
        Problem.OUTBOX_BLOCKED: outbox.blocked_reason is not None,
        Problem.OUTBOX_DROPPED: outbox.dropped_lately,
        Problem.OUTBOX_UNWRITABLE: outbox.unwritable is not None,
    }
    return [problem for problem, is_so in found.items() if is_so]


def health(
    at: datetime,
    *,
    started: str,
    uptime_s: float,
    box: BoxFacts,
    outbox: OutboxFacts,
    link: LinkFacts,
    statuses: list[SourceStatus],
) -> Json:
    """How the agent is."""
    wrong = problems(box, outbox, statuses)
    return {
        "v": 1,
        "ts": rfc3339(at),
        "uptime_s": round(uptime_s),
        "started": started,
        "problem": bool(wrong),
        "problems": wrong,
        "disk": {"free_bytes": box.disk.free_bytes, "hours_left": box.disk.hours_left},
        "cpu_temp_c": box.cpu_temp_c,
        "memory_bytes": box.memory_bytes,
        "clock": {"synchronized": box.clock_synchronized},
        "outbox": {
            "depth": outbox.depth,
            "oldest_s": None if outbox.oldest_s is None else round(outbox.oldest_s, 1),
            "dropped": outbox.dropped,
            "blocked_reason": outbox.blocked_reason or outbox.unwritable,
        },
        "mqtt": {
            "reconnects": link.reconnects,
            "last_error": link.last_error,
            "commands_dropped": link.commands_dropped,
        },
        "recording_sources": sum(status.state is SourceState.RECORDING for status in statuses),
    }
