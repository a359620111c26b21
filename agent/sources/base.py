"""What a source is to the rest of the program."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from agent.model import SourceItem
from agent.supervisor import Backoff, StopSignal

Emit: TypeAlias = Callable[[SourceItem], None]


class Source(Protocol):
    """One thing that is recorded. An object serves any number of runs, one after the other."""

    backoff: Backoff

    def run(self, emit: Emit, stop: StopSignal) -> None:
        """One run: RunStarted, then blocks, titles and losses, each stamped when it was read. Where it goes over to
        another place within the run, a Loss and another RunStarted say so.

        Returns soon after `stop` is set, with everything emitted that had been captured. Raises SourceFault when
        there is no more audio. Never waits for whoever takes what is emitted.
        """
        ...
