"""One watcher for all listeners: it reads status.json once per change, and ends when nobody listens any more."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from agent import clock
from archive_api.answers.problem import Problem
from archive_api.events.changes import Changes
from archive_api.events.ring import Event, Reset, Ring, encode
from archive_api.index.index import Index
from archive_api.index.scanner import Change
from archive_api.recordings.live import Live, LiveReader

LISTENERS_MOST = 32
PENDING_MOST_BYTES = 256 << 10
POLL_S = 0.25
LINGER_S = 60.0
"""How long the watcher goes on without listeners, so that who comes back after a moment has missed nothing."""

_log = logging.getLogger(__name__)


class Listener:
    """What waits to be sent to one client; `over` is set when it has fallen too far behind, or the watcher ended."""

    def __init__(self, first: bytes) -> None:
        self._pending = bytearray(first)
        self.wake = asyncio.Event()
        self.over = asyncio.Event()
        self.wake.set()

    def put(self, wire: bytes) -> None:
        """More to send; a client that does not take what it is sent is given up."""
        if self.over.is_set():
            return
        if len(self._pending) + len(wire) > PENDING_MOST_BYTES:
            _log.info("a listener of events fell behind, and was dropped")
            self.end()
            return
        self._pending += wire
        self.wake.set()

    def take(self) -> bytes:
        """Everything that waits."""
        taken = bytes(self._pending)
        self._pending.clear()
        self.wake.clear()
        return taken

    def end(self) -> None:
        """Nothing more will come."""
        self._pending.clear()
        self.over.set()


class _Watch:
    """One run of the watcher: what it has seen, and the events that it has numbered."""

    def __init__(self, recordings: Path) -> None:
        self.ring = Ring(secrets.token_hex(4))
        self.live = Live({}, None)
        self._reader = LiveReader(recordings)
        self._changes = Changes()

    async def look(self) -> list[Event]:
        """What is new. A folder that cannot be read is as one without status.json."""
        self.live = await run_in_threadpool(self._reader.read, clock.utc_now())
        return self._changes.look(self.live, clock.monotonic_s())

    def opening(self, last_id: str | None) -> bytes:
        """How a stream begins: what was missed since `last_id` or that it cannot be told, then how things are now."""
        last = self.ring.last_id
        missed = [] if last_id is None else self.ring.since(last_id)
        if isinstance(missed, Reset):
            missed = [encode("reset", {"reason": missed}, last)]
        return b"".join([*missed, encode("snapshot", self.live.at(clock.utc_now()).as_json(), last)])


class Hub:
    """The listeners of one archive. Everything here happens in the event loop, but for reading files."""

    def __init__(self, recordings: Path, index: Index) -> None:
        self._recordings = recordings
        self._places = 0
        self._listeners: set[Listener] = set()
        self._watch: asyncio.Future[_Watch] | None = None
        index.listen(self._on_recording)

    @asynccontextmanager
    async def listening(self, last_id: str | None) -> AsyncIterator[Listener]:
        """A place for one client, until the end of the block. Raises Problem 503 where there is none left."""
        if self._places >= LISTENERS_MOST:
            detail = f"All {LISTENERS_MOST} event streams of this archive are taken."
            raise Problem(503, detail, headers={"retry-after": "10"})
        self._places += 1
        listener = None
        try:
            watch = await asyncio.shield(self._watching())
            listener = Listener(watch.opening(last_id))
            self._listeners.add(listener)
            yield listener
        finally:
            self._places -= 1
            if listener is not None:
                self._listeners.discard(listener)

    def _watching(self) -> asyncio.Future[_Watch]:
        """The run of the watcher, once it has looked for the first time."""
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(self._watch))
            self._task.add_done_callback(self._ended)
        return self._watch

    async def _run(self, started: "asyncio.Future[_Watch]") -> None:
        watch = _Watch(self._recordings)
        await watch.look()
        started.set_result(watch)
        needed_s = clock.monotonic_s()
        while self._places or clock.monotonic_s() - needed_s < LINGER_S:
            if self._places:
                needed_s = clock.monotonic_s()
            await asyncio.sleep(POLL_S)
            for event in await watch.look():
                self._tell(watch, event)

    def _tell(self, watch: _Watch, event: Event) -> None:
        wire = watch.ring.add(event)
        for listener in self._listeners:
            listener.put(wire)

    def _on_recording(self, change: Change) -> None:
        """In the thread of the index: a recording began, ended or went."""
        watch = self._watch
        if watch is not None:
            kind, row = change
            event = Event("segment", {"change": kind, "segment": row.as_json()})
            with contextlib.suppress(RuntimeError):  # the event loop has ended, and its listeners with it
                watch.get_loop().call_soon_threadsafe(self._on_event, watch, event)

    def _on_event(self, watch: "asyncio.Future[_Watch]", event: Event) -> None:
        if watch is self._watch and watch.done():
            self._tell(watch.result(), event)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """The next listener begins anew. Those that there are come back, and are told to reload."""
        watch, self._watch = self._watch, None
        for listener in self._listeners:
            listener.end()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the watcher of events broke off", exc_info=error)
            if watch is not None and not watch.done():
                watch.set_exception(error)
