"""One source as its owner sees it: two threads, a queue between them, and what it has been asked to do.

The capture thread runs the source again and again; the recording thread carries what it says down the line. What the
owner wants (stop, split) travels in the same queue, so that it has its place in the audio.
"""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from agent import clock
from agent.capture_queue import CaptureQueue
from agent.errors import SourceFault, StorageError
from agent.model import Desired, GapCause, Instant, RunEnded, RunStarted, RunStarting, SourceItem, SplitHere
from agent.outages import OutageLog
from agent.sources.base import Source
from agent.supervisor import Backoff, StopSignal, Worker

_log = logging.getLogger(__name__)
_TICK_S = 0.5
"""How often the recording thread looks for what time alone brings about."""


class Line(Protocol):
    """The straight line of a source (recorder.Recorder)."""

    def step(self, item: SourceItem) -> None:
        """Carry one item down the line."""
        ...

    def tick(self, now: Instant) -> None:
        """Nothing more waits for now: do what time brings about."""
        ...

    def abandon(self) -> None:
        """The line ends here: leave what is open as it is."""
        ...


class SourceControl:
    """Starts, stops and splits one source.

    `build_line` makes a fresh line, after finishing what the one before left; it is told why there is something to
    finish. `line_failed` is told when a line broke. `check_disk` raises StorageError while the disk is full: the line
    ends then, and the next one waits for room once it has finished what was open. Where the disk takes nothing, the
    audio waits in the queue, and when that is full, what is lost is lost to the disk.
    """

    def __init__(
        self,
        source_id: str,
        source: Source,
        build_line: Callable[[GapCause], Line],
        *,
        desired: Desired,
        remember: Callable[[str, Desired], None],
        line_failed: Callable[[str, Exception], None],
        check_disk: Callable[[], None] = lambda: None,
    ) -> None:
        self.id = source_id
        self._source = source
        self._build_line = build_line
        self._remember = remember
        self._line_failed, self._check_disk = line_failed, check_disk
        self._queue = CaptureQueue()
        self._wish = threading.Condition()
        self._desired = desired
        self._run_stop: StopSignal | None = None
        self._ending = False
        self._run: RunStarted | None = None
        self._line: Line | None = None
        self._left_by = GapCause.AGENT_CRASHED
        self._outage = OutageLog(_log, source_id)
        self._line_outage = OutageLog(_log, source_id)
        self._capture = Worker(
            f"capture-{source_id}", self._capture_run, backoff=source.backoff, on_fault=self._capture_failed
        )
        self._recording = Worker(
            f"record-{source_id}", self._record, backoff=Backoff(1.0, 2.0), on_fault=self._recording_failed
        )

    @property
    def desired(self) -> Desired:
        """What the source has been asked to do."""
        with self._wish:
            return self._desired

    def start(self) -> None:
        """Begin both threads; the source records if that is what it was last asked to do."""
        if self.desired is Desired.STOP:
            _log.info("%s: stays stopped, as it was asked to be; the command start ends that", self.id)
        self._recording.start()
        self._capture.start()

    def want(self, desired: Desired) -> None:
        """Ask the source to record or to stop; returns at once. Remembered first, so that a crash does not undo it."""
        self._remember(self.id, desired)
        with self._wish:
            self._desired = desired
            if desired is Desired.STOP and self._run_stop is not None:
                self._run_stop.set()
            self._wish.notify_all()
        self._capture.poke()

    def room_again(self) -> None:
        """There is room on the disk: do not wait for the next try."""
        self._recording.poke()

    def split(self) -> None:
        """Ask for a new file from here on."""
        self._queue.put(SplitHere(clock.now()))

    def begin_end(self) -> None:
        """The agent ends: stop capturing; returns at once."""
        with self._wish:
            self._ending = True
            self._wish.notify_all()
        self._capture.stop()

    def end_capture(self, deadline_s: float) -> None:
        """Wait for the capture, until `deadline_s` on the monotonic clock at most; then the last segment can close."""
        self._capture.join(deadline_s - clock.monotonic_s())
        self._queue.put(RunEnded(GapCause.AGENT_STOPPED, None, clock.now()))
        self._recording.stop()

    def end_recording(self, deadline_s: float) -> None:
        """Wait until the last segment is closed, until `deadline_s` on the monotonic clock at most."""
        self._recording.join(deadline_s - clock.monotonic_s())

    def _capture_run(self, stop: StopSignal) -> None:
        """One run of the source, or the wait for being asked to record."""
        run_stop = StopSignal()
        with self._wish:
            wanted = self._desired is Desired.RECORD
            self._run_stop = run_stop if wanted else None
        if not wanted:
            self._queue.put(RunEnded(GapCause.STOPPED, None, clock.now()))
            with self._wish:
                self._wish.wait_for(lambda: self._desired is Desired.RECORD or self._ending)
            return
        self._queue.put(RunStarting(clock.now()))
        with stop.calling(run_stop.set):
            self._source.run(self._queue.put, run_stop)
        if not stop.is_set:
            self._queue.put(RunEnded(GapCause.STOPPED, None, clock.now()))

    def _capture_failed(self, error: Exception, delay_s: float) -> None:
        fault = error if isinstance(error, SourceFault) else None
        if fault is None:
            _log.error("%s: capture failed, next try in %.1f s", self.id, delay_s, exc_info=error)
            fault = SourceFault(GapCause.DISCONNECTED, f"internal fault: {type(error).__name__}: {error}")
        self._outage.fault(str(fault), clock.monotonic_s())
        self._queue.put(RunEnded(fault.cause, fault.message, clock.now(), fault.hint, fault.permanent))

    def _record(self, stop: StopSignal) -> None:
        """Carry items down a fresh line until stopped and the queue is empty."""
        line = self._line = self._build_line(self._left_by)
        self._check_disk()
        self._queue.overflow_cause = GapCause.QUEUE_OVERFLOW
        self._line_outage.over("recording works again")
        if self._run is not None:
            line.step(self._run)
        while True:
            self._check_disk()
            item = self._queue.get(0.0)
            if item is None:
                line.tick(clock.now())
                item = self._queue.get(_TICK_S)
            if item is None:
                if stop.is_set:
                    line.abandon()  # nothing is open any more
                    return
                continue
            if isinstance(item, RunStarted):
                self._run = item
                self._outage.over("audio again")
            elif isinstance(item, RunEnded):
                self._run = None
            line.step(item)

    def _recording_failed(self, error: Exception, delay_s: float) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.abandon()
        is_disk = isinstance(error, StorageError)
        self._left_by = GapCause.DISK_FULL if is_disk else GapCause.AGENT_CRASHED
        self._queue.overflow_cause = GapCause.DISK_FULL if is_disk else GapCause.QUEUE_OVERFLOW
        if not is_disk:
            _log.debug("%s: a new line in %.1f s", self.id, delay_s, exc_info=error)
        self._line_outage.fault(str(error) if is_disk else f"recording failed: {error!r}", clock.monotonic_s())
        self._line_failed(self.id, error)
