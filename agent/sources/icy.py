"""Titles that SHOUTcast and Icecast weave into the audio every `icy-metaint` bytes. Pure."""

import re
from collections.abc import Iterator

from agent.codecs.titles import decode_title

_TITLES = (
    # A title may hold "';" itself: it ends where another field begins or nothing follows, else at the last of them.
    re.compile(rb"StreamTitle='(.*?)';(?=\s*(?:[A-Za-z_]+=['\"]|\Z))", re.DOTALL),
    re.compile(rb"StreamTitle='(.*)';", re.DOTALL),
)
_BLOCK_BYTES = 16


class IcyDemuxer:
    """Takes the titles out of a stream. `interval_bytes` of audio lie between two of them; 0 means there are none."""

    def __init__(self, interval_bytes: int) -> None:
        self._interval = max(0, interval_bytes)
        self._audio_left = self._interval
        self._metadata: bytearray | None = None
        self._metadata_left = 0

    def push(self, data: bytes) -> Iterator[bytes | str]:
        """Audio as bytes and titles as text, in their order. An empty title is a title: the station has none now."""
        if not self._interval:
            yield data
            return
        at = 0
        while at < len(data):
            if self._metadata is not None:
                taken = data[at : at + self._metadata_left]
                self._metadata += taken
                self._metadata_left -= len(taken)
                at += len(taken)
                if not self._metadata_left:
                    yield from _titles(bytes(self._metadata))
                    self._metadata, self._audio_left = None, self._interval
            elif self._audio_left:
                taken = data[at : at + self._audio_left]
                self._audio_left -= len(taken)
                at += len(taken)
                yield taken
            else:
                self._metadata_left = data[at] * _BLOCK_BYTES
                self._metadata = bytearray() if self._metadata_left else None
                self._audio_left = 0 if self._metadata_left else self._interval
                at += 1


def _titles(metadata: bytes) -> Iterator[str]:
    said = metadata.rstrip(b"\0")
    match = next((found for found in (pattern.search(said) for pattern in _TITLES) if found), None)
    if match is not None:
        yield decode_title(match[1])
