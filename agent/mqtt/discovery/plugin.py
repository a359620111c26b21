"""When Home Assistant is told what: after every connection, at its birth, and when something was removed.

Its habits are written down in `docs/home-assistant.md`. It subscribes half a second after a new message, and a second
message for a device in the middle of that may be skipped in part.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from agent.mqtt.discovery.device import config_topic, configs, source_of
from agent.mqtt.discovery.entity import Box, RecordedSource
from agent.mqtt.discovery.memory import Memory
from agent.mqtt.discovery.ownership import Announced, announced, components_of, identifiers_of, read_own
from agent.mqtt.extra import Said, SayAgain
from agent.mqtt.message import Message
from agent.mqtt.payloads import ONLINE, Json, encode

_SETTLED_S = 2.0
"""Home Assistant has taken a message in by then."""
_READ_BACK_S = 1.0
"""What the broker kept of us has come by then. A new message before an old one of another uid is cleared would leave
Home Assistant with both."""
_JITTER_S = 5.0
_BETWEEN_BIRTHS_S = 30.0
_RETAINED = ("state", "availability", "segment/last")

_NEVER = float("inf")


class Discovery:
    """An `Extra` of the delivery, whose thread alone uses it. `jitter` gives a number from 0 to 1.

    Not `enabled`, it takes back what was announced before.
    """

    def __init__(
        self,
        box: Box,
        sources: Sequence[RecordedSource],
        *,
        prefix: str,
        enabled: bool,
        memory: Memory,
        jitter: Callable[[], float],
    ) -> None:
        self._box, self._memory, self._jitter = box, memory, jitter
        self._birth = f"{prefix}/status"
        self.filters = (self._birth, config_topic(prefix, box, "+")) if enabled else (config_topic(prefix, box, "+"),)
        self._wanted: dict[str, Json] = configs(prefix, box, sources) if enabled else {}
        self._in_use = {source.topic(leaf) for source in sources for leaf in _RETAINED}
        self._plan_s: dict[str, float] = {}
        self._said_at_s: dict[str, float] = {}
        self._leaving: dict[str, dict[str, str]] = {topic: {} for topic in self._wanted}
        self._unwanted: dict[str, Announced] = {}
        self._cleared: set[str] = set()
        self._birth_at_s = self._settle_at_s = _NEVER
        self._born_at_s = -_NEVER
        self._states_with_round = False

    def announce(self, now_s: float) -> Iterable[Said]:
        """Plans everything anew; `due` says it, behind what the agent itself says after a connection."""
        # Added to what was heard already: a broker may send what it kept before it confirms the subscription.
        for topic, device in self._memory.devices.items():
            if topic in self._wanted:
                self._leave(topic, device.components)
            else:
                self._unwanted.setdefault(topic, device)
        self._plan_s = dict.fromkeys(self._wanted, now_s + _READ_BACK_S)
        self._cleared = set()
        self._birth_at_s = self._settle_at_s = _NEVER
        return ()

    def on_message(self, message: Message, now_s: float) -> Iterable[Said]:
        """Home Assistant was born, or the broker kept a message of a former configuration."""
        if message.topic == self._birth:
            if message.payload.strip() == ONLINE and self._birth_at_s == _NEVER:
                soon_s = now_s + _JITTER_S * self._jitter()
                self._birth_at_s = max(soon_s, self._born_at_s + _BETWEEN_BIRTHS_S)
            return ()
        # Not retained is the echo of our own, or empty: somebody deleted the device in Home Assistant, so be it.
        if message.retain and message.payload:
            self._read_back(message, now_s)
        return ()

    def due(self, now_s: float) -> Iterable[Said]:
        """What is to be said by now."""
        if now_s >= self._birth_at_s:
            self._birth_at_s, self._born_at_s = _NEVER, now_s
            self._plan_s = dict.fromkeys(self._wanted, now_s)
            self._states_with_round = True
        said: list[Said] = [*self._clear(now_s), *self._say_configs(now_s)]
        if self._states_with_round and said:
            self._states_with_round = False
            said.append(SayAgain())
        if now_s >= self._settle_at_s and not self._plan_s:
            self._settle_at_s = _NEVER
            self._memory.keep({topic: self._announced(topic) for topic in self._wanted})
            if self._wanted:
                said.append(SayAgain())
        return said

    def _read_back(self, message: Message, now_s: float) -> None:
        config = read_own(message.payload, self._box)
        if config is None:
            return
        topic = message.topic
        if topic not in self._wanted:
            self._unwanted.setdefault(topic, announced(config, self._retained(topic)))
        elif identifiers_of(config) != identifiers_of(self._wanted[topic]):
            # The state folder was lost, and with it the uid: Home Assistant has to forget the old ids first.
            self._unwanted.setdefault(topic, Announced({}))
            self._plan_s.setdefault(topic, now_s)
        elif self._leave(topic, components_of(config)):
            self._plan_s.setdefault(topic, now_s)

    def _leave(self, topic: str, known: Mapping[str, str]) -> bool:
        """Note which of the components that Home Assistant knows are to go; whether there are any."""
        gone = {key: known[key] for key in known.keys() - self._wanted[topic]["components"].keys()}
        self._leaving[topic].update(gone)
        return bool(gone)

    def _clear(self, now_s: float) -> Iterator[Message]:
        for topic, device in self._unwanted.items():
            # Once: Home Assistant complains about the removal of what it does not know.
            if topic in self._cleared:
                continue
            self._cleared.add(topic)
            self._said_at_s[topic] = now_s
            self._settle_at_s = now_s + _SETTLED_S
            for emptied in (topic, *device.retained):
                if emptied not in self._in_use:
                    yield Message(emptied, b"", retain=True)
        self._unwanted = {}

    def _say_configs(self, now_s: float) -> list[Message]:
        ready = [topic for topic in self._wanted if self._is_ready(topic, now_s)]
        agent = next(iter(self._wanted), None)
        if not ready or (agent in self._plan_s and agent not in ready):
            return []
        self._remember(ready)
        self._settle_at_s = now_s + _SETTLED_S
        return [self._config(topic, now_s) for topic in ready]

    def _is_ready(self, topic: str, now_s: float) -> bool:
        return now_s >= max(self._plan_s.get(topic, _NEVER), self._said_at_s.get(topic, -_NEVER) + _SETTLED_S)

    def _config(self, topic: str, now_s: float) -> Message:
        """The message of a device. What leaves it is named with its platform alone once, and next time no more."""
        config, leaving = self._wanted[topic], self._leaving[topic]
        components = {**config["components"], **{key: {"platform": leaving[key]} for key in sorted(leaving)}}
        self._said_at_s[topic] = now_s
        self._leaving[topic] = {}
        del self._plan_s[topic]
        if leaving:
            self._plan_s[topic] = now_s + _SETTLED_S
        return Message(topic, encode({**config, "components": components}), retain=True)

    def _remember(self, topics: Iterable[str]) -> None:
        """Before they are said, and with what is still to be taken back; `due` forgets that when all has settled."""
        devices = dict(self._memory.devices)
        for topic in topics:
            now = self._announced(topic)
            before = devices[topic].components if topic in devices else {}
            devices[topic] = Announced({**before, **self._leaving[topic], **now.components}, now.retained)
        self._memory.keep(devices)

    def _announced(self, topic: str) -> Announced:
        return announced(self._wanted[topic], self._retained(topic))

    def _retained(self, topic: str) -> tuple[str, ...]:
        source = source_of(topic)
        if source is None:
            return ()
        return tuple(self._box.topics.source(source, leaf) for leaf in _RETAINED)
