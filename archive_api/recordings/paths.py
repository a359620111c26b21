"""Paths as they arrive in a request, and what of the recordings folder may be served. Pure."""

import re
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from agent.archive_format.names import AUDIO_SUFFIXES, PART

Parts: TypeAlias = tuple[str, ...]
"""The components of a path below the recordings folder, folders first."""

DEPTH_MAX = 16
_COMPONENT_MAX_BYTES = 255
_NEVER = re.compile(r"^\.|[\x00-\x1f\x7f/\\]")
_CONTENT_TYPES = {
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".aac": "audio/aac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
}


def parse_path(raw: bytes) -> Parts | None:
    """The components of a path as it stood in the request line, still percent-encoded.

    None for everything that no recording can be called: empty components (so absolute paths too), `.` and `..` in
    any spelling, encoded slashes, backslashes, NUL, control characters, hidden names, bytes that are not UTF-8,
    overlong names. A path is decoded once only.
    """
    pieces = raw.split(b"/")
    if len(pieces) > DEPTH_MAX:
        return None
    parts = []
    for piece in pieces:
        decoded = unquote_to_bytes(piece)
        try:
            part = decoded.decode("utf-8")
        except UnicodeDecodeError:
            return None
        if not is_servable_component(part):
            return None
        parts.append(part)
    return tuple(parts)


def is_servable_component(part: str) -> bool:
    """Whether a file or folder of this name can be part of the archive at all.

    Hidden ones (`.state`) cannot, nor can names that are no text: on disk those are bytes that are not UTF-8.
    """
    try:
        length = len(part.encode())
    except UnicodeEncodeError:
        return False
    return 0 < length <= _COMPONENT_MAX_BYTES and not _NEVER.search(part)


def plain_name(name: str) -> str:
    """The name that audio has when it is finished."""
    return name.removesuffix(PART)


def is_part(name: str) -> bool:
    """Whether this is the name of audio that is being recorded."""
    return name.endswith(PART)


def extension_of(name: str) -> str | None:
    """`flac`, `wav`, `mp3`, …, of audio finished or not; None for everything that is not served as audio."""
    stem, _, suffix = plain_name(name).rpartition(".")
    suffix = suffix.lower()
    return suffix if stem and f".{suffix}" in AUDIO_SUFFIXES else None


def content_type_of(name: str) -> str:
    """The media type of audio of this name. It never depends on what the file holds."""
    return _CONTENT_TYPES[f".{extension_of(name)}"]


def with_plus(parts: Parts) -> Parts:
    """The same path with every space read as the `+` that a form encoding made of it."""
    return tuple(part.replace(" ", "+") for part in parts)
