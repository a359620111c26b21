"""How a codec lies in Ogg: its header packets, and how long each of its packets is. Pure.

Vorbis I specification, 4.2 and A; Opus: RFC 7845 (headers), RFC 6716, 3.1 (length of a packet).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.codecs.titles import TITLE_MOST, decode_title
from agent.errors import CodecError
from agent.model import AudioFormat

Length = Callable[[bytes, bytes | None], int | None]
"""Samples that a decoder gives for a packet, told from it and the packet before; None where it is no audio."""

_RATES_HZ = (1000, 768_000)
_CHANNELS_MOST = 8
_COMMENTS_MOST = 1000

VORBIS_COMMENT = b"\x03vorbis" + (8).to_bytes(4, "little") + b"isr edge" + bytes(4) + b"\x01"
"""The comment header of our files: nobody's, so that equal set-ups are equal whatever is on air."""
OPUS_TAGS = b"OpusTags" + (8).to_bytes(4, "little") + b"isr edge" + bytes(4)
OPUS_RATE_HZ = 48000
_OPUS_PACKET_MOST = 5760
_MODES_MOST = 64
_MODE_BITS = 1 + 16 + 16 + 8


@dataclass(frozen=True, slots=True)
class Setup:
    """What the headers of a logical stream tell. `pre_skip` samples of its beginning are not to be heard."""

    format: AudioFormat
    title: str
    length: Length
    pre_skip: int = 0


@dataclass(frozen=True, slots=True)
class Mapping:
    """One codec in Ogg. `magic` begins the first packet of its logical streams.

    `setup` is given the header packets so far: None while there have to be more; CodecError where they are none, or
    cannot be recorded. A decoder is warm after `priming_packets` packets and `priming_samples` samples.
    """

    codec: str
    magic: bytes
    setup: Callable[[Sequence[bytes]], Setup | None]
    priming_packets: int = 0
    priming_samples: int = 0


# --- comments --------------------------------------------------------------------------------------------------------


def title_of(comments: bytes) -> str:
    """`ARTIST - TITLE` from a comment header behind its magic (Vorbis I specification, 5); what is there of it."""
    found: dict[bytes, str] = {}
    at = 4 + int.from_bytes(comments[:4], "little")
    count = int.from_bytes(comments[at : at + 4], "little")
    at += 4
    for _ in range(min(count, _COMMENTS_MOST)):
        length = int.from_bytes(comments[at : at + 4], "little")
        name, _, value = comments[at + 4 : at + 4 + length].partition(b"=")
        found.setdefault(name.upper(), decode_title(value))
        at += 4 + length
        if at >= len(comments):
            break
    parts = (found.get(b"ARTIST", ""), found.get(b"TITLE", ""))
    return " - ".join(part for part in parts if part)[:TITLE_MOST]


# --- Vorbis ----------------------------------------------------------------------------------------------------------


def _vorbis_setup(headers: Sequence[bytes]) -> Setup | None:
    if len(headers) < 3:
        return None
    ident, comment, codebooks = headers
    if not (comment.startswith(b"\x03vorbis") and codebooks.startswith(b"\x05vorbis")):
        raise CodecError("a Vorbis stream without its three headers")
    if len(ident) < 30 or ident[7:11] != bytes(4):
        raise CodecError("a Vorbis stream with a header that is none")
    channels, rate_hz = ident[11], int.from_bytes(ident[12:16], "little")
    short, long = 1 << (ident[28] & 15), 1 << (ident[28] >> 4)
    if not 64 <= short <= long <= 8192:
        raise CodecError(f"a Vorbis stream with blocks of {short} and {long} samples")
    audio_format = _format("vorbis", rate_hz, channels, vorbis_extradata(ident, codebooks))
    return Setup(audio_format, title_of(comment[7:]), _vorbis_lengths(_block_flags(codebooks), short, long))


def _format(codec: str, rate_hz: int, channels: int, setup: bytes) -> AudioFormat:
    if not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1] or not 1 <= channels <= _CHANNELS_MOST:
        raise CodecError(
            f"a {codec.capitalize()} stream of {channels} channels at {rate_hz} Hz cannot be recorded",
            hint=f"up to {_CHANNELS_MOST} channels can",
        )
    return AudioFormat(codec, rate_hz, channels, setup=setup)


def vorbis_extradata(ident: bytes, codebooks: bytes) -> bytes:
    """The headers as FFmpeg takes them: laced as in Matroska, the comment replaced by our own."""
    return b"\x02" + _xiph(len(ident)) + _xiph(len(VORBIS_COMMENT)) + ident + VORBIS_COMMENT + codebooks


