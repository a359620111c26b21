"""What to answer to a GET or HEAD for a file: status, header, and which of its bytes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from archive_api.answers.conditions import Fields, Validators, Verdict, evaluate, http_date, range_holds
from archive_api.answers.problem import Problem
from archive_api.answers.ranges import Span, parse_ranges

Piece: TypeAlias = bytes | Span
"""Bytes that are sent as they are, or bytes of the file."""

_CONTENT_SECURITY_POLICY = "sandbox allow-same-origin; default-src 'none'; media-src 'self'"
"""Whatever the bytes really are, nothing in them runs. The origin stays ours, because Chromium's own player for an
address opened in a tab asks for the ranges of that very address, and would be refused from an opaque origin."""


@dataclass(frozen=True, slots=True)
class Representation:
    """A file as it is served: `size` in bytes, and the fields that describe it."""

    size: int
    validators: Validators
    content_type: str
    disposition: str


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer; the pieces of its body together are as long as its Content-Length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return sum(piece.length if isinstance(piece, Span) else len(piece) for piece in self.pieces)


def plan(method: str, fields: Fields, file: Representation, *, now: datetime, boundary: str) -> Plan:
    """The answer to a request with the header `fields`.

    `boundary` separates the parts of a multipart body and must not occur in the file (128 random bits do not). Raises
    Problem 412 where a condition fails and 416 where none of the ranges is there. Range means nothing to HEAD.
    """
    verdict = evaluate(fields, file.validators)
    if verdict is Verdict.FAILED:
        raise Problem(412, "The recording is not in the state that the request makes its condition.")
    if verdict is Verdict.NOT_MODIFIED:
        return Plan(304, tuple(_validating(file)), ())
    spans = None
    if method == "GET" and range_holds(fields, file.validators, now):
        spans = parse_ranges(fields.get("range", ()), file.size)
    if spans is None:
        return _whole(method, file)
    if not spans:
        detail = f"None of the ranges asked for is there: the recording has {file.size} bytes."
        raise Problem(416, detail, headers={"content-range": f"bytes */{file.size}", "accept-ranges": "bytes"})
    if len(spans) == 1:
        return _one_part(file, spans[0])
    return _parts(file, spans, boundary)


def _whole(method: str, file: Representation) -> Plan:
    headers = [*_described(file), ("content-type", file.content_type), ("content-length", str(file.size))]
    return Plan(200, tuple(headers), (Span(0, file.size),) if method == "GET" else ())


def _one_part(file: Representation, span: Span) -> Plan:
    headers = [
        *_described(file),
        ("content-type", file.content_type),
        ("content-length", str(span.length)),
        ("content-range", _content_range(span, file.size)),
    ]
    return Plan(206, tuple(headers), (span,))


def _parts(file: Representation, spans: Sequence[Span], boundary: str) -> Plan:
    """A multipart/byteranges body (RFC 9110, 14.6)."""
    pieces: list[Piece] = []
    for span in spans:
        head = (
            f"--{boundary}\r\nContent-Type: {file.content_type}\r\n"
            f"Content-Range: {_content_range(span, file.size)}\r\n\r\n"
        )
        pieces += [head.encode(), span, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    body = Plan(206, (), tuple(pieces))
    headers = [
        *_described(file),
        ("content-type", f"multipart/byteranges; boundary={boundary}"),
        ("content-length", str(body.length)),
    ]
    return Plan(206, tuple(headers), body.pieces)


def _content_range(span: Span, size: int) -> str:
    return f"bytes {span.start}-{span.stop - 1}/{size}"


def _described(file: Representation) -> list[tuple[str, str]]:
    return [
        *_validating(file),
        ("accept-ranges", "bytes"),
        ("content-disposition", file.disposition),
        ("content-security-policy", _CONTENT_SECURITY_POLICY),
    ]


def _validating(file: Representation) -> list[tuple[str, str]]:
    modified = file.validators.modified
    dated = [] if modified is None else [("last-modified", http_date(modified))]
    return [("etag", file.validators.etag), *dated, ("cache-control", "private, no-cache")]
