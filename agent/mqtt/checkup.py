"""When the health topic is to be said: every minute, and when a problem or a recording comes or goes. Pure."""

from collections.abc import Callable
from datetime import datetime

from agent.model import Notice, NoticeCode, Problem, Severity, SourceState, SourceStatus
from agent.mqtt import payloads

_EVERY_S = 60.0
_FACTS_EVERY_S = 10.0
_LOOK_EVERY_S = 1.0


class Checkup:
    """Looks once a second; asks the box only every ten. `started` is when the agent was, as it is written."""

    def __init__(
        self,
        facts: Callable[[], payloads.BoxFacts],
        notify: Callable[[Notice], None],
        *,
        started: str,
        utc_now: Callable[[], datetime],
        now_s: Callable[[], float],
    ) -> None:
        self._facts, self._notify = facts, notify
        self._started, self._started_s = started, now_s()
        self._utc_now, self._now_s = utc_now, now_s
        self._box: payloads.BoxFacts | None = None
        self._facts_s = self._looked_s = self._said_s = float("-inf")
        self._said: tuple[list[Problem], int] | None = None

    def due(
        self, outbox: Callable[[], payloads.OutboxFacts], link: payloads.LinkFacts, statuses: list[SourceStatus]
    ) -> payloads.Json | None:
        """What to say now, if it is time."""
        now_s = self._now_s()
        if now_s - self._looked_s < _LOOK_EVERY_S:
            return None
        self._looked_s = now_s
        box = self._ask(now_s)
        waiting = outbox()
        recording = sum(status.state is SourceState.RECORDING for status in statuses)
        news = (payloads.problems(box, waiting, statuses), recording)
        if now_s - self._said_s < _EVERY_S and news == self._said:
            return None
        self._said_s, self._said = now_s, news
        return payloads.health(
            self._utc_now(),
            started=self._started,
            uptime_s=now_s - self._started_s,
            box=box,
            outbox=waiting,
            link=link,
            statuses=statuses,
        )

    def again(self) -> None:
        """Say it at the next look."""
        self._said = None
        self._looked_s = float("-inf")

    def _ask(self, now_s: float) -> payloads.BoxFacts:
        if self._box is None or now_s - self._facts_s >= _FACTS_EVERY_S:
            before, self._box, self._facts_s = self._box, self._facts(), now_s
            was_wrong = before is not None and before.clock_synchronized is False
            if self._box.clock_synchronized is False and not was_wrong:
                text = "the clock of the box is not synchronised: times of recordings may be wrong"
                hint = "let an NTP client run, and look whether it reaches its servers"
                self._notify(Notice(NoticeCode.CLOCK_UNSYNCHRONIZED, Severity.WARNING, text, hint))
        return self._box
