"""Playlists of stations: M3U, PLS and XSPF, and what looks like one and cannot be recorded. Pure."""

import re
from xml.etree import ElementTree

from agent.errors import CodecError

BYTES_MAX = 65536
"""No list of a station's addresses is larger."""

_TYPES = ("mpegurl", "x-scpls", "pls+xml", "xspf+xml")
_ENDINGS = (".m3u", ".m3u8", ".pls", ".xspf")
_AUDIO_TYPES = ("audio/mpeg", "audio/aac", "audio/aacp", "audio/ogg", "audio/flac", "audio/x-flac", "application/ogg")
_AUDIO_STARTS = (b"\xff", b"OggS", b"fLaC", b"ID3")
_STARTS = (b"#ext", b"[playlist]", b"<?xml", b"<playlist", b"<mpd", b"<asx", b"http://", b"https://")
_FILE = re.compile(r"\s*file([0-9]{1,6})\s*=\s*(\S.*)", re.IGNORECASE)
_OWN_ADDRESS = "use the address of the station's MP3, AAC, Ogg or FLAC stream (Icecast or SHOUTcast)"


def is_announced(content_type: str, path: str) -> bool:
    """Whether a server calls it a playlist: by its type, else by the ending of its path."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.endswith(_TYPES) or (kind not in _AUDIO_TYPES and path.lower().endswith(_ENDINGS))


def may_be(head: bytes, *, announced: bool, ended: bool) -> bool | None:
    """Whether what begins with `head` is to be read as a playlist; None while more bytes are needed to tell."""
    if announced and head:
        return not head.startswith(_AUDIO_STARTS)
    start = _bare(head)[:16].lower()
    if any(start.startswith(known) for known in _STARTS):
        return True
    return None if not ended and any(known.startswith(start) for known in _STARTS) else False


def entries(data: bytes, *, announced: bool) -> list[str] | None:
    """The addresses that a playlist names, in order; None where it is none.

    Raises CodecError, with a hint, for HLS, DASH and Windows Media, and for a list that is broken or empty.
    """
    if len(data) > BYTES_MAX:
        raise CodecError("a playlist of more than 64 KB came", hint=_OWN_ADDRESS)
    text = _text(data)
    start = text[:1000].lower()
    if "#EXT-X-" in text and not start.startswith("<"):
        raise CodecError("an HLS playlist came, and HLS is not supported", hint=_OWN_ADDRESS)
    if start.startswith("<"):
        return _of_xml(text, start)
    if start.startswith("[playlist]") or (announced and _FILE.search(start)):
        found = _of_pls(text)
    elif announced or start.startswith(("#ext", "http://", "https://")):
        found = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    else:
        return None
    return _not_empty(found)


def _of_pls(text: str) -> list[str]:
    files = (match for match in map(_FILE.fullmatch, text.splitlines()) if match)
    return [match[2].strip() for match in sorted(files, key=lambda match: int(match[1]))]


def _of_xml(text: str, start: str) -> list[str] | None:
    for sign, name in (("<mpd", "DASH"), ("<asx", "Windows Media")):
        if sign in start:
            raise CodecError(f"a {name} playlist came, and {name} is not supported", hint=_OWN_ADDRESS)
    if "<playlist" not in start:
        return None
    if "<!doctype" in text.lower():
        # What stands there can make megabytes of a few lines, and no playlist needs it.
        raise CodecError("a playlist came that has a DOCTYPE, which is not read", hint=_OWN_ADDRESS)
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without a DOCTYPE there are no entities to expand
    except (ElementTree.ParseError, ValueError) as error:
        raise CodecError(f"a playlist came that is no XSPF: {error}", hint=_OWN_ADDRESS) from error
    tracks = (node for node in root.iter() if _tag(node) == "track")
    places = (node.text or "" for track in tracks for node in track if _tag(node) == "location")
    return _not_empty([place.strip() for place in places if place.strip()])


def _tag(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2].lower()


def _not_empty(found: list[str]) -> list[str]:
    if not found:
        raise CodecError("a playlist came that names no address", hint=_OWN_ADDRESS)
    return found


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    return text.lstrip()


def _bare(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()
