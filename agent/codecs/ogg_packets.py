"""Packets on their way to a frame: those that warm a decoder, and those that have come together. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from agent.codecs.ogg_mappings import Mapping
from agent.model import AudioFormat, Frame, Instant


class Warm:
    """The packets just before the next one, as many as make a decoder warm.

    With `pre_skip` the stream is at its beginning, and it is warm when those samples are over.
    """

    def __init__(self, mapping: Mapping | None = None, pre_skip: int | None = None) -> None:
        self._keep = (mapping.priming_packets, mapping.priming_samples) if mapping is not None else (0, 0)
        self._missing_packets = self._keep[0]
        self._missing_samples = self._keep[1] if pre_skip is None else min(self._keep[1], pre_skip)
        self._packets: deque[tuple[bytes, int]] = deque()
        self._samples = 0
        self.last: bytes | None = None

    @property
    def is_enough(self) -> bool:
        """Whether a decoder that is given these packets is warm."""
        return self._missing_packets <= 0 and self._missing_samples <= 0

    @property
    def packets(self) -> tuple[bytes, ...]:
        """The packets."""
        return tuple(packet for packet, _ in self._packets)

    @property
    def missing(self) -> int:
        """How many samples they fall short of what is kept: a stream that has just begun has no more."""
        return max(0, self._keep[1] - self._samples)

    def add(self, packet: bytes, length: int) -> None:
        """One more went by."""
        if not self.is_enough:
            self._missing_packets -= 1
            self._missing_samples -= length
        self._packets.append((packet, length))
        self._samples += length
        while len(self._packets) > self._keep[0] and self._samples - self._packets[0][1] >= self._keep[1]:
            self._samples -= self._packets.popleft()[1]
        self.last = packet


class Together:
    """Packets without a hole between them."""

    def __init__(self, received_at: Instant) -> None:
        self.received_at = received_at
        self.samples = self.shortest = 0
        self.priming: tuple[bytes, ...] = ()
        self.priming_missing = 0
        self.packets: list[tuple[bytes, int]] = []

    def add(self, packet: bytes, length: int) -> None:
        """One more, so many samples long."""
        self.packets.append((packet, length))
        self.samples += length
        self.shortest = min(self.shortest or length, length)

    def join(self, other: "Together") -> None:
        """Put those of the next page behind these."""
        self.packets += other.packets
        self.samples += other.samples

    def frames(self, audio_format: AudioFormat, received_at: Instant) -> Iterator[Frame]:
        """One frame, or two: a cut in the second one has all the priming before it that there should be."""
        whole = _frame(self.packets, audio_format, received_at, self.priming)
        edge = next((samples for _, samples in whole.borders if samples >= self.priming_missing), None)
        if not self.priming_missing or edge is None:
            yield whole
            return
        first, second = whole.split(edge)
        yield first
        yield replace(second, priming=(*self.priming, *(packet for packet, _ in first.packets())))


def _frame(
    packets: list[tuple[bytes, int]], audio_format: AudioFormat, received_at: Instant, priming: tuple[bytes, ...]
) -> Frame:
    borders, size, samples = [], 0, 0
    for packet, length in packets:
        size, samples = size + len(packet), samples + length
        borders.append((size, samples))
    data = b"".join(packet for packet, _ in packets)
    return Frame(data, samples, audio_format, received_at, tuple(borders[:-1]), priming)
