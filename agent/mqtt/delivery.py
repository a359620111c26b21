"""Says what there is to say, in order, whenever there is a connection. One thread; recording only enqueues.

State is retained and said anew after every reconnect. Segments and events go through the outbox (post.py), levels are
said while somebody may hear them and are never kept.
"""

import logging
import queue
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeAlias

from agent.model import FinishedSegment, Level, Notice, NoticeCode, Severity, SoundEvent, SourceStatus
from agent.mqtt import payloads
from agent.mqtt.checkup import Checkup
from agent.mqtt.client import Acknowledged, Event, Lost, Ready, Received
from agent.mqtt.desk import CommandDesk
from agent.mqtt.extra import Extra, Said, SayAgain
from agent.mqtt.message import Message
from agent.mqtt.notices import DatedNotice, Notices, source_notice
from agent.mqtt.post import Letter, Post
from agent.mqtt.reception import Reception
from agent.mqtt.states import States
from agent.mqtt.topics import Topics, matches
from agent.supervisor import StopSignal

_log = logging.getLogger(__name__)
_TICK_S = 0.25
_AT_ONCE = 200
_INBOX_MAX = 10_000
_ECHO_WITHIN_S = 5.0
_ACKNOWLEDGED_WITHIN_S = 30.0
_OFFLINE_WITHIN_S = 2.0

Publish: TypeAlias = Callable[[Message], int | None]
Item: TypeAlias = Event | SourceStatus | FinishedSegment | SoundEvent | Level | Notice
Waiting: TypeAlias = Letter | DatedNotice | str
"""What an acknowledgement is awaited for: a letter, a notice, or whatever else was said on a topic."""


