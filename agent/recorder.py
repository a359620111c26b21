"""The straight line of one source: what it says goes in at the top, finished files and ledger lines come out below."""

from collections.abc import Callable, Iterator

from agent import codecs
from agent.codecs.base import Framer
from agent.gaps import GapAccount
from agent.lone_packets import LonePackets
from agent.model import (
    AudioFormat,
    Block,
    Entry,
    FinishedSegment,
    GapLine,
    Instant,
    Loss,
    RunStarted,
    SourceItem,
    Unit,
)
from agent.segmenter import Segmenter
from agent.storage.ledger import Ledger
from agent.storage.writer import SegmentWriter
from agent.timeline import Timeline


class Recorder:
    """Carries the items of one source down the line, one after the other. Not for more than one thread.

    `watch` is told of every item and of what became of it; it keeps the source's status. `sinks` get each finished
    segment. After a StorageError the whole line is of no more use: `abandon` it, and build a new one.
    """

    def __init__(
        self,
        timeline: Timeline,
        segmenter: Segmenter,
        account: GapAccount,
        writer: SegmentWriter,
        ledger: Ledger,
        *,
        watch: Callable[[SourceItem | Entry], None],
        sinks: tuple[Callable[[FinishedSegment], None], ...],
    ) -> None:
        self._format: AudioFormat | None = None
        self._framer: Framer | None = None
        self._timeline, self._segmenter, self._account = timeline, segmenter, account
        self._lone_packets = LonePackets()
        self._writer, self._ledger = writer, ledger
        self._watch, self._sinks = watch, sinks
        self._last_tick_ns: int | None = None

    def step(self, item: SourceItem, now: Instant) -> None:
        """Carry one item of the source down the line."""
        for unit in self._framed(item):  # bytes become whole codec units,
            for dated in self._timeline.push(unit):  # units get their place in time,
                for cut in self._segmenter.push(dated):  # are cut at the wall clock,
                    for part in self._lone_packets.push(cut):  # no file is a single packet,
                        for entry in self._account.push(part):  # what is missing is accounted for,
                            self._keep(entry)  # and all of it is written down.
        self._watch(item)  # Last, because the end of a run lets go of what was held before it.
        self.tick(now)

    def tick(self, now: Instant) -> None:
        """What time alone brings about: a sync, a midnight."""
        last_ns, self._last_tick_ns = self._last_tick_ns or now.wall_ns, now.wall_ns
        self._writer.tick(now)
        for line in self._account.tick(now.wall_ns, last_ns):
            self._keep(line)

    def abandon(self) -> None:
        """Leave the open file as it is; the next line begins by finishing it."""
        self._writer.abandon()

    def missing_since(self, lines: Iterator[GapLine]) -> None:
        """Write down a gap that began before the line was built."""
        for line in lines:
            self._keep(line)

    def _framed(self, item: SourceItem) -> Iterator[Unit]:
        if isinstance(item, Block):
            if self._framer is None:
                raise ValueError("audio came before its run was announced")
            yield from self._framer.push(item)
            return
        if isinstance(item, RunStarted):
            self._format = item.format
        if isinstance(item, RunStarted | Loss) and self._format is not None:
            # Half a unit from before a loss would be completed with bytes from behind it.
            self._framer = codecs.framer(self._format)
        yield item

    def _keep(self, entry: Entry) -> None:
        if isinstance(entry, GapLine):
            self._ledger.append(entry)
        else:
            finished = self._writer.push(entry)
            if finished is not None:
                for sink in self._sinks:
                    sink(finished)
        self._watch(entry)
