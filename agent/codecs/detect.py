"""Says what a stream's first bytes are, whatever its Content-Type claims."""

from agent.codecs import mp3
from agent.errors import CodecError
from agent.model import AudioFormat

ENOUGH_BYTES = 16384
"""After so many bytes without a verdict there will be none."""


def detect(head: bytes) -> AudioFormat | None:
    """The format of the stream that begins with `head`; None while more bytes are needed.

    Raises CodecError, with what was found and a hint, for anything that cannot be recorded.
    """
    text = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise CodecError(
            "a web page came instead of audio", hint="use the address of the stream itself, not of its page"
        )
    if text.startswith((b"#extm3u", b"[playlist]")):
        raise CodecError("a playlist came instead of audio", hint="use the address that the playlist names")
    for magic, name in ((b"OggS", "Ogg"), (b"fLaC", "FLAC"), (b"RIFF", "WAV")):
        if head.startswith(magic):
            raise CodecError(f"an {name} stream cannot be recorded", hint="mp3 can")
    found = mp3.find_stream(head)
    if found is not None:
        return found[1].format
    if len(head) < ENOUGH_BYTES:
        return None
    if _is_adts(head):
        raise CodecError("an AAC stream cannot be recorded", hint="mp3 can")
    raise CodecError("no known audio in the first 16 KiB", hint="mp3 can be recorded")


def _is_adts(head: bytes) -> bool:
    """Three ADTS frames in a row (ISO/IEC 13818-7, 6.2)."""
    at = 0
    while (at := head.find(b"\xff", at)) >= 0:
        pos, count = at, 0
        while count < 3 and pos + 7 <= len(head) and head[pos] == 0xFF and head[pos + 1] & 0xF6 == 0xF0:
            pos += max(7, (head[pos + 3] & 3) << 11 | head[pos + 4] << 3 | head[pos + 5] >> 5)
            count += 1
        if count == 3:
            return True
        at += 1
    return False
