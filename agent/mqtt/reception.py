"""What comes in on the command topics, up to the desk: nothing retained, nothing to a foreign topic, not too much."""

from collections.abc import Callable
from datetime import datetime

from agent.model import Notice, NoticeCode, Severity
from agent.mqtt import payloads
from agent.mqtt.commands import PER_SECOND_MAX, Answer, answer_json, reply_topic
from agent.mqtt.desk import CommandDesk
from agent.mqtt.message import Message
from agent.mqtt.topics import Topics

_ANSWER_EXPIRY_S = 60
_SECOND_S = 1.0


class Reception:
    """Used by one thread. `publish` sends an answer, `notify` takes what somebody should know."""

    def __init__(
        self,
        topics: Topics,
        desk: CommandDesk,
        publish: Callable[[Message], object],
        notify: Callable[[Notice], None],
        *,
        utc_now: Callable[[], datetime],
        now_s: Callable[[], float],
    ) -> None:
        self._topics, self._desk = topics, desk
        self._publish, self._notify = publish, notify
        self._utc_now, self._now_s = utc_now, now_s
        self.dropped = 0
        self._since_s = float("-inf")
        self._taken = self._surplus = 0

    def take(self, message: Message) -> None:
        """A message on a command topic."""
        if not message.payload:
            return
        self.look()
        if self._taken >= PER_SECOND_MAX:
            self._surplus += 1
            self.dropped += 1
            return
        self._taken += 1
        source = self._topics.commanded_source(message.topic)
        if message.retain:
            self._retained(message.topic, source)
            return
        wanted = message.response_topic
        topic = None if wanted is None else reply_topic(wanted, root=self._topics.root, agent=self._topics.agent)
        if wanted is not None and topic is None:
            self._reply(Answer("failed", "bad_reply_topic", "no answer can go there", None, source), None, None)
            return
        self._desk.take(message, source, lambda answer: self._reply(answer, topic, message.correlation))

    def look(self) -> None:
        """A second over: what was too much in it is answered, once for all of it."""
        if self._now_s() - self._since_s < _SECOND_S:
            return
        if self._surplus:
            text = f"{self._surplus} commands were dropped: more than {PER_SECOND_MAX} came in a second"
            self._reply(Answer("failed", "busy", text, None, None), None, None)
        self._since_s, self._taken, self._surplus = self._now_s(), 0, 0

    def _retained(self, topic: str, source: str | None) -> None:
        """Nobody knows how old it is: told, and cleared, never carried out."""
        self._publish(Message(topic, b"", retain=True))
        self._reply(Answer("failed", "retained", "a retained command is not carried out", None, source), None, None)
        text = f"a retained command was found on {topic}; it was not carried out, and is cleared"
        self._notify(
            Notice(NoticeCode.RETAINED_COMMAND, Severity.WARNING, text[:200], "send commands without the retain flag")
        )

    def _reply(self, answer: Answer, topic: str | None, correlation: bytes | None) -> None:
        body = payloads.encode(answer_json(answer, self._utc_now()))
        self._publish(
            Message(topic or self._topics.responses, body, correlation=correlation, expiry_s=_ANSWER_EXPIRY_S)
        )
