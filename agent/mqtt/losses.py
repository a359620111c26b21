"""What is told of an outbox that is not well; and what it had to drop, and when somebody is told of that. Pure."""

from agent.model import Notice, NoticeCode, Severity
from agent.mqtt.lanes import Lane
from agent.mqtt.rows import Dropped

_TOLD_AGAIN_S = 600.0
_LATELY_S = 3600.0


class Losses:
    """Counts since the agent's start; `untold` is what nobody has been told of, over restarts too."""

    def __init__(self) -> None:
        self.untold: Dropped | None = None
        self.count = 0
        self._unnumbered = 0
        self._lost_s = self._told_s = float("-inf")

    def add(self, gone: Dropped | None, now_s: float) -> None:
        """These numbers will never be said; None: a message that had none yet."""
        self._lost_s = now_s
        if gone is None:
            self._unnumbered += 1
            self.count += 1
        else:
            self.untold = gone.and_then(self.untold)
            self.count += gone.count

    def lately(self, now_s: float) -> bool:
        """Whether something was dropped within the last hour."""
        return now_s - self._lost_s < _LATELY_S

    def notice(self, now_s: float) -> Notice | None:
        """What to tell now that somebody may hear it; then it is told."""
        if (self.untold is None and not self._unnumbered) or now_s - self._told_s < _TOLD_AGAIN_S:
            return None
        parts = []
        if self.untold is not None:
            gone = self.untold
            parts.append(f"{gone.count} messages dropped between seq {gone.first_seq} and {gone.last_seq}")
        if self._unnumbered:
            parts.append(f"{self._unnumbered} dropped before they had a seq")
        self._told_s, self.untold, self._unnumbered = now_s, None, 0
        hint = "the recordings are all there; the archive lists them"
        return Notice(NoticeCode.OUTBOX_OVERFLOW, Severity.ERROR, "; ".join(parts), hint)


def begins(epoch: str) -> Notice:
    """An outbox without a memory of what was told before."""
    text = f"a new outbox begins (epoch {epoch}): segments closed before are not told again"
    return Notice(NoticeCode.OUTBOX_NEW, Severity.INFO, text, "the archive lists them")


def blocked(lane: Lane, reason: str) -> Notice:
    """A topic that the broker refuses."""
    text = f"the broker refuses src/{lane.source}/{lane.leaf}: {reason}; what is to be said there is kept"
    hint = "check the access rules of the broker; it is tried again every five minutes"
    return Notice(NoticeCode.OUTBOX_BLOCKED, Severity.ERROR, text, hint, lane.source)


def broken(why: str, aside: str, waiting: int) -> Notice:
    """A file that cannot be read."""
    text = f"the outbox was broken ({why}); it is kept as {aside}, and a new one begins"
    hint = f"{waiting} messages were waiting in it" if waiting else "what was waiting in it is not told"
    return Notice(NoticeCode.OUTBOX_BROKEN, Severity.ERROR, text, hint)


def unwritable(why: str) -> Notice:
    """A disk that takes nothing."""
    hint = "make room on the disk of the state directory; recording goes on"
    return Notice(NoticeCode.OUTBOX_UNWRITABLE, Severity.ERROR, f"the outbox cannot be written: {why}", hint)
