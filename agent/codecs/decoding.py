"""Samples out of codec units, for the meter: what is stored is never decoded.

A decoder gives exactly as many samples as the frame says that it has, NaN where nothing could be decoded, so that
counting samples stays true whatever a stream contains.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.model import AudioFormat, Frame, SampleFormat

Samples = NDArray[np.float32]


class Decoder(Protocol):
    """Decodes the frames of one stretch of audio, in order."""

    def push(self, frame: Frame) -> Samples:
        """The samples of `frame`, shape (channels, samples), full scale 1.0."""
        ...


class PcmDecoder:
    """Raw PCM in any of the layouts of a card."""

    def __init__(self, audio_format: AudioFormat) -> None:
        assert audio_format.sample_format is not None
        self._layout = audio_format.sample_format
        self._channels = audio_format.channels

    def push(self, frame: Frame) -> Samples:
        """The samples as they are."""
        return pcm_samples(frame.data, self._layout, self._channels)


def pcm_samples(data: bytes, layout: SampleFormat, channels: int) -> Samples:
    """Interleaved PCM as an array of shape (channels, samples), full scale 1.0."""
    if layout is SampleFormat.S16_LE:
        values, scale = np.frombuffer(data, "<i2"), 2.0**-15
    elif layout is SampleFormat.S24_3LE:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values, scale = padded.view("<i4")[:, 0], 2.0**-31
    elif layout is SampleFormat.S24_LE:
        # The fourth byte is padding of unknown content.
        values, scale = np.frombuffer(data, "<i4") << 8, 2.0**-31
    elif layout is SampleFormat.S32_LE:
        values, scale = np.frombuffer(data, "<i4"), 2.0**-31
    else:
        values, scale = np.frombuffer(data, "<f4"), 1.0
    samples = np.ascontiguousarray(values.reshape(-1, channels).T, dtype=np.float32)
    if scale != 1.0:
        samples *= np.float32(scale)
    return samples


def full_scale(audio_format: AudioFormat) -> float:
    """The smallest absolute value that counts as full scale: the largest positive number of the layout."""
    bits = audio_format.bits
    return 1.0 if bits is None or bits >= 32 else 1.0 - 2.0 ** (1 - bits)
