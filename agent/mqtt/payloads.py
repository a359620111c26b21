"""What the messages say (examples that bind: the schemas `info`, `state`, `segment`, `resp`). Pure."""

import json
from datetime import datetime
from typing import Any

from agent.archive_format.sidecar import segment_json
from agent.archive_format.status import source_json
from agent.archive_format.times import rfc3339
from agent.model import Segment, SourceState, SourceStatus

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


def segment(closed: Segment, at: datetime, *, seq: int, epoch: str) -> Json:
    """A closed segment: its sidecar without the long lists, with its place in the stream of messages."""
    body = segment_json(closed)
    events, titles = body.pop("events"), body.pop("titles")
    body["clock"].pop("map")
    age_s = round(max(0.0, (at - closed.end).total_seconds()), 3)
    return {
        **body,
        "events_count": len(events),
        "titles_count": len(titles),
        "seq": seq,
        "epoch": epoch,
        "ts": rfc3339(at),
        "late": age_s > 60,
        "age_s": age_s,
    }
