"""Packets of a stream that follow one another without a hole become one frame."""

from collections.abc import Iterator

from agent.model import AudioFormat, Frame, Instant


class Together:
    """Collects packets of one format."""

    def __init__(self) -> None:
        self._packets: list[bytes] = []
        self._borders: list[tuple[int, int]] = []
        self._size = self._samples = 0
        self._last: tuple[AudioFormat, Instant] | None = None

    @property
    def format(self) -> AudioFormat | None:
        """The format of what there is."""
        return None if self._last is None else self._last[0]

    def add(self, packet: bytes, samples: int, audio_format: AudioFormat, received_at: Instant) -> None:
        """One more packet."""
        self._packets.append(packet)
        self._size, self._samples = self._size + len(packet), self._samples + samples
        self._borders.append((self._size, self._samples))
        self._last = audio_format, received_at

    def take(self) -> Iterator[Frame]:
        """What there is, as one frame, stamped like its last packet; nothing is left then."""
        if self._last is not None:
            data, borders = b"".join(self._packets), tuple(self._borders[:-1])
            yield Frame(data, self._samples, *self._last, borders)
        self._packets, self._borders = [], []
        self._size = self._samples = 0
        self._last = None
