"""Compressed packets decoded one by one through PyAV (FFmpeg's libavcodec)."""

import av
import av.error
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame

from agent.codecs.decoding import Samples, Span
from agent.model import AudioFormat, Frame

_DECODERS = {"aac": "aac", "flac": "flac", "mp3": "mp3float", "opus": "opus", "vorbis": "vorbis"}
_SCALES = {"flt": ("<f4", 1.0), "s16": ("<i2", 2.0**-15), "s32": ("<i4", 2.0**-31)}
"""For each kind of sample that a decoder gives, planar or not, its layout and what it is multiplied with."""
_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")

av.logging.set_level(None)  # what a broken stream is like is told by the gap ledger, not on stderr


class PacketDecoder:
    """One decoder for one stretch of packets; what cannot be decoded is NaN.

    None of the decoders holds a packet back: what one gives, or that it gives nothing, shows when it is pushed. MP3
    packets whose bit reservoir is not there, and AAC packets without the one before, do give samples: they are sound.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._channels = audio_format.channels
        self._is_aac = audio_format.codec == "aac"
        context = av.CodecContext.create(_DECODERS[audio_format.codec], "r")
        assert isinstance(context, AudioCodecContext)
        context.thread_count = 1
        if audio_format.setup:
            context.extradata = audio_format.setup
            context.sample_rate = audio_format.sample_rate_hz
            context.layout = av.AudioLayout(_LAYOUTS[audio_format.channels - 1])
        self._context = context
        self._is_cold = True
        self.broken: tuple[Span, ...] = ()

    def push(self, frame: Frame) -> Samples:
        """The samples of all its packets."""
        if self._is_cold:
            self._is_cold = False
            for packet in frame.priming:
                self._decode(packet, np.empty((self._channels, 0), np.float32))
        samples = np.full((self._channels, frame.samples), np.nan, np.float32)
        begin = 0
        broken = []
        for packet, length in frame.packets():
            if not self._decode(packet, samples[:, begin : begin + length]) and length:
                broken.append((begin, begin + length))
            begin += length
        self.broken = tuple(broken)
        return samples

    def _decode(self, packet: bytes, samples: Samples) -> bool:
        """Fill `samples` with those of one packet; whether it has any."""
        if not packet:
            return False  # an empty packet would end the decoder
        try:
            decoded = self._context.decode(av.Packet(packet))
        except av.error.FFmpegError:
            return False
        if self._is_aac:
            self._fill_restored(decoded, samples)
        else:
            position = 0
            for part in decoded:
                position += _fill(samples[:, position:], _channels(part))
        return bool(decoded)

    def _fill_restored(self, decoded: list[AudioFrame], samples: Samples) -> None:
        """HE-AAC: the decoder gives twice the samples that the header tells, of both channels where it tells one.

        Every second sample is what the meter gets. They are not filtered before: what lies above half the new rate
        folds down instead of being lost, so that mean squares, and all but a hair of the peaks, stay what they were.
        Parametric stereo is mixed, as a mono player plays it.
        """
        step = max(1, sum(part.samples for part in decoded) // max(1, samples.shape[1]))
        position = 0
        for part in decoded:
            channels = [channel[::step] for channel in _channels(part)]
            if len(samples) == 1 < len(channels):
                channels = [np.mean(channels, axis=0)]
            position += _fill(samples[:, position:], channels)


def _fill(samples: Samples, channels: list[Samples]) -> int:
    """Put what was decoded at the beginning of `samples`, as far as there is room; how many samples that are.

    A packet that has another number of channels than its stream is measured as far as it goes.
    """
    count: int = min(channels[0].shape[0], samples.shape[1])
    for row, channel in zip(samples, channels, strict=False):
        row[:count] = channel[:count]
    return count


def _channels(part: AudioFrame) -> list[Samples]:
    """What was decoded, channel by channel, full scale 1.0."""
    layout, scale = _SCALES[part.format.name.removesuffix("p")]
    if part.format.is_planar:
        found = [np.frombuffer(memoryview(plane), layout, part.samples) for plane in part.planes]
    else:
        count = len(part.layout.channels)
        found = list(np.frombuffer(memoryview(part.planes[0]), layout, part.samples * count).reshape(-1, count).T)
    return found if scale == 1.0 else [np.multiply(one, np.float32(scale), dtype=np.float32) for one in found]
