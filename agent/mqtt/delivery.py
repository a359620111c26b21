"""Says what there is to say, in order, whenever there is a connection. One thread; recording only enqueues.

State is retained and said anew after every reconnect. Closed segments wait in memory until the broker has
acknowledged them.
"""

import logging
import queue
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from agent.model import FinishedSegment, Segment, SourceStatus
from agent.mqtt import payloads
from agent.mqtt.client import Acknowledged, Event, Lost, Ready, Received
from agent.mqtt.commands import Answer, answer_json, reply_topic
from agent.mqtt.desk import CommandDesk
from agent.mqtt.message import Message
from agent.mqtt.topics import Topics
from agent.supervisor import StopSignal

_log = logging.getLogger(__name__)
_WINDOW = 10
_WAITING_MAX = 10_000
_TICK_S = 0.25
_COUNTERS_EVERY_S = 60.0
_ANSWER_EXPIRY_S = 60
_OFFLINE_WITHIN_S = 2.0

Publish: TypeAlias = Callable[[Message], int | None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    seq: int
    segment: Segment


class Delivery:
    """Everything the agent says over MQTT. `info` is the payload of the info topic."""

    def __init__(
        self,
        topics: Topics,
        desk: CommandDesk,
        *,
        info: Callable[[], payloads.Json],
        epoch: str,
        utc_now: Callable[[], datetime],
        now_s: Callable[[], float],
    ) -> None:
        self._topics, self._desk, self._info, self._epoch = topics, desk, info, epoch
        self._utc_now, self._now_s = utc_now, now_s
        self._inbox: queue.SimpleQueue[Event | SourceStatus | FinishedSegment] = queue.SimpleQueue()
        self._publish: Publish = lambda _: None
        self._connected = False
        self._statuses: dict[str, SourceStatus] = {}
        self._said_at_s: dict[str, float] = {}
        self._waiting: deque[_Waiting] = deque()
        self._unacknowledged: dict[int, _Waiting] = {}
        self._newest: dict[str, datetime] = {}
        self._seq = self._dropped = 0
        self._leaving = False
        self._farewell: int | None = None

    def use(self, publish: Publish) -> None:
        """Where messages go; set once, before anything happens."""
        self._publish = publish

    def put(self, item: Event | SourceStatus | FinishedSegment) -> None:
        """Hand over something to say, or something that was heard; from any thread, never waits."""
        self._inbox.put(item)

    def run(self, stop: StopSignal) -> None:
        """Work for a worker: until stopped, then say goodbye."""
        while not stop.is_set:
            self.step(_TICK_S)
        self._goodbye()

    def step(self, timeout_s: float) -> None:
        """Deal with one thing; wait for it at most so long."""
        try:
            item = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            item = None
        match item:
            case SourceStatus():
                self._status(item)
            case FinishedSegment():
                self._closed(item)
            case Ready():
                self._ready()
            case Lost():
                self._lost()
            case Acknowledged():
                self._acknowledged(item)
            case Received(message=message):
                self._received(message)
            case None:
                pass
        self._desk.look()
        self._send_waiting()

    def _ready(self) -> None:
        self._connected = True
        _log.info("MQTT: connected")
        self._say(self._topics.availability, payloads.ONLINE)
        self._say(self._topics.info, payloads.encode(self._info()))
        for status in self._statuses.values():
            self._say_source(status)

    def _lost(self) -> None:
        if self._connected:
            _log.warning("MQTT: the connection is lost; recording goes on")
        self._connected = False
        self._waiting.extendleft(reversed(self._unacknowledged.values()))
        self._unacknowledged.clear()

    def _status(self, status: SourceStatus) -> None:
        before = self._statuses.get(status.id)
        self._statuses[status.id] = status
        minute_over = self._now_s() - self._said_at_s.get(status.id, 0.0) >= _COUNTERS_EVERY_S
        if before is None or minute_over or _without_counters(before) != _without_counters(status):
            self._say_source(status)

    def _say_source(self, status: SourceStatus) -> None:
        self._said_at_s[status.id] = self._now_s()
        self._say(self._topics.source(status.id, "availability"), payloads.source_available(status))
        body = payloads.encode(payloads.state(status, self._utc_now()))
        self._say(self._topics.source(status.id, "state"), body)

    def _say(self, topic: str, payload: bytes) -> None:
        if self._connected:
            self._publish(Message(topic, payload, retain=True))

    def _closed(self, finished: FinishedSegment) -> None:
        segment = finished.segment
        self._newest[segment.source] = max(segment.start, self._newest.get(segment.source, segment.start))
        self._seq += 1
        self._waiting.append(_Waiting(self._seq, segment))
        if len(self._waiting) > _WAITING_MAX:
            self._waiting.popleft()
            self._dropped += 1
            _log.error("MQTT: %d segment messages dropped, the broker is away for too long", self._dropped)

    def _send_waiting(self) -> None:
        while self._connected and self._waiting and len(self._unacknowledged) < _WINDOW:
            waiting = self._waiting[0]
            segment = waiting.segment
            body = payloads.segment(segment, self._utc_now(), seq=waiting.seq, epoch=self._epoch)
            payload = payloads.encode(body)
            mid = self._publish(Message(self._topics.source(segment.source, "segment"), payload))
            if mid is None:
                return
            self._waiting.popleft()
            self._unacknowledged[mid] = waiting
            # A correction of an older segment, or one of a backlog, is not the newest.
            if segment.start >= self._newest.get(segment.source, segment.start):
                self._say(self._topics.source(segment.source, "segment/last"), payload)

    def _acknowledged(self, event: Acknowledged) -> None:
        if event.mid == self._farewell:
            self._farewell = None
        waiting = self._unacknowledged.pop(event.mid, None)
        if event.refused is not None:
            what = f"segment message {waiting.seq}" if waiting else "a message"
            _log.error("MQTT: the broker refuses %s: %s; check its access rules", what, event.refused)

    def _received(self, message: Message) -> None:
        if message.topic == self._topics.availability:
            if message.payload != payloads.ONLINE and not self._leaving:
                self._say(self._topics.availability, payloads.ONLINE)
            return
        if not message.payload:
            return
        source = self._topics.commanded_source(message.topic)
        if message.retain:
            # Nobody knows how old it is: told, and cleared, never carried out.
            self._say(message.topic, b"")
            self._reply(Answer("failed", "retained", "a retained command is not carried out", None, source), None, None)
            return
        wanted = message.response_topic
        topic = None if wanted is None else reply_topic(wanted, root=self._topics.root, agent=self._topics.agent)
        if wanted is not None and topic is None:
            self._reply(Answer("failed", "bad_reply_topic", "no answer can go there", None, source), None, None)
            return
        self._desk.take(message, source, lambda answer: self._reply(answer, topic, message.correlation))

    def _reply(self, answer: Answer, topic: str | None, correlation: bytes | None) -> None:
        body = payloads.encode(answer_json(answer, self._utc_now()))
        self._publish(
            Message(topic or self._topics.responses, body, correlation=correlation, expiry_s=_ANSWER_EXPIRY_S)
        )

    def _goodbye(self) -> None:
        """Say the last states, then `offline`, and wait a little until the broker has it."""
        deadline_s = self._now_s() + _OFFLINE_WITHIN_S
        while not self._inbox.empty() or (self._connected and (self._waiting or self._unacknowledged)):
            if self._now_s() >= deadline_s:
                break
            self.step(0.05)
        if not self._connected:
            return
        self._leaving = True
        self._farewell = self._publish(Message(self._topics.availability, payloads.OFFLINE, retain=True))
        while self._farewell is not None and self._connected and self._now_s() < deadline_s:
            self.step(0.05)


def _without_counters(status: SourceStatus) -> SourceStatus:
    """What of a status is worth a message when it changes."""
    opened = status.open_segment
    return replace(status, open_segment=None if opened is None else replace(opened, samples_safe=0, bytes_safe=0))
