"""The gap ledger `<source>/gaps.jsonl`: one object a line, the last line of an id wins."""

import json

from agent.archive_format.sidecar import encode_line, gap_from, gap_json
from agent.model import Gap, GapLine

_AT = ("begin", "midnight", "end")


def ledger_line(line: GapLine) -> bytes:
    """One line as it is appended."""
    return encode_line(gap_json(line.gap, at=line.at))


def read_ledger(data: bytes) -> dict[str, GapLine]:
    """The last line of every id, in order of first appearance. A torn or foreign line is passed over."""
    lines: dict[str, GapLine] = {}
    for raw in data.split(b"\n"):
        try:
            fields = json.loads(raw)
            line = GapLine(fields["at"], gap_from(fields))
            if line.at in _AT:
                lines[line.gap.id] = line
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return lines


def open_gap(lines: dict[str, GapLine]) -> Gap | None:
    """The gap that has begun and not ended, if there is one."""
    for line in reversed(lines.values()):
        if line.at != "end":
            return Gap(line.gap.id, line.gap.source, line.gap.start, None, line.gap.cause, line.gap.detail)
    return None
