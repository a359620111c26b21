"""Has files decoded that bring no level series: one at a time, each once, in a process with limits."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from archive_api.analysis.store import LevelStore
from archive_api.answers.problem import Problem

_WALL_S = 900.0
_ANSWER_MOST_BYTES = 4096
_FAILURES_KEPT = 1000
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
_TOO_LONG = "This recording is too long to be analysed: 24 hours, or 12 hours of 48 kHz stereo, are the most."
_DAMAGED = "This recording cannot be analysed: {}."
_INTERRUPTED = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
"""How a process ends that was told to by somebody: that says nothing about the file."""

_log = logging.getLogger(__name__)


class Decoder:
    """The one job under way, and what has turned out to be of no use. Everything happens in the event loop."""

    def __init__(self, store: LevelStore, stopping: asyncio.Event) -> None:
        self._store, self._stopping = store, stopping
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._failed: OrderedDict[str, tuple[int, str]] = OrderedDict()

    async def decode(self, key: str, name: str, descriptor: int) -> None:
        """Return when the series is in the store. The descriptor may be closed then.

        Raises Problem 503 (another file is being decoded), 422 (no audio that can be decoded), 413 (too long). Who
        comes while the file is decoded waits for the same job; it goes on when they leave, so that it was not in vain.
        """
        if key in self._failed:
            raise Problem(*self._failed[key])
        job = self._jobs.get(key)
        if job is None:
            if self._jobs:
                detail = "Another recording is being decoded for its levels; ask again in a moment."
                raise Problem(503, detail, headers={"retry-after": "5"})
            job = asyncio.create_task(self._run(key, name, os.dup(descriptor)))
            self._jobs[key] = job
            job.add_done_callback(lambda job: self._done(key, job))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({job, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if not job.done():
            raise _interrupted()
        job.result()

    def _done(self, key: str, job: asyncio.Task[None]) -> None:
        del self._jobs[key]
        if not job.cancelled():
            job.exception()  # is told to who waits; perhaps nobody does any more

    async def _run(self, key: str, name: str, descriptor: int) -> None:
        written: Path | None = None
        try:
            written = await run_in_threadpool(self._store.begin)
            told = await _child(written, descriptor)
            if "samples" not in told:
                raise self._failure(key, told)
            await run_in_threadpool(self._store.keep, written, key, told["sample_rate_hz"], told["samples"])
            written = None
            _log.info("decoded %s for its levels", name)
        finally:
            os.close(descriptor)
            if written is not None:
                with contextlib.suppress(OSError):
                    written.unlink(missing_ok=True)

    def _failure(self, key: str, told: dict[str, Any]) -> Problem:
        if told.get("problem") == "too_long":
            failed = (413, _TOO_LONG)
        else:
            reason = told.get("detail") or "decoding it takes too long or too much memory"
            failed = (422, _DAMAGED.format(reason))
        self._failed[key] = failed
        if len(self._failed) > _FAILURES_KEPT:
            self._failed.popitem(last=False)
        return Problem(*failed)


async def _child(written: Path, descriptor: int) -> dict[str, Any]:
    """What the process says; {} where it was ended by a limit. Raises Problem 503 where it was interrupted."""
    out = os.open(written, os.O_WRONLY | os.O_CLOEXEC)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "archive_api.analysis.child", str(out)),
            stdin=descriptor,
            stdout=asyncio.subprocess.PIPE,
            stderr=None,
            pass_fds=(out,),
            env={**environment, "OPENBLAS_NUM_THREADS": "1"},
        )
    finally:
        os.close(out)
    try:
        return await asyncio.wait_for(_answer(process), _WALL_S)
    except TimeoutError:
        return {}
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _answer(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.read(_ANSWER_MOST_BYTES)
    status = await process.wait()
    if status in _INTERRUPTED:
        raise _interrupted()
    if status != 0:
        return {}
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _interrupted() -> Problem:
    detail = "The recording was being decoded for its levels when that was broken off; ask again."
    return Problem(503, detail, headers={"retry-after": "5"})
