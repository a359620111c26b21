"""The codecs that are recorded and the files they are stored in. Adding one is a file here and a line below."""

from agent.codecs.base import Container, Framer
from agent.codecs.flac import Flac
from agent.codecs.mp3 import Mp3, Mp3Framer
from agent.codecs.pcm import PcmFramer
from agent.codecs.wav import Wav
from agent.model import AudioFormat

CONTAINERS: dict[str, Container] = {"flac": Flac(), "mp3": Mp3(), "wav": Wav()}
"""Containers by name; the name is the extension as well."""


def framer(audio_format: AudioFormat) -> Framer:
    """A framer for one run of the given format."""
    return Mp3Framer(audio_format) if audio_format.codec == "mp3" else PcmFramer(audio_format)


def container_for(audio_format: AudioFormat, preferred: str) -> Container:
    """Where the format is stored: a compressed stream in its own container, PCM in the preferred one."""
    return CONTAINERS[preferred if audio_format.codec == "pcm" else audio_format.codec]
