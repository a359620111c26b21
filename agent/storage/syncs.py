"""What waits for the disk, done in order in a thread of its own, so that nobody who listens has to wait with it."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Syncs(Generic[T]):
    """The thread of one source. Not for more than one thread that asks."""

    def __init__(self, source: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"sync-{source}")
        self._jobs: deque[Future[T | None]] = deque()

    def __len__(self) -> int:
        """How many are not done, or not asked about."""
        return len(self._jobs)

    def put(self, job: Callable[[], T | None]) -> None:
        """Do this when everything before it is done."""
        self._jobs.append(self._executor.submit(job))

    def done(self) -> Iterator[T]:
        """What has come of jobs that are done. Raises what one of them raised."""
        while self._jobs and self._jobs[0].done():
            result = self._jobs.popleft().result()
            if result is not None:
                yield result

    def done_well(self) -> Iterator[T]:
        """What has come of jobs that are done, those that failed passed over."""
        while self._jobs and self._jobs[0].done():
            job = self._jobs.popleft()
            result = None if job.exception() else job.result()
            if result is not None:
                yield result

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._jobs or self._jobs[-1].done()

    def settle(self) -> None:
        """Wait until all are done."""
        if self._jobs:
            self._jobs[-1].exception()

    def end(self) -> None:
        """Do what is left, and let the thread end."""
        self._executor.shutdown()
