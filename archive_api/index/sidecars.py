"""What a sidecar says, as a row. It may be older or newer than this program, or not be one at all. Pure."""

import json
import re
import sys
from typing import Any
from zoneinfo import ZoneInfo

from agent.archive_format.times import ms_of, parse
from agent.model import EventType
from archive_api.index.row import Event, Row, State, Title
from archive_api.index.times import LENGTH_MOST_S

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_INTEGER_MOST = (1 << 63) - 1
_LIST_MOST = 10_000
_TEXT_MOST = 1000
_LEVEL_MOST_DB = 1000.0
_NO_SIDECAR = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, OSError)
"""What reading raises on JSON that is no sidecar: somebody else's file that happens to lie there."""

Json = dict[str, Any]


def read_sidecar(data: bytes, file: str) -> tuple[Row, Json] | None:
    """The row of the audio `file` and the object itself; None where the data is no sidecar of that audio.

    `state` is done: whether the audio is as the sidecar says is for who has looked at it.
    """
    try:
        fields = json.loads(data, parse_constant=_finite, parse_float=_finite)
        if str(fields["file"]).rpartition("/")[2] != file.rpartition("/")[2]:
            return None
        return _row(fields, file), fields
    except _NO_SIDECAR:
        return None


def _finite(text: str) -> float:
    """A number that JSON can say again: not NaN, and not 1e999."""
    return _number(float(text), sys.float_info.max)


def _row(fields: Json, file: str) -> Row:
    start_ms, end_ms = ms_of(parse(fields["start"])), ms_of(parse(fields["end"]))
    duration_s = _number(fields["duration_s"], LENGTH_MOST_S)
    if duration_s < 0 or (end_ms - start_ms) / 1000 > LENGTH_MOST_S:
        raise ValueError("no recording is that long, and it would hide every gap after it")
    identity = fields["id"]
    # A copy in another folder has the same sidecar, and is another recording all the same.
    is_at_home = fields["file"] == file and isinstance(identity, str) and _ID.fullmatch(identity)
    loudness = fields.get("loudness") or {}
    events = tuple(_event(event) for event in _list(fields, "events"))
    titles = tuple(Title(ms_of(parse(title["at"])), _text(title["text"])) for title in _list(fields, "titles"))
    return Row(
        file=file,
        id=identity if is_at_home else "",
        agent=_text(fields["agent"]),
        source=_text(fields["source"]),
        container=_text(fields["container"]),
        codec=_text(fields["codec"]),
        start_ms=start_ms,
        end_ms=max(start_ms, end_ms),
        duration_s=duration_s,
        bytes=_whole(fields["bytes"]),
        samples=_whole(fields["samples"]),
        sample_rate_hz=_whole(fields["sample_rate_hz"]),
        channels=_whole(fields["channels"]),
        state=State.DONE,
        reason=None if fields.get("reason") is None else _text(fields["reason"]),
        missing_s=_number(fields.get("missing_s") or 0.0, LENGTH_MOST_S),
        rms_dbfs=None if loudness.get("rms_dbfs") is None else _number(loudness["rms_dbfs"], _LEVEL_MOST_DB),
        peak_dbfs=None if loudness.get("peak_dbfs") is None else _number(loudness["peak_dbfs"], _LEVEL_MOST_DB),
        loud_events=sum(event.type == EventType.LOUD for event in events),
        title=titles[0].text if titles else None,
        tz=ZoneInfo(fields["tz"]).key,
        titles=titles,
        events=events,
    )


def _event(fields: Json) -> Event:
    return Event(
        id=_text(fields["id"]),
        type=_text(fields["event_type"]),
        start_ms=ms_of(parse(fields["start"])),
        end_ms=None if fields.get("end") is None else ms_of(parse(fields["end"])),
        offset_s=_number(fields["offset_s"], LENGTH_MOST_S),
        max_dbfs=None if fields.get("max_dbfs") is None else _number(fields["max_dbfs"], _LEVEL_MOST_DB),
    )


def _list(fields: Json, name: str) -> list[Json]:
    found = fields.get(name) or []
    if not isinstance(found, list):
        raise TypeError(f"{name} is no list")
    return found[:_LIST_MOST]


def _text(value: object) -> str:
    """Text that SQLite can hold: JSON can spell half a surrogate pair."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value[:_TEXT_MOST].encode("utf-8", "replace").decode()


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _INTEGER_MOST:
        raise ValueError(f"{value!r} is no count")
    return value


def _number(value: object, most: float) -> float:
    if not isinstance(value, (int, float)) or not abs(value) <= most:
        raise ValueError(f"{value!r} is no number, or none that belongs here")
    return float(value)
