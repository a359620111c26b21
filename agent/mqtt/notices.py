"""Notices on their way: kept while there is no connection, and no more often than anybody wants to hear them. Pure."""

from collections import OrderedDict, deque
from datetime import datetime
from typing import NamedTuple

from agent.model import Desired, Notice, NoticeCode, Severity, SourceState, SourceStatus

_KEPT = 100
_AGAIN_S = 600.0
_REMEMBERED = 1000
_LOST = (SourceState.RECONNECTING, SourceState.STALLED, SourceState.ERROR, SourceState.DISK_FULL)


class DatedNotice(NamedTuple):
    """A notice, and when it became known."""

    notice: Notice
    at: datetime


class Notices:
    """The newest hundred that wait. The same code for the same source is taken at most every ten minutes."""

    def __init__(self) -> None:
        self._waiting: deque[DatedNotice] = deque(maxlen=_KEPT)
        self._taken_s: OrderedDict[tuple[NoticeCode, str | None], float] = OrderedDict()

    def put(self, notice: Notice, at: datetime, now_s: float) -> None:
        """Something that is to be known."""
        key = (notice.code, notice.source)
        if now_s - self._taken_s.get(key, -_AGAIN_S) < _AGAIN_S:
            return
        self._taken_s[key] = now_s
        self._taken_s.move_to_end(key)
        if len(self._taken_s) > _REMEMBERED:
            self._taken_s.popitem(last=False)
        self._waiting.append(DatedNotice(notice, at))

    def next(self) -> DatedNotice | None:
        """The oldest that waits; it does not wait any more."""
        return self._waiting.popleft() if self._waiting else None

    def back(self, notices: list[DatedNotice]) -> None:
        """These were lost with the connection."""
        self._waiting = deque([*notices, *self._waiting], maxlen=_KEPT)


def source_notice(before: SourceStatus | None, now: SourceStatus) -> Notice | None:
    """What a change of a source's state is worth: that its audio is lost, and that it is back."""
    was_lost = before is not None and before.state in _LOST
    if now.state in _LOST and not was_lost and now.desired is Desired.RECORD:
        severity = Severity.ERROR if now.state in (SourceState.ERROR, SourceState.DISK_FULL) else Severity.WARNING
        text = f"{now.name} does not record: {now.last_error or now.state}"
        return Notice(NoticeCode.SOURCE_LOST, severity, text, "it is tried again by itself", now.id)
    if was_lost and now.state is SourceState.RECORDING:
        return Notice(NoticeCode.SOURCE_RESTORED, Severity.INFO, f"{now.name} records again", None, now.id)
    return None
