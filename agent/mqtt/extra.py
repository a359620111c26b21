"""What else may speak and listen on the agent's connection, for example Home Assistant discovery."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from agent.mqtt.message import Message


@dataclass(frozen=True, slots=True)
class SayAgain:
    """Asks the delivery to say the agent's availability, info, health and every source's state again, at this place.

    Last levels and events are not repeated: they were true then.
    """


Said: TypeAlias = Message | SayAgain
"""What an extra wants said, in order. A message with an empty payload and `retain` clears a topic."""


class Extra(Protocol):
    """Called by the delivery thread alone, only while connected; must not block, must not raise.

    `now_s` is monotonic. Nothing that is returned is kept: what was lost with a connection is said by the next
    `announce`.
    """

    @property
    def filters(self) -> tuple[str, ...]:
        """Topics to subscribe to beside the agent's own; asked once, before the first connection. None of them may
        match a command topic or the agent's availability. A refused one is noticed, and the rest goes on."""
        ...

    def announce(self, now_s: float) -> Iterable[Said]:
        """Said first thing after every connection (before the agent's own `online`, which follows by itself), and at
        the command `refresh`."""
        ...

    def on_message(self, message: Message, now_s: float) -> Iterable[Said]:
        """A message on one of `filters`; `message.retain` marks one that the broker had kept. The answer is said at
        once; what is to be said later (jitter) comes out of `due`."""
        ...

    def due(self, now_s: float) -> Iterable[Said]:
        """Asked several times a second: what is to be said by now, each thing once."""
        ...
