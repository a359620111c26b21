"""Tags that stations leave between the packets of MP3 and AAC: ID3v1, ID3v2 (id3.org) and APE. They are no audio."""

from agent.codecs.base import Buffer

MOST_BYTES = 1 << 20
"""A tag that says it is longer is taken for damage: waiting for its end would cost minutes of audio."""

HEAD_MOST = 32
"""So many bytes tell how long a tag is."""

_ID3V2_HEAD, _APE_HEAD = 10, HEAD_MOST
_ID3V1_BYTES, _ID3V1_MORE_BYTES = 128, 227


def id3v2_bytes(data: Buffer, at: int = 0) -> int | None:
    """How long the ID3v2 tag at `at` is; 0 where there is none, None where the data ends too early to tell."""
    head = data[at : at + _ID3V2_HEAD]
    if not _begins(head, b"ID3"):
        return 0
    if len(head) < _ID3V2_HEAD:
        return None
    version, revision, flags, *size = head[3:]
    if not 2 <= version <= 4 or revision == 0xFF or flags & 0x0F or max(size) > 0x7F:
        return 0
    length = size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3]
    return _ID3V2_HEAD + length + (_ID3V2_HEAD if flags & 0x10 else 0)


def tag_bytes(data: Buffer, at: int) -> int | None:
    """How long the tag of any kind at `at` is; 0 where there is none, None where the data ends too early to tell."""
    length = _marked_bytes(data, at)
    if length != 0:
        return length
    head = data[at : at + 4]
    if head[:3] != b"TAG":
        return 0
    if len(head) < 4:
        return None
    return _ID3V1_MORE_BYTES if head == b"TAG+" else _ID3V1_BYTES


def find_tag(data: Buffer, start: int = 0, end: int | None = None) -> int:
    """Where the first tag begins whose head cannot be there by chance, ID3v2 or APE; -1 without one before `end`."""
    nearest, limit = -1, len(data) if end is None else end
    for mark in (b"ID3", b"APETAGEX"):
        at = start - 1
        while (at := data.find(mark, at + 1, limit)) >= 0:
            if _marked_bytes(data, at):
                nearest = limit = at
                break
    return nearest


def _marked_bytes(data: Buffer, at: int) -> int | None:
    length = id3v2_bytes(data, at)
    if length == 0:
        length = _ape_bytes(data, at)
    return length if length is None or length <= MOST_BYTES else 0


def _ape_bytes(data: Buffer, at: int) -> int | None:
    head = data[at : at + _APE_HEAD]
    if not _begins(head, b"APETAGEX"):
        return 0
    if len(head) < _APE_HEAD:
        return None
    version, size, flags = (int.from_bytes(head[low : low + 4], "little") for low in (8, 12, 20))
    if version not in (1000, 2000):
        return 0
    return _APE_HEAD + size if flags & 1 << 29 else _APE_HEAD  # the head says how much follows, the foot ends a tag


def _begins(head: bytes, mark: bytes) -> bool:
    """Whether `head` begins with the mark, or is the beginning of the mark."""
    return bool(head) and head[: len(mark)] == mark[: len(head)]
