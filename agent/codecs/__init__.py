"""The codecs that are recorded and the files they are stored in. Adding one is a file here and a line below."""

from collections.abc import Callable

from agent.codecs.aac import Aac, AacFramer
from agent.codecs.base import Container, Framer
from agent.codecs.decoding import Decoder, PcmDecoder
from agent.codecs.flac import Flac
from agent.codecs.flac_stream import FlacFramer
from agent.codecs.mp3 import Mp3, Mp3Framer
from agent.codecs.ogg import OggFramer
from agent.codecs.ogg_files import OGG, OPUS_FILES
from agent.codecs.ogg_flac import is_in_ogg
from agent.codecs.pcm import PcmFramer
from agent.codecs.wav import Wav
from agent.model import AudioFormat

CONTAINERS: dict[str, Container] = {
    "aac": Aac(),
    "flac": Flac(),
    "mp3": Mp3(),
    "ogg": OGG,
    "opus": OPUS_FILES,
    "wav": Wav(),
}
"""Containers by name; the name is the extension as well."""

_STREAMS: dict[str, tuple[Callable[[AudioFormat], Framer], str]] = {
    "aac": (AacFramer, "aac"),
    "flac": (FlacFramer, "flac"),
    "mp3": (Mp3Framer, "mp3"),
    "opus": (OggFramer, "opus"),
    "vorbis": (OggFramer, "ogg"),
}
"""For each codec of a stream its framer, and the container that it is stored in."""


def framer(audio_format: AudioFormat, interrupted: Framer | None = None) -> Framer:
    """A framer for one run of the given format, or for the rest of it behind a hole that `interrupted` another.

    Half a unit from before the hole is forgotten; headers that do not come again are not.
    """
    if audio_format.codec == "pcm":
        return PcmFramer(audio_format)
    if isinstance(interrupted, OggFramer):
        return interrupted.behind_loss()
    if is_in_ogg(audio_format):
        return OggFramer(audio_format)
    return _STREAMS[audio_format.codec][0](audio_format)


def container_for(audio_format: AudioFormat, preferred: str) -> Container:
    """Where the format is stored: a compressed stream in its own container, PCM in the preferred one."""
    return CONTAINERS[preferred if audio_format.codec == "pcm" else _STREAMS[audio_format.codec][1]]


def decoder(audio_format: AudioFormat) -> Decoder:
    """A decoder for one stretch of audio of the given format."""
    if audio_format.codec == "pcm":
        return PcmDecoder(audio_format)
    # 30 MB of memory that a box with sound cards alone does not need.
    from agent.codecs.packet_decoder import PacketDecoder  # noqa: PLC0415

    return PacketDecoder(audio_format)