def vorbis_headers(extradata: bytes) -> list[bytes]:
    """The three headers again."""
    sizes, at = [], 1
    for _ in range(2):
        size = 0
        while extradata[at] == 255:
            size, at = size + 255, at + 1
        sizes.append(size + extradata[at])
        at += 1
    first, second = at + sizes[0], at + sum(sizes)
    return [extradata[at:first], extradata[first:second], extradata[second:]]


def _xiph(size: int) -> bytes:
    return b"\xff" * (size // 255) + bytes((size % 255,))


def _block_flags(codebooks: bytes) -> list[bool]:
    """For each mode whether its blocks are long.

    The list of modes ends the set-up header, behind code books of unknown length. So it is read backwards: modes of 41
    bits of which 32 are zero, until their number (6 bits, less one) stands before them. The longest such list is it.
    """
    bits = int.from_bytes(codebooks[7:], "little")
    at = bits.bit_length() - 1  # the framing bit
    flags: list[bool] = []
    found: list[bool] = []
    while at >= _MODE_BITS + 6 and len(flags) < _MODES_MOST:
        mode = bits >> (at - _MODE_BITS) & (1 << _MODE_BITS) - 1
        if mode >> 1 & 0xFFFFFFFF or mode >> 33 >= _MODES_MOST:
            break
        at -= _MODE_BITS
        flags.insert(0, bool(mode & 1))
        if bits >> (at - 6) & 63 == len(flags) - 1:
            found = flags.copy()
    if not found:
        raise CodecError("a Vorbis stream without a list of modes")
    return found


def _vorbis_lengths(flags: list[bool], short: int, long: int) -> Length:
    """A quarter of this block and the one before; nothing where there is none before."""
    mask = (1 << (len(flags) - 1).bit_length()) - 1
    quarters = [(long if is_long else short) // 4 for is_long in flags]

    def quarter(packet: bytes) -> int | None:
        mode = packet[0] >> 1 & mask if packet and not packet[0] & 1 else len(quarters)
        return quarters[mode] if mode < len(quarters) else None

    def length(packet: bytes, before: bytes | None) -> int | None:
        own = quarter(packet)
        if own is None:
            return None
        return own + (quarter(before) or 0) if before is not None else 0

    return length


# --- Opus ------------------------------------------------------------------------------------------------------------


def _opus_setup(headers: Sequence[bytes]) -> Setup | None:
    if len(headers) < 2:
        return None
    head, tags = headers
    if len(head) < 19 or head[8] >> 4 or not tags.startswith(b"OpusTags"):
        raise CodecError("an Opus stream without its two headers")
    if head[9] > 2 if head[18] == 0 else len(head) < 21 + head[9]:
        raise CodecError("an Opus stream whose header does not say where its channels go")
    audio_format = _format("opus", OPUS_RATE_HZ, head[9], opus_head(head, 0))
    return Setup(audio_format, title_of(tags[8:]), _opus_length, int.from_bytes(head[10:12], "little"))


def opus_head(head: bytes, pre_skip: int) -> bytes:
    """The header with this pre-skip. Formats have 0, because each of our files has its own."""
    return head[:10] + pre_skip.to_bytes(2, "little") + head[12:]


def _opus_length(packet: bytes, before: bytes | None) -> int | None:  # noqa: ARG001 - a packet tells for itself
    if not packet:
        return None
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        samples = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        samples = (480, 960)[config & 1]
    else:
        samples = (120, 240, 480, 960)[config & 3]
    frames = (1, 2, 2)[code] if code < 3 else packet[1] & 63 if len(packet) > 1 else 0
    return samples * frames if 0 < samples * frames <= _OPUS_PACKET_MOST else None


VORBIS = Mapping("vorbis", b"\x01vorbis", _vorbis_setup, priming_packets=1)
OPUS = Mapping("opus", b"OpusHead", _opus_setup, priming_samples=3840)

_OTHERS = {
    b"Speex   ": "Speex",
    b"CELT    ": "CELT",
    b"PCM     ": "PCM",
    b"\x80theora": "Theora",
    b"OVP80": "VP8",
    b"BBCD": "Dirac",
    b"\x80daala": "Daala",
    b"\x80kate": "Kate",
    b"fishead": "Skeleton",
}


def name_of(packet: bytes) -> str:
    """What the logical stream that begins with this packet is called."""
    names = (name for magic, name in _OTHERS.items() if packet.startswith(magic))
    return next(names, "an unknown codec")
