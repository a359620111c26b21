"""Keeps the status of one source while its items and what becomes of them go by."""

from collections.abc import Callable
from datetime import datetime

from agent.model import (
    Entry,
    GapCause,
    GapLine,
    OpenSegment,
    RunEnded,
    RunStarted,
    RunStarting,
    SegmentClose,
    SegmentData,
    SegmentOpen,
    SourceItem,
    SourceState,
    Title,
)
from agent.status import StatusBoard

_WAITING = (SourceState.RECONNECTING, SourceState.STALLED, SourceState.ERROR, SourceState.DISK_FULL)
_STATES = {
    GapCause.STOPPED: SourceState.STOPPED,
    GapCause.SCHEDULED: SourceState.STOPPED,
    GapCause.AGENT_STOPPED: SourceState.STOPPED,
    GapCause.STALL: SourceState.STALLED,
}


class SourceWatch:
    """Called by the recording thread alone. `open_segment` tells what of the open file is safe."""

    def __init__(
        self,
        source: str,
        board: StatusBoard,
        *,
        open_segment: Callable[[], OpenSegment | None],
        now: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._board = board
        self._open_segment = open_segment
        self._now = now
        self._has_recorded = False

    def __call__(self, seen: SourceItem | Entry) -> None:
        """One thing went by."""
        match seen:
            case RunStarting():
                if self._board.of(self._source).state not in _WAITING:
                    self._state(SourceState.STARTING)
            case RunStarted():
                self._board.change(self._source, format=seen.format)
            case Title():
                self._board.change(self._source, title=seen.text or None)
            case RunEnded():
                # What has worked since the start will work again; only what never did needs somebody to look at it.
                never_worked = seen.permanent and not self._has_recorded
                state = _STATES.get(seen.cause, SourceState.ERROR if never_worked else SourceState.RECONNECTING)
                error = f"{seen.detail} ({seen.hint})" if seen.hint else seen.detail
                self._state(state, last_error=error, open_segment=None, title=None)
            case GapLine(at="begin"):
                self._board.change(self._source, gap=seen.gap)
            case GapLine(at="end"):
                self._board.change(self._source, gap=None)
            case SegmentOpen():
                self._has_recorded = True
                self._state(SourceState.RECORDING, last_error=None, open_segment=self._open_segment())
            case SegmentData() | SegmentClose():
                self._board.change(self._source, open_segment=self._open_segment())
            case _:
                return

    def _state(self, state: SourceState, **changes: object) -> None:
        if state is not self._board.of(self._source).state:
            changes["since"] = self._now()
        self._board.change(self._source, state=state, **changes)
