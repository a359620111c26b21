"""The Range field (RFC 9110, 14.1.1 and 14.2). Pure: header lines and a size in, spans out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_SPANS = 16
"""A request that still wants more pieces than this after merging gets the whole file."""

_DIGITS_KEPT = 19
"""Positions with more digits than this lie beyond every file; so long a number need not be computed."""

_SPEC = r"(?:[0-9]+-[0-9]*|-[0-9]+)"
_SET = re.compile(rf"[Bb][Yy][Tt][Ee][Ss]=(?:[ \t]*,)*[ \t]*{_SPEC}[ \t]*(?:,[ \t]*(?:{_SPEC}[ \t]*)?)*")
_ONE = re.compile(r"([0-9]*)-([0-9]*)")


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to, but not including, `stop`."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.stop - self.start


def parse_ranges(lines: Sequence[str], size: int) -> tuple[Span, ...] | None:
    """What the lines of a Range field ask of a file of `size` bytes, in the order asked.

    None where the field is to be ignored: absent, written twice, of another unit, malformed, reversed, more than
    `MOST_SPANS` pieces after merging, or more bytes in all than the file has. Empty where it is right, but no byte of
    it is there (416).
    """
    if len(lines) != 1 or not _SET.fullmatch(lines[0].strip(" \t")):
        return None
    spans = []
    asked_bytes = 0
    for first, last in _ONE.findall(lines[0].partition("=")[2]):
        if first and last and _number(last) < _number(first):
            return None
        span = _span(first, last, size)
        asked_bytes += span.length
        if span.length > 0:
            spans.append(span)
    if asked_bytes > size:
        return None
    merged = _merged(spans)
    return merged if len(merged) <= MOST_SPANS else None


def _span(first: str, last: str, size: int) -> Span:
    """One range, cut to the file; of no length where nothing of it is there."""
    if not first:
        return Span(size - min(_number(last), size), size)
    start = min(_number(first), size)
    return Span(start, min(_number(last) + 1, size) if last else size)


def _number(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant[:_DIGITS_KEPT] or "0") if len(significant) <= _DIGITS_KEPT else 10**_DIGITS_KEPT


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Spans that overlap or touch become one, which stands where the first of them was asked for."""
    merged: list[tuple[int, Span]] = []
    for index, span in sorted(enumerate(spans), key=lambda item: item[1].start):
        if merged and span.start <= merged[-1][1].stop:
            place, before = merged[-1]
            merged[-1] = (min(place, index), Span(before.start, max(before.stop, span.stop)))
        else:
            merged.append((index, span))
    return tuple(span for _, span in sorted(merged, key=lambda item: item[0]))
