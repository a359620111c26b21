"""Joins a segment that would be a single packet to its neighbour. Pure.

A stop, a gap or a second cut right behind a boundary would leave a file of one packet, and ffmpeg opens no MP3 with
fewer than two. Such a packet goes to the segment before it, or else to the one behind it; it stays alone only where
there is neither. PCM passes through.
"""

from collections.abc import Iterator

from agent.model import AudioFormat, CloseReason, Part, SegmentClose, SegmentData, SegmentOpen, SegmentTitle

_JOINS = (CloseReason.BOUNDARY, CloseReason.COMMAND)
"""A segment that was closed for one of these reasons is followed by the very next packet."""


class LonePackets:
    """Holds the close of a segment, and the open and first packet of the next, until there is a second packet."""

    def __init__(self) -> None:
        self._format: AudioFormat | None = None
        self._held: list[Part] = []

    def push(self, part: Part) -> Iterator[Part]:
        """Everything that `part` settles, in order."""
        match part:
            case SegmentOpen():
                yield from self._opened(part)
            case SegmentData() if self._holds(SegmentOpen) and not self._holds(SegmentData) and not part.frame.borders:
                self._held.append(part)
            case SegmentTitle() if self._held:
                self._held.append(part)
            case SegmentClose() if self._divisible:
                yield part
            case SegmentClose():
                yield from self._closed(part)
            case _:
                yield from self._release()
                yield part

    @property
    def _divisible(self) -> bool:
        return self._format is None or self._format.bytes_per_sample is not None

    def _holds(self, kind: type[Part]) -> bool:
        return any(isinstance(part, kind) for part in self._held)

    def _opened(self, part: SegmentOpen) -> Iterator[Part]:
        if self._holds(SegmentData) and part.format == self._format:
            # The packet that is held was closed alone: it begins this segment.
            self._held.pop()
            return
        if part.format != self._format or self._holds(SegmentOpen):
            yield from self._release()
        self._format = part.format
        if self._divisible:
            yield part
        else:
            self._held.append(part)

    def _closed(self, part: SegmentClose) -> Iterator[Part]:
        if self._holds(SegmentData) and isinstance(self._held[0], SegmentClose):
            # A packet alone behind a segment: it becomes its last, and this close is that segment's.
            self._held = [held for held in self._held if not isinstance(held, SegmentClose | SegmentOpen)]
            yield from self._release()
        if part.reason in _JOINS:
            self._held.append(part)
        else:
            yield from self._release()
            yield part

    def _release(self) -> Iterator[Part]:
        held, self._held = self._held, []
        yield from held
