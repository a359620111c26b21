"""Keeps the status of one source while its items and what becomes of them go by."""

from collections.abc import Callable
from datetime import datetime

from agent.model import (
    Entry,
    EventEdge,
    EventType,
    GapCause,
    GapHeld,
    GapLine,
    Heard,
    Level,
    OpenSegment,
    RunEnded,
    RunStarted,
    RunStarting,
    SegmentClose,
    SegmentData,
    SegmentOpen,
    SoundEvent,
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
    """Called by the recording thread alone. `open_segment` tells what of the open file is safe, `hears` whether loud
    events are listened for."""

    def __init__(
        self,
        source: str,
        board: StatusBoard,
        *,
        open_segment: Callable[[], OpenSegment | None],
        hears: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._source = source
        self._board = board
        self._open_segment = open_segment
        self._hears = hears
        self._now = now
        self._has_recorded = False
        self._may_go_on = False
        self._opened: OpenSegment | None = None

    def __call__(self, seen: SourceItem | Entry) -> None:
        """One thing went by."""
        match seen:
            case RunStarting() | RunStarted() | Title() | RunEnded():
                self._said(seen)
            case GapHeld() | GapLine():
                self._missing(seen)
            case SegmentOpen():
                self._records(format=seen.format.plain)
            case SegmentData(is_filled=False) if self._may_go_on:
                self._records(gap=None)
            case Level(slow=False):
                self._board.put_level(seen)
            case Heard(event=SoundEvent(type=EventType.LOUD, edge=edge)):
                self._board.change(self._source, sound=edge is EventEdge.START)
            case SegmentData() | SegmentClose():
                self._show_open_segment()
            case _:
                return

    def _said(self, seen: RunStarting | RunStarted | Title | RunEnded) -> None:
        match seen:
            case RunStarting():
                if self._board.of(self._source).state not in _WAITING:
                    self._state(SourceState.STARTING)
            case RunStarted():
                self._board.change(self._source, format=seen.format.plain, title=None)
            case Title():
                self._board.change(self._source, title=seen.text or None)
            case RunEnded():
                # What has worked since the start will work again; only what never did needs somebody to look at it.
                never_worked = seen.permanent and not self._has_recorded
                state = _STATES.get(seen.cause, SourceState.ERROR if never_worked else SourceState.RECONNECTING)
                error = f"{seen.detail} ({seen.hint})" if seen.hint else seen.detail
                # A file stays open where the audio may go on in it before long.
                self._state(state, last_error=error, open_segment=self._open_segment(), title=None, sound=None)

    def _missing(self, seen: GapHeld | GapLine) -> None:
        gap = self._board.of(self._source).gap
        if isinstance(seen, GapHeld):
            self._may_go_on = True
            self._board.change(self._source, gap=seen.gap)
        elif seen.at == "begin":
            self._board.change(self._source, gap=seen.gap)
        elif seen.at == "end" and gap is not None and gap.id == seen.gap.id:
            self._board.change(self._source, gap=None)

    def _records(self, **changes: object) -> None:
        """There is audio, of a new segment or again of the open one."""
        self._has_recorded, self._may_go_on = True, False
        sound = self._board.of(self._source).sound or (False if self._hears else None)
        changes |= {"open_segment": self._open_segment(), "sound": sound, "last_error": None}
        self._state(SourceState.RECORDING, **changes)

    def _show_open_segment(self) -> None:
        opened = self._open_segment()
        if opened is not self._opened:
            self._opened = opened
            self._board.change(self._source, open_segment=opened)

    def _state(self, state: SourceState, **changes: object) -> None:
        if state is not self._board.of(self._source).state:
            changes["since"] = self._now()
        self._board.change(self._source, state=state, **changes)
