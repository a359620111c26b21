"""Ogg streams: the packets of one audio stream among logical streams that follow one another, or lie side by side.

A logical stream with the same set-up as the one before goes on where that ended: its packets follow in the same
format, and its comment becomes a title. All packets count in full: what the last page of a song would have clipped
(less than a packet) stays. What only makes a decoder warm is in no frame: the first packets of a run, behind a loss,
and where the set-up changes. Of a stream that is seen from its beginning these are the ones its pre-skip reaches into.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence

from agent.codecs.ogg_flac import FLAC
from agent.codecs.ogg_mappings import OPUS, VORBIS, Mapping, Setup, name_of
from agent.codecs.ogg_packets import Together, Warm
from agent.codecs.ogg_pages import Page, PageReader
from agent.errors import CodecError
from agent.model import AudioFormat, Block, Frame, GapCause, Instant, Loss, Title

MAPPINGS: tuple[Mapping, ...] = (VORBIS, OPUS, FLAC)
"""The codecs that are recorded out of Ogg."""
ENOUGH_BYTES = 256 << 10
"""Set-up headers that are longer are none."""
_BESIDE_MOST = 32
_HOLE_MOST_S = 60
"""A granule that runs further ahead tells of another clock, not of a loss: the connection would not have lasted."""


def find_stream(head: bytes) -> AudioFormat | None:
    """The format of the first stream that can be recorded; None while its headers are not complete.

    Raises CodecError where there is none, with the names of those that are there.
    """
    names: list[str] = []
    stream: _Logical | None = None
    for page in PageReader().push(head):
        if page.is_first and page.packets:
            stream = stream or _logical(page)
            names.append(name_of(page.packets[0]))
        elif stream is None and names:
            others = " and ".join(dict.fromkeys(names))
            raise CodecError(f"an Ogg stream of {others} cannot be recorded", hint="Ogg with Vorbis, Opus or FLAC can")
        if stream is not None and page.serial == stream.serial:
            stream.take(page)
            if stream.is_set_up:
                return stream.setup.format
    if len(head) >= ENOUGH_BYTES:
        raise CodecError("no complete Ogg headers in the first 256 KiB", hint="the stream may be damaged")
    return None


class _Logical:
    """One logical stream."""

    def __init__(self, serial: int, mapping: Mapping) -> None:
        self.serial = serial
        self.mapping = mapping
        self._setup: Setup | None = None
        self.has_audio = False
        self._headers: list[bytes] = []

    @property
    def is_set_up(self) -> bool:
        """Whether its headers are complete."""
        return self._setup is not None

    @property
    def setup(self) -> Setup:
        """What they tell."""
        assert self._setup is not None
        return self._setup

    def take(self, page: Page) -> Sequence[bytes]:
        """Take the headers out of the page; its other packets. CodecError where they cannot be understood."""
        if page.has_gap:
            raise CodecError("an Ogg stream without its headers")
        for number, packet in enumerate(page.packets):
            if self._setup is not None:
                return page.packets[number:]
            self._headers.append(packet)
            self._setup = self.mapping.setup(self._headers)
        return ()


def _logical(page: Page) -> _Logical | None:
    first = page.packets[0] if page.packets else b""
    mapping = next((mapping for mapping in MAPPINGS if first.startswith(mapping.magic)), None)
    return _Logical(page.serial, mapping) if mapping is not None else None


class OggFramer:
    """The packets of an Ogg stream, titles from its comments, and losses as long as the granule positions say."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._reader = PageReader()
        self._format = audio_format
        self._stream: _Logical | None = None
        self._beside: deque[int] = deque(maxlen=_BESIDE_MOST)
        self._is_among_firsts = False
        self._title = ""
        self._warm = Warm()
        self._is_cold = True
        self._has_frames = self._is_lost = self._has_ended = False
        self._position: int | None = None
        self._skipped_bytes = 0
        self._together: Together | None = None

    def push(self, block: Block) -> Iterator[Frame | Title | Loss]:
        """What the pages say that the block completes; packets without a hole between them make one frame."""
        for page in self._reader.push(block.data):
            if page.is_first:
                self._begin(page)
            else:
                self._is_among_firsts = False
            if self._stream is not None and page.serial == self._stream.serial:
                yield from self._page(self._stream, page, block.received_at)
                self._skipped_bytes = self._reader.skipped_bytes
            elif page.serial not in self._beside:
                # Audio perhaps, but its headers never came.
                self._is_lost |= self._has_frames
        yield from self._take(block.received_at)

    def behind_loss(self) -> "OggFramer":
        """Bytes were lost before they came here, and that has been told: go on with the headers that are known."""
        self._reader, self._skipped_bytes = PageReader(), 0
        self._is_lost, self._position = False, None
        if self._stream is not None:
            self._stream.has_audio = True
            self._cool(self._stream.mapping, None)
        return self

    def _begin(self, page: Page) -> None:
        """A logical stream begins: the next one, or where several begin side by side, the first that is known."""
        stream = _logical(page)
        if stream is None or (self._is_among_firsts and self._stream is not None):
            self._beside.append(page.serial)
            return
        if self._stream is not None:
            self._beside.append(self._stream.serial)
        self._is_among_firsts = True
        self._is_lost |= self._is_damaged and not self._has_ended
        self._stream, self._position, self._has_ended = stream, None, False

    @property
    def _is_damaged(self) -> bool:
        """Whether bytes had to be passed over since the last page of this stream."""
        return self._has_frames and self._reader.skipped_bytes > self._skipped_bytes

    def _page(self, stream: _Logical, page: Page, received_at: Instant) -> Iterator[Frame | Title | Loss]:
        packets: Sequence[bytes] = page.packets
        if not stream.is_set_up:
            packets = yield from self._headers(stream, page, received_at)
        if packets:
            yield from self._audio(stream, page, packets, received_at)
        if page.is_last:
            self._is_lost |= page.has_gap and not packets and self._has_frames
            self._has_ended, self._position = True, None

    def _headers(
        self, stream: _Logical, page: Page, received_at: Instant
    ) -> Generator[Frame | Title, None, Sequence[bytes]]:
        """Take the headers out of the page; its other packets."""
        try:
            packets = stream.take(page)
        except CodecError:
            # Without its headers nothing of it can be understood; the next stream will have some.
            self._stream, self._is_lost = None, self._has_frames
            return ()
        if stream.is_set_up:
            yield from self._set_up(stream.setup, received_at)
        return packets

    def _set_up(self, setup: Setup, received_at: Instant) -> Iterator[Frame | Title]:
        if setup.title != self._title:
            yield from self._take(received_at)
            yield Title(setup.title, received_at)
            self._title = setup.title
        if setup.format != self._format:
            yield from self._take(received_at)
            self._format, self._is_cold = setup.format, True

    def _audio(
        self, stream: _Logical, page: Page, packets: Sequence[bytes], received_at: Instant
    ) -> Iterator[Frame | Loss]:
        setup = stream.setup
        has_gap = page.has_gap and not self._goes_on(setup, page, packets)
        if not stream.has_audio:
            stream.has_audio = True
            if has_gap and self._is_damaged and not self._is_lost:
                self._position = 0
            else:
                # A server lets us in at any place of a stream: no audio that was ours is missing before it.
                if self._is_cold or self._is_lost:
                    self._cool(stream.mapping, None if has_gap else setup.pre_skip)
                has_gap = False
        if has_gap:
            self._is_lost |= self._has_frames
            self._cool(stream.mapping, None)
        frames = Together(received_at)
        for packet in packets:
            length = setup.length(packet, self._warm.last)
            if length is None:
                continue
            if self._warm.is_enough:
                if not frames.samples:
                    frames.priming, frames.priming_missing = self._warm.packets, self._warm.missing
                frames.add(packet, length)
            self._warm.add(packet, length)
        if frames.samples:
            yield from self._dated(frames, page)

    def _goes_on(self, setup: Setup, page: Page, packets: Sequence[bytes]) -> bool:
        """Whether nothing is missing although the number of the page says so: the granule position tells."""
        if self._position is None or page.granule is None or self._is_lost:
            return False
        before, samples = self._warm.last, 0
        for packet in packets:
            samples += setup.length(packet, before) or 0
            before = packet
        return self._position + samples == page.granule

    def _cool(self, mapping: Mapping, pre_skip: int | None) -> None:
        self._is_cold = False
        self._warm = Warm(mapping, pre_skip)

    def _dated(self, frames: Together, page: Page) -> Iterator[Frame | Loss]:
        """Put the packets of a page behind those so far, and what is missing before them in between."""
        start = None if page.granule is None else page.granule - frames.samples
        missing = None if start is None or self._position is None else start - self._position
        # A hole in the granule positions alone is one only where a packet could have lain.
        if self._is_lost or (missing is not None and missing >= frames.shortest):
            yield from self._take(frames.received_at)
            rate = self._format.sample_rate_hz
            known = missing if missing is not None and 0 < missing <= _HOLE_MOST_S * rate else None
            yield Loss(GapCause.CORRUPT, "packets of the Ogg stream are missing", frames.received_at, known)
        if start is not None:
            self._position = page.granule
        elif self._position is not None:
            self._position += frames.samples
        self._is_lost, self._has_frames = False, True
        if self._together is None:
            self._together = frames
        else:
            self._together.join(frames)

    def _take(self, received_at: Instant) -> Iterator[Frame]:
        together, self._together = self._together, None
        if together is not None:
            yield from together.frames(self._format, received_at)
