"""The straight line of one source: what it says goes in at the top, finished files and ledger lines come out below."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from agent import codecs
from agent.codecs.base import Framer
from agent.errors import StorageError
from agent.filler import Filler
from agent.gaps import GapAccount, filled_lines
from agent.lone_packets import LonePackets
from agent.loudness.meter import Meter
from agent.model import (
    AudioFormat,
    Block,
    Dated,
    Entry,
    FinishedSegment,
    GapHeld,
    GapLine,
    Heard,
    Instant,
    Level,
    Loss,
    RunStarted,
    SoundEvent,
    SourceItem,
    Tail,
    Title,
    Unit,
)
from agent.overlap import Overlap
from agent.segmenter import Segmenter
from agent.storage.ledger import Ledger
from agent.storage.writer import SegmentWriter
from agent.timeline import Timeline


class Recorder:
    """Carries the items of one source down the line, one after the other. Not for more than one thread.

    `watch` is told of every item and of what became of it; it keeps the source's status. `sinks` get each finished
    segment, each event and each level. `tail` is what an earlier line has recorded last. After a StorageError the whole
    line is of no more use: `abandon` it, and build a new one.
    """

    def __init__(
        self,
        timeline: Timeline,
        filler: Filler,
        segmenter: Segmenter,
        account: GapAccount,
        meter: Meter,
        writer: SegmentWriter,
        ledger: Ledger,
        *,
        watch: Callable[[SourceItem | Entry], None],
        sinks: tuple[Callable[[FinishedSegment | SoundEvent | Level], None], ...],
        tail: Tail | None = None,
    ) -> None:
        self._format: AudioFormat | None = None
        self._framer: Framer | None = None
        self._overlap = Overlap(tail)
        self._timeline, self._filler, self._segmenter, self._account = timeline, filler, segmenter, account
        self._lone_packets = LonePackets()
        self._meter = meter
        self._writer, self._ledger = writer, ledger
        self._watch, self._sinks = watch, sinks
        self._last_tick_ns: int | None = None

    def step(self, item: SourceItem) -> None:
        """Carry one item of the source down the line."""
        for unit in self._framed(item):  # bytes become whole codec units,
            for new in self._overlap.push(unit):  # none of them twice,
                for dated in self._timeline.push(new):  # units get their place in time,
                    for whole in self._filler.push(dated):  # short breaks of a card are filled,
                        self._carry(whole)
        self._watch(item)  # Last, because the end of a run lets go of what was held before it.

    def _carry(self, dated: Dated) -> None:
        for cut in self._segmenter.push(dated):  # all is cut at the wall clock,
            for part in self._lone_packets.push(cut):  # no file is a single packet,
                for entry in self._account.push(part):  # what is missing is accounted for,
                    for heard in self._meter.push(entry):  # what there is is listened to,
                        self._keep(heard)  # and all of it is written down.

    def tick(self, now: Instant) -> None:
        """Nothing more waits for now: listen to what has come together, and do what time brings about (a sync, a
        midnight)."""
        for heard in self._meter.tick():
            self._keep(heard)
        last_ns, self._last_tick_ns = self._last_tick_ns or now.wall_ns, now.wall_ns
        is_midnight = self._account.is_midnight(now.wall_ns, last_ns)
        for dated in self._filler.let_go() if is_midnight else self._filler.tick(now):
            self._carry(dated)
        self._writer.tick(now)
        self._tell_finished()
        self._tell_filled()
        for line in self._account.tick(now.wall_ns):
            self._keep(line)

    def abandon(self) -> None:
        """The line ends, and with it the events that last. What is open stays as it is; the next line finishes it."""
        for left in self._meter.abandon():
            if isinstance(left, Heard):
                self._tell(self._writer.place(left))
            else:
                with suppress(StorageError):
                    self._writer.push(left)
        self._writer.abandon()
        self._tell_finished()
        self._writer.end()

    def missing_since(self, lines: Iterator[GapLine]) -> None:
        """Write down a gap that began before the line was built."""
        for line in lines:
            self._keep(line)

    def _framed(self, item: SourceItem) -> Iterator[Unit]:
        if isinstance(item, Block):
            if self._framer is None:
                raise ValueError("audio came before its run was announced")
            for unit in self._framer.push(item):
                if isinstance(unit, Title):
                    self._watch(unit)
                yield unit
            return
        if isinstance(item, RunStarted):
            self._format, self._framer = item.format, None
            self._writer.run_started(item)
        if isinstance(item, RunStarted | Loss) and self._format is not None:
            # Half a unit from before a loss would be completed with bytes from behind it.
            self._framer = codecs.framer(self._format, self._framer)
        yield item

    def _keep(self, entry: Entry) -> None:
        match entry:
            case GapLine():
                # What the ledger says begins where the audio ends: not before that is safe.
                self._writer.settle()
                self._tell_finished()
                self._tell_filled()
                self._ledger.append(entry)
            case Heard():
                self._tell(self._writer.place(entry))
            case Level():
                self._tell(entry)
            case GapHeld():
                pass  # for the watch
            case _:
                self._writer.push(entry)
        self._watch(entry)

    def _tell_finished(self) -> None:
        for finished in self._writer.finished():
            self._tell(finished)

    def _tell_filled(self) -> None:
        lines = [line for gap in self._writer.filled() for line in filled_lines(gap)]
        if lines:
            self._ledger.append(*lines)
        for line in lines:
            if line.at == "end":
                self._watch(line)

    def _tell(self, news: FinishedSegment | SoundEvent | Level) -> None:
        for sink in self._sinks:
            sink(news)