class Delivery:
    """Everything the agent says over MQTT. `info` is the payload of the info topic, `box` the facts for health;
    `says_level` tells whether the fast levels of a source are wanted."""

    def __init__(
        self,
        topics: Topics,
        desk: CommandDesk,
        post: Post,
        *,
        info: Callable[[], payloads.Json],
        box: Callable[[], payloads.BoxFacts],
        started: str,
        utc_now: Callable[[], datetime],
        now_s: Callable[[], float],
        extras: tuple[Extra, ...] = (),
        says_level: Callable[[str], bool] = lambda _source: True,
    ) -> None:
        self._topics, self._desk, self._post, self._info = topics, desk, post, info
        self._utc_now, self._now_s = utc_now, now_s
        self._extras, self._says_level = extras, says_level
        self._inbox: queue.SimpleQueue[tuple[Item, float]] = queue.SimpleQueue()
        self._publish: Publish = lambda _: None
        self._reconnect: Callable[[], None] = lambda: None
        self._notices = Notices()
        self._checkup = Checkup(box, self._note, started=started, utc_now=utc_now, now_s=now_s)
        self._reception = Reception(topics, desk, self._send, self._note, utc_now=utc_now, now_s=now_s)
        self._connected = False
        self._connections = 0
        self._last_error: str | None = None
        self._states = States(topics, utc_now=utc_now, now_s=now_s)
        self._levels: dict[tuple[str, bool], Level] = {}
        self._waiting: dict[int, tuple[Waiting, float]] = {}
        self._echo_by_s: float | None = None
        self._refresh = self._leaving = False
        post.notify = self._note
        desk.refresh = self._ask_refresh

    @property
    def extra_filters(self) -> tuple[str, ...]:
        """What the extras want to hear."""
        return tuple(name for extra in self._extras for name in extra.filters)

    def use(self, publish: Publish, reconnect: Callable[[], None] = lambda: None) -> None:
        """Where messages go, and what ends a connection on which nothing is acknowledged any more; set once, before
        anything happens."""
        self._publish, self._reconnect = publish, reconnect

    def put(self, item: Item) -> None:
        """Hand over something to say, or something that was heard; from any thread, never waits."""
        if isinstance(item, Level | Received) and self._inbox.qsize() > _INBOX_MAX:
            return  # the disk hangs, and nothing of this would be news when it does not any more
        self._inbox.put((item, self._now_s()))

    def run(self, stop: StopSignal) -> None:
        """Work for a worker: until stopped, then say goodbye."""
        self._post.stopping = lambda: stop.is_set
        while not stop.is_set:
            self.step(_TICK_S)
        self._goodbye()

    def step(self, timeout_s: float) -> None:
        """Deal with what came, wait for it at most so long; then say what is due."""
        self._post.step()
        try:
            item, known_s = self._inbox.get(timeout=min(timeout_s, self._post.patience_s))
            self._deal(item, known_s)
            for _ in range(_AT_ONCE):
                item, known_s = self._inbox.get_nowait()
                self._deal(item, known_s)
        except queue.Empty:
            pass
        self._desk.look()
        self._post.step()
        if self._connected:
            self._say_due()

    def _deal(self, item: Item, known_s: float) -> None:
        known_at = self._utc_now()
        match item:
            case SourceStatus():
                self._status(item)
            case FinishedSegment(segment=segment):
                self._post.put_segment(segment, known_s, known_at)
            case SoundEvent():
                self._post.put_event(item, known_s, known_at)
            case Level():
                if self._connected and (item.slow or self._says_level(item.source)):
                    self._levels[item.source, item.slow] = item
            case Notice():
                self._note(item)
            case Ready():
                self._ready(item)
            case Lost():
                self._lost(item.reason)
            case Acknowledged():
                self._acknowledged(item)
            case Received(message=message):
                self._received(message)

    # --- the connection ----------------------------------------------------------------------------------------------

    def _ready(self, ready: Ready) -> None:
        self._connected = True
        self._connections += 1
        _log.info("MQTT: connected")
        self._post.connected(ready.receive_maximum)
        self._echo_by_s = self._now_s() + _ECHO_WITHIN_S
        if ready.refused:
            text = f"the broker refuses to let the agent read {', '.join(ready.refused)}"
            hint = "check its access rules; what needs these topics (Home Assistant) does not work fully"
            self._note(Notice(NoticeCode.ACL_READ_DENIED, Severity.WARNING, text, hint))
        self._announce()

    def _announce(self) -> None:
        """Everything that a late joiner needs."""
        for extra in self._extras:
            self._say_all(extra.announce(self._now_s()))
        self._say_again()

    def _say_again(self) -> None:
        self._say(self._topics.availability, payloads.ONLINE)
        self._say(self._topics.info, payloads.encode(self._info()))
        self._say_all(self._states.again())
        self._checkup.again()

    def _ask_refresh(self) -> None:
        self._refresh = True

    def _lost(self, reason: str | None) -> None:
        if self._connected:
            _log.warning("MQTT: the connection is lost; recording goes on")
        self._connected = False
        self._last_error = reason or self._last_error
        self._echo_by_s = None
        self._levels.clear()
        self._post.lost()
        self._notices.back([one for one, _ in self._waiting.values() if isinstance(one, DatedNotice)])
        self._waiting.clear()

    def _acknowledged(self, event: Acknowledged) -> None:
        what, _ = self._waiting.pop(event.number, (None, 0.0))
        if isinstance(what, Letter):
            if event.refused is None:
                self._post.acknowledged(what)
            else:
                self._post.refused(what, event.refused)
        elif what is not None and event.refused is not None:
            topic = self._topics.notices if isinstance(what, DatedNotice) else what
            text = f"the broker refuses {topic}: {event.refused}"
            _log.error("MQTT: %s; check its access rules", text)
            if topic != self._topics.notices:
                hint = "check the access rules of the broker"
                self._note(Notice(NoticeCode.ACL_WRITE_DENIED, Severity.ERROR, text, hint))

    def _received(self, message: Message) -> None:
        if message.topic == self._topics.availability:
            if message.payload == payloads.ONLINE:
                self._echo_by_s = None
            elif not self._leaving:
                self._say(self._topics.availability, payloads.ONLINE)
        elif self._topics.is_command(message.topic):
            self._reception.take(message)
        else:
            for extra in self._extras:
                if any(matches(name, message.topic) for name in extra.filters):
                    self._say_all(extra.on_message(message, self._now_s()))

    # --- saying ------------------------------------------------------------------------------------------------------

    def _say_due(self) -> None:
        """What there is to say while there is a connection; what just happened before what is told for the record."""
        now_s = self._now_s()
        self._reception.look()
        if self._refresh:
            self._refresh = False
            self._announce()
        for extra in self._extras:
            self._say_all(extra.due(now_s))
        self._say_all(self._states.due())
        self._send_letters()
        self._say_levels()
        self._say_health()
        self._send_notices()
        if self._echo_by_s is not None and now_s >= self._echo_by_s:
            self._echo_by_s = None
            text = f"what is published on {self._topics.availability} does not come back: the agent may not read it"
            hint = "let the agent's user read its commands and its own availability, or no command will arrive"
            self._note(Notice(NoticeCode.ACL_READ_DENIED, Severity.ERROR, text, hint))
        oldest_s = next(iter(self._waiting.values()))[1] if self._waiting else now_s
        if now_s - oldest_s > _ACKNOWLEDGED_WITHIN_S:
            _log.warning("MQTT: the broker acknowledges nothing any more; a new connection is made")
            self._waiting = {mid: (what, now_s) for mid, (what, _) in self._waiting.items()}
            self._reconnect()

    def _status(self, status: SourceStatus) -> None:
        if (notice := source_notice(self._states.of(status.id), status)) is not None:
            self._note(notice)
        self._say_all(self._states.put(status))

    def _say_all(self, said: Iterable[Said]) -> None:
        for one in said:
            if isinstance(one, SayAgain):
                self._say_again()
            else:
                self._send(one)

    def _say_levels(self) -> None:
        for (source, slow), level in self._levels.items():
            topic = self._topics.source(source, "level/slow" if slow else "level")
            self._send(Message(topic, payloads.encode(payloads.level(level)), qos=0))
        self._levels.clear()

    def _say_health(self) -> None:
        link = payloads.LinkFacts(max(0, self._connections - 1), self._last_error, self._reception.dropped)
        health = self._checkup.due(self._post.facts, link, self._states.all())
        if health is not None:
            self._send(Message(self._topics.health, payloads.encode(health), qos=0, retain=True))

    def _send_letters(self) -> None:
        while (letter := self._post.next()) is not None:
            # The retained one first: once the segment is acknowledged, nothing of it is left to be said.
            topic = self._topics.source(letter.lane.source, letter.lane.leaf)
            if letter.is_last:
                self._say(f"{topic}/last", letter.payload)
            if self._send(Message(topic, letter.payload), letter) is None:
                return
            self._post.sent(letter)

    def _send_notices(self) -> None:
        while (dated := self._notices.next()) is not None:
            body = payloads.encode(payloads.notice(dated.notice, dated.at))
            if self._send(Message(self._topics.notices, body), dated) is None:
                self._notices.back([dated])
                return

    def _say(self, topic: str, payload: bytes) -> None:
        self._send(Message(topic, payload, retain=True))

    def _send(self, message: Message, what: Waiting | None = None) -> int | None:
        """Publish now or never; None where there is no connection."""
        mid = self._publish(message) if self._connected else None
        if mid is not None and message.qos:
            self._waiting[mid] = (what or message.topic, self._now_s())
        return mid

    def _note(self, notice: Notice) -> None:
        self._notices.put(notice, self._utc_now(), self._now_s())

    def _goodbye(self) -> None:
        """Say the last states, then `offline`, and wait a little until the broker has it."""
        deadline_s = self._now_s() + _OFFLINE_WITHIN_S
        self._post.hurry()
        while not self._inbox.empty() or (self._connected and (self._waiting or self._post.has_fresh())):
            if self._now_s() >= deadline_s:
                break
            self.step(0.05)
        self._leaving = True
        farewell = self._send(Message(self._topics.availability, payloads.OFFLINE, retain=True))
        while farewell in self._waiting and self._now_s() < deadline_s:
            self.step(0.05)
        self._post.close()
