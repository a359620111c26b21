"""The straight line of one source: what it says goes in at the top, finished files and ledger lines come out below."""

import logging
from collections.abc import Callable, Iterator

from agent import codecs
from agent.archive_format.times import from_ns
from agent.codecs.base import Framer
from agent.errors import StorageError
from agent.gaps import GapAccount
from agent.model import (
    Block,
    Break,
    DatedFrame,
    Entry,
    FinishedSegment,
    GapCause,
    GapLine,
    Instant,
    RunStarted,
    SourceItem,
    Unit,
)
from agent.segmenter import Segmenter
from agent.storage.ledger import Ledger
from agent.storage.writer import SegmentWriter
from agent.timeline import Timeline

_log = logging.getLogger(__name__)
_DISK_RETRY_NS = 2_000_000_000


class Recorder:
    """Carries the items of one source down the line, one after the other. Not for more than one thread.

    `watch` is told of every item and of what became of it; it keeps the source's status. `sinks` get each finished
    segment.
    """

    def __init__(
        self,
        timeline: Timeline,
        segmenter: Segmenter,
        account: GapAccount,
        writer: SegmentWriter,
        ledger: Ledger,
        *,
        watch: Callable[[SourceItem | Entry | StorageError], None],
        sinks: tuple[Callable[[FinishedSegment], None], ...],
    ) -> None:
        self._framer: Framer | None = None
        self._timeline, self._segmenter, self._account = timeline, segmenter, account
        self._writer, self._ledger = writer, ledger
        self._watch, self._sinks = watch, sinks
        self._disk_again_ns = 0
        self._last_tick_ns: int | None = None

    def step(self, item: SourceItem, now: Instant) -> None:
        """Carry one item of the source down the line."""
        self._watch(item)
        try:
            for unit in self._framed(item):  # bytes become whole codec units,
                for dated in self._timeline.push(unit):  # units get their place in time,
                    if isinstance(dated, DatedFrame) and now.boottime_ns < self._disk_again_ns:
                        continue  # (the disk takes nothing just now: a gap, already open)
                    for part in self._segmenter.push(dated):  # are cut at the wall clock,
                        for entry in self._account.push(part):  # what is missing is accounted for,
                            self._keep(entry)  # and all of it is written down.
        except StorageError as error:
            self._disk_failed(error, now)
        self.tick(now)

    def tick(self, now: Instant) -> None:
        """What time alone brings about: a sync, a midnight."""
        last_ns, self._last_tick_ns = self._last_tick_ns or now.wall_ns, now.wall_ns
        try:
            self._writer.tick(now)
            for line in self._account.tick(now.wall_ns, last_ns):
                self._keep(line)
        except StorageError as error:
            self._disk_failed(error, now)

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
            self._framer = codecs.framer(item.format)
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

    def _disk_failed(self, error: StorageError, now: Instant) -> None:
        """Leave the file as it is, account for what cannot be written, and try again in two seconds."""
        _log.error("%s; trying again", error)
        self._disk_again_ns = now.boottime_ns + _DISK_RETRY_NS
        self._writer.abandon()
        lost = Break(GapCause.DISK_FULL, error.message, now.wall_ns)
        for part in self._segmenter.push(lost):
            for entry in self._account.push(part):
                if isinstance(entry, GapLine):
                    self._watch(entry)
                    try:
                        self._ledger.append(entry)
                    except StorageError as unwritten:
                        # The line that ends this gap repeats its start, so nothing is lost once the disk is back.
                        _log.error("the ledger has to wait: %s (gap since %s)", unwritten, from_ns(now.wall_ns))
        self._watch(error)
