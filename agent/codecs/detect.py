"""Says what a stream's first bytes are, whatever its Content-Type claims."""

from agent.codecs import aac, flac_stream, mp3, ogg, ogg_flac
from agent.codecs.flac_info import MARKER
from agent.codecs.tags import MOST_BYTES, id3v2_bytes
from agent.errors import CodecError
from agent.model import AudioFormat

ENOUGH_BYTES = 16384
"""After so many bytes behind the tags without a verdict there will be none; Ogg headers may be longer
(ogg.ENOUGH_BYTES)."""
_ENOUGH_FOR_FLAC_BYTES = 1 << 18
"""Nor where it may be the middle of FLAC, whose frames are long."""
_HINT = "MP3, AAC, FLAC, Ogg Vorbis, Ogg Opus and Ogg FLAC can"


def detect(head: bytes) -> AudioFormat | None:
    """The format of the stream that begins with `head`; None while more bytes are needed.

    ID3 tags of up to 1 MiB in front of it are passed over. Raises CodecError, with what was found and a hint, for
    anything that cannot be recorded.
    """
    behind_tags = _behind_tags(head)
    if behind_tags is None:
        return None
    head = behind_tags
    text = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise CodecError(
            "a web page came instead of audio", hint="use the address of the stream itself, not of its page"
        )
    if text.startswith((b"#extm3u", b"[playlist]")):
        raise CodecError("a playlist came instead of audio", hint="use the address that the playlist names")
    if head.startswith(b"RIFF"):
        raise CodecError("a WAV stream cannot be recorded", hint=_HINT)
    if head.startswith(b"OggS"):
        found = ogg.find_stream(head)
        return None if found is None else ogg_flac.in_ogg(found)
    if head.startswith(MARKER):
        return flac_stream.begun_format(head)
    return _from_mid_stream(head)


def _from_mid_stream(head: bytes) -> AudioFormat | None:
    """Of codecs whose packets can be told from anything else wherever one begins to listen."""
    joined = flac_stream.joined_format(head)
    if joined is not None:
        return joined
    found = mp3.find_stream(head) or aac.find_stream(head)
    if found is not None:
        return found[1].format
    if aac.describes_itself(head):
        raise CodecError(
            "an AAC stream that does not tell its channels in its headers (channel configuration 0) cannot be recorded",
            hint="have it encoded in mono, stereo, 5.1 or 7.1",
        )
    if len(head) < (_ENOUGH_FOR_FLAC_BYTES if flac_stream.may_be_flac(head) else ENOUGH_BYTES):
        return None
    raise CodecError("no known audio in the first 16 KiB", hint=_HINT)


def _behind_tags(head: bytes) -> bytes | None:
    """What follows the ID3v2 tags at the beginning; None while one of them is not complete."""
    at = 0
    while (length := id3v2_bytes(head, at)) != 0:
        if length is None:
            return None
        if length > MOST_BYTES:
            raise CodecError(
                f"the ID3 tag in front of the audio says that it is {length} bytes long; at most 1 MiB is passed over",
                hint="have the station send shorter tags, or none",
            )
        at += length
    return head[at:] if at <= len(head) else None
