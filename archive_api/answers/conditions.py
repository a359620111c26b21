"""Conditional requests (RFC 9110, 13). Pure: header lines and validators in, a verdict out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import Enum, auto
from typing import TypeAlias

Fields: TypeAlias = Mapping[str, Sequence[str]]
"""Header lines by name in lower case; a name that was not sent is absent."""

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAG_LIST = re.compile(rf"[ \t,]*{_TAG}[ \t]*(?:,[ \t]*(?:{_TAG}[ \t]*)?)*")
_DATE_FORMATS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""The three forms that a recipient has to understand (RFC 9110, 5.6.7)."""

_STRONG_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a file from another: a strong entity tag with its quotes, and the time of change.

    `modified` is aware UTC in whole seconds, None where it says nothing.
    """

    etag: str
    modified: datetime | None


class Verdict(Enum):
    """What the conditions of a request come to."""

    GO_ON = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()


def evaluate(fields: Fields, validators: Validators) -> Verdict:
    """The conditions of a GET or HEAD for something that exists, in the order of RFC 9110, 13.2.2 (steps 1 to 4)."""
    if "if-match" in fields:
        if not _names(fields["if-match"], validators.etag, weak=False):
            return Verdict.FAILED
    elif _changed_since(fields.get("if-unmodified-since", ()), validators) is True:
        return Verdict.FAILED
    if "if-none-match" in fields:
        if _names(fields["if-none-match"], validators.etag, weak=True):
            return Verdict.NOT_MODIFIED
    elif _changed_since(fields.get("if-modified-since", ()), validators) is False:
        return Verdict.NOT_MODIFIED
    return Verdict.GO_ON


def range_holds(fields: Fields, validators: Validators, now: datetime) -> bool:
    """Step 5: whether a Range counts. Without If-Range it does; with one only for the very same state of the file.

    A date has to be the Last-Modified exactly, and that has to lie a second back: within one second a file can
    change twice (RFC 9110, 8.8.2.2 and 13.1.5).
    """
    lines = fields.get("if-range")
    if lines is None:
        return True
    if len(lines) != 1:
        return False
    if lines[0].startswith('"'):
        return lines[0] == validators.etag
    date = parse_date(lines[0])
    return date is not None and date == validators.modified and now - date >= _STRONG_AFTER


def http_date(at: datetime) -> str:
    """`Sun, 22 Nov 2026 13:00:00 GMT`."""
    return format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)


def parse_date(text: str) -> datetime | None:
    """An HTTP-date as aware UTC; None for anything else. Years of two digits lie at most 50 years ahead."""
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _names(lines: Sequence[str], etag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags holds ours. `weak` comparison lets `W/` count as the same."""
    text = ", ".join(lines).strip(" \t")
    if text == "*":
        return True
    if not _TAG_LIST.fullmatch(text):
        return False
    tags = re.findall(_TAG, text)
    return any((tag.removeprefix("W/") if weak else tag) == etag for tag in tags)


def _changed_since(lines: Sequence[str], validators: Validators) -> bool | None:
    """Whether the file changed after the date in the lines; None where there is no telling."""
    date = parse_date(lines[0]) if len(lines) == 1 else None
    if date is None or validators.modified is None:
        return None
    return validators.modified > date
