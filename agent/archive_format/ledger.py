"""The gap ledger `<source>/gaps.jsonl`: one object a line, the last line of an id wins."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from agent.archive_format.sidecar import encode_line, gap_from, gap_json
from agent.model import Gap, GapLine

_AT = ("begin", "midnight", "end")
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')


def ledger_line(line: GapLine) -> bytes:
    """One line as it is appended."""
    return encode_line(gap_json(line.gap, at=line.at))


def read_ledger(data: bytes) -> dict[str, GapLine]:
    """The last line of every id, in order of first appearance. A torn or foreign line is passed over."""
    return {line.gap.id: line for line in read_lines(data)}


def read_lines(data: bytes) -> Iterator[GapLine]:
    """Every line, in order. A torn or foreign one is passed over."""
    for raw in data.split(b"\n"):
        try:
            fields = json.loads(raw)
            line = GapLine(fields["at"], gap_from(fields))
            if line.at in _AT and isinstance(line.gap.id, str) and isinstance(line.gap.filled_samples, int):
                yield line
        except (ValueError, KeyError, TypeError, RecursionError):
            continue


def blanked(raw: bytes) -> bytes:
    """A line without its end, with blanks for what a power cut has left of one: its beginning, zeros in the place of
    bytes, or one that was being blanked. One that can be read stays, and so does one that is whole and wrong."""
    text = raw.strip(b" \0")
    try:
        if isinstance(json.loads(text), dict):
            return raw.replace(b"\0", b" ")
    except (ValueError, RecursionError):
        pass
    rest = _TEXT.sub(b"", text)
    is_unfinished = text.startswith(b"{") and (b'"' in rest or rest.count(b"{") > rest.count(b"}"))
    is_torn = is_unfinished or b"\0" in raw or raw.startswith(b" ")
    return b" " * len(raw) if is_torn else raw


def open_gap(lines: dict[str, GapLine]) -> Gap | None:
    """The gap that has begun and not ended, if there is one."""
    line = _open_line(lines)
    return None if line is None else replace(line.gap, end=None)


def told_until(lines: dict[str, GapLine]) -> datetime | None:
    """The midnight up to which that gap has been told; None where none has a line."""
    line = _open_line(lines)
    return None if line is None else line.gap.end


def _open_line(lines: dict[str, GapLine]) -> GapLine | None:
    # One that is filled is over, even where the line of its end was torn.
    lasting = (line for line in reversed(lines.values()) if line.at != "end" and not line.gap.filled_samples)
    return next(lasting, None)
