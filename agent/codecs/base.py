"""What every codec and every container has to be able to do. Pure: bytes in, bytes out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from agent.codecs.decoding import Samples, Span
from agent.model import AudioFormat, Block, Frame, Loss, Title


class Buffer(Protocol):
    """What a container reads: bytes, a mapped file, or anything that can be looked at like them."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...

    def find(self, wanted: bytes, start: int = ..., end: int = ..., /) -> int:
        """As bytes.find."""
        ...

    def rfind(self, wanted: bytes, start: int = ..., end: int = ..., /) -> int:
        """As bytes.rfind."""
        ...


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that replace those at `offset` of a file already written."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Whole:
    """The longest right beginning of a file that was cut short anywhere.

    Its first `length` bytes with `patches` laid over them, and `pad_bytes` zeros behind them, are a complete file of
    `samples` per channel.
    """

    length: int
    samples: int
    packets: int | None
    payload_offset: int
    format: AudioFormat
    patches: tuple[Patch, ...]
    priming_packets: int = 0
    pad_bytes: int = 0


class Framer(Protocol):
    """Turns the bytes of one run into whole codec units.

    What comes before the first unit is passed over. Later on, what is no audio and should be is a Loss of cause
    `corrupt`, with the number of samples where the stream tells it.
    """

    def push(self, block: Block) -> Iterator[Frame | Title | Loss]:
        """The units that `block` completes, and the titles that stand between them."""
        ...


class Muxer(Protocol):
    """Lays out one file. What the methods return is appended to the file, in the order of the calls."""

    container: str
    codec: str
    payload_offset: int
    priming_packets: int
    """How many packets at the head of the file are there for the decoder only, and count in nothing else."""

    @property
    def samples(self) -> int:
        """Samples per channel in the bytes handed out so far."""
        ...

    @property
    def packets(self) -> int | None:
        """Codec units in the bytes handed out so far; None where units mean nothing (PCM)."""
        ...

    def head(self) -> bytes:
        """How the file begins; called once, first."""
        ...

    def add(self, frame: Frame) -> bytes:
        """The bytes of `frame`, as far as they are ready: an encoder may keep part of a block back."""
        ...

    def settle(self) -> list[Patch]:
        """What to lay over the bytes handed out so far, so that they are a right file should nothing follow."""
        ...

    def finish(self) -> tuple[bytes, list[Patch]]:
        """The last bytes, and what to lay over the whole then; called once, last."""
        ...


class Container(Protocol):
    """One kind of file: how it is written, and how one is understood that was cut short."""

    extension: str

    def muxer(self, audio_format: AudioFormat) -> Muxer:
        """A fresh file of this kind; CodecError where it cannot hold the format."""
        ...

    def whole(self, data: Buffer, *, safe_bytes: int = 0) -> Whole | None:
        """What of `data` is whole; None where not one unit is.

        Raises CodecError where the data is of another kind. The first `safe_bytes` are known to be sound (they were
        synced to disk), which may save looking at them closely.
        """
        ...

    def decoded(self, file: BinaryIO, whole: Whole, first: int, broken: list[Span] | None = None) -> Iterator[Samples]:
        """The samples of a whole file from sample `first` on, piece by piece, each of shape (channels, n).

        `broken` gets the packets from there on that should have samples and give none, as samples of the file.

        They are those of the continuous stream but for the first few packets of a file, which may lean on the file
        before. Raises CodecError where the file cannot be decoded.
        """
        ...

    def snapshot(self, data: Buffer) -> Whole | None:
        """The same for a file that is being written right now: all of it is sound but for a unit cut off at the end."""
        ...
