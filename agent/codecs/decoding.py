"""Samples out of codec units, for the meter: what is stored is never decoded.

A decoder gives exactly as many samples as the frame says that it has, NaN where nothing could be decoded, so that
counting samples stays true whatever a stream contains.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.model import AudioFormat, Frame, SampleFormat

Samples = NDArray[np.float32]
Span: TypeAlias = tuple[int, int]
"""A first sample and the one behind the last."""


@dataclass(frozen=True, slots=True)
class Broken:
    """So many packets that follow one another, none of which gives a single sample; `end` is the sample behind."""

    begin: int
    end: int
    packets: int


def in_runs(packets: Iterable[Span]) -> list[Broken]:
    """Broken packets, in order; those that follow one another together."""
    found: list[Broken] = []
    for begin, end in packets:
        if found and found[-1].end == begin:
            found[-1] = Broken(found[-1].begin, end, found[-1].packets + 1)
        else:
            found.append(Broken(begin, end, 1))
    return found


class Decoder(Protocol):
    """Decodes the frames of one stretch of audio, in order."""

    @property
    def broken(self) -> tuple[Span, ...]:
        """Where in the frame that was pushed last the packets lie that should have samples and give none."""
        ...

    def push(self, frame: Frame) -> Samples:
        """The samples of `frame`, shape (channels, samples), full scale 1.0."""
        ...


def from_first(decoder: Decoder, frame: Frame, start: int, first: int, broken: list[Span] | None) -> Samples:
    """The samples of a frame that begins with sample `start` of its file, from sample `first` on.

    `broken` gets the packets from there on that give none.
    """
    samples = decoder.push(frame)
    if broken is not None:
        broken += [(start + begin, start + end) for begin, end in decoder.broken if start + begin >= first]
    return samples[:, max(0, first - start) :]


class PcmDecoder:
    """Raw PCM in any of the layouts of a card."""

    broken: tuple[Span, ...] = ()

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
