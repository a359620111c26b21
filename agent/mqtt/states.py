"""What is said of each source: whether it delivers, and its state. Pure."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from agent.model import SourceStatus
from agent.mqtt import payloads
from agent.mqtt.message import Message
from agent.mqtt.topics import Topics

_COUNTERS_EVERY_S = 60.0


class States:
    """The latest status of every source; what changes but its counters is said at once, those every minute."""

    def __init__(self, topics: Topics, *, utc_now: Callable[[], datetime], now_s: Callable[[], float]) -> None:
        self._topics, self._utc_now, self._now_s = topics, utc_now, now_s
        self._statuses: dict[str, SourceStatus] = {}
        self._said_at_s: dict[str, float] = {}
        self._unsaid: set[str] = set()

    def of(self, source: str) -> SourceStatus | None:
        """The latest status of a source."""
        return self._statuses.get(source)

    def all(self) -> list[SourceStatus]:
        """Of every source."""
        return list(self._statuses.values())

    def put(self, status: SourceStatus) -> list[Message]:
        """A status came: what there is to say of it."""
        before = self._statuses.get(status.id)
        self._statuses[status.id] = status
        if before is None or _without_counters(before) != _without_counters(status):
            return self._said(status)
        self._unsaid.add(status.id)
        return self.due()

    def due(self) -> list[Message]:
        """Counters that have waited for their minute."""
        over_s = self._now_s() - _COUNTERS_EVERY_S
        ready = [source for source in self._unsaid if self._said_at_s.get(source, 0.0) <= over_s]
        return [message for source in sorted(ready) for message in self._said(self._statuses[source])]

    def again(self) -> list[Message]:
        """Everything there is to say of every source."""
        return [message for status in self._statuses.values() for message in self._said(status)]

    def _said(self, status: SourceStatus) -> list[Message]:
        self._said_at_s[status.id] = self._now_s()
        self._unsaid.discard(status.id)
        body = payloads.encode(payloads.state(status, self._utc_now()))
        return [
            Message(self._topics.source(status.id, "availability"), payloads.source_available(status), retain=True),
            Message(self._topics.source(status.id, "state"), body, retain=True),
        ]


def _without_counters(status: SourceStatus) -> SourceStatus:
    """What of a status is worth a message when it changes."""
    opened = status.open_segment
    safe = None if opened is None else replace(opened, samples_safe=0, bytes_safe=0, end=None)
    return replace(status, open_segment=safe, today=None, missing_total_s=None)
