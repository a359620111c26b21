"""Is every line of a gap ledger what it should be? Pure."""

import json
from collections.abc import Iterator

from agent.archive_format.ledger import blanked
from agent.verify.finding import Check, Finding
from agent.verify.schema import problems

_TORN = "a power cut tore it: isr-agent repair blanks it, and what it told may stand in `gap_before` around"
_ADVICE = "what it told may stand in `gap_before` of the sidecars around; put the file back from a copy"


def judge_ledger(file: str, data: bytes, source: str) -> Iterator[Finding]:
    """What is wrong with the lines of `gaps.jsonl`. One that is being written, the last, is let be, and so is one that
    was torn by a power cut, and blanked."""
    *lines, _torn = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        complaint = _complaint(line, source) if line.strip(b" ") else None
        if complaint is not None:
            yield Finding(
                file,
                Check.LEDGER,
                f"in line {number} {complaint}",
                "a gap in JSON",
                _TORN if blanked(line) != line else _ADVICE,
            )


def _complaint(line: bytes, source: str) -> str | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no JSON ({error})"
    wrong = problems("gap", fields)
    if wrong:
        return wrong[0]
    return None if fields["source"] == source else f"a gap of {fields['source']}"
