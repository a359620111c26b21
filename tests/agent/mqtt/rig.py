"""A delivery with a real outbox, whose broker is a list; and what it can be given to say."""

import json
import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.archive_format.times import rfc3339, to_ms
from agent.model import (
    Choice,
    Clock,
    CloseReason,
    Desired,
    DiskStatus,
    EventEdge,
    EventType,
    FinishedSegment,
    Level,
    Outcome,
    Place,
    Segment,
    SoundEvent,
    SourceState,
    SourceStatus,
)
from agent.mqtt.client import Acknowledged, Ready, Received
from agent.mqtt.delivery import Delivery
from agent.mqtt.desk import CommandDesk
from agent.mqtt.extra import Extra
from agent.mqtt.message import Message
from agent.mqtt.payloads import BoxFacts
from agent.mqtt.post import Bounds, Post
from agent.mqtt.topics import Topics
from tests.agent.build import S16_MONO, utc

SRC = "isr/shed/src/mic"
HEALTH = "isr/shed/health"
NOTICE = "isr/shed/notice"


class FakeSource:
    def __init__(self) -> None:
        self.wanted: list[Desired] = []

    def want(self, desired: Desired) -> None:
        self.wanted.append(desired)

    def split(self) -> None:
        return


RIGS: list["Rig"] = []


def clean_up() -> None:
    """Every rig has a folder and an open file."""
    while RIGS:
        rig = RIGS.pop()
        rig.kill()
        shutil.rmtree(rig.folder)


def protect_nothing(choice: Choice, *, on: bool) -> Callable[[], Outcome | None]:
    """Nothing is there that could be protected."""
    del choice, on
    return lambda: Outcome(0, 0)


class NoTimers:
    def set(self, source: str, for_s: float | None) -> None:
        return

    def due(self) -> list[str]:
        return []


class Rig:
    """A delivery whose broker is a list. `accepting` is whether it takes what is published, `answer` what it then
    acknowledges: None is success, a text a refusal, and Ellipsis is silence."""

    def __init__(self, *, extras: tuple[Extra, ...] = (), bounds: Bounds | None = None) -> None:
        self.now_s = 1000.0
        self.published: list[Message] = []
        self.accepting = True
        self.answer: Callable[[Message], Any] = lambda message: None
        self.mid = 0
        self.dropped_connections = 0
        self.box = BoxFacts(DiskStatus(10**9), 48.3, 10**8, True)
        self.source = FakeSource()
        self.status = SourceStatus("mic", "Microphone", "alsa", SourceState.RECORDING, Desired.RECORD, utc(0))
        self.folder = Path(tempfile.mkdtemp())
        RIGS.append(self)
        self.recordings = self.folder / "recordings"
        self.extras = extras
        self.bounds = bounds
        self.boot = "b"
        self.begin()

    def begin(self) -> None:
        """A new process, in the same folder."""
        desk = CommandDesk(
            {"mic": self.source},
            lambda _: self.status,
            NoTimers(),
            protect=protect_nothing,
            utc_now=self.utc_now,
            now_s=lambda: self.now_s,
        )
        self.post = Post(
            self.folder / "outbox.sqlite",
            self.recordings,
            ("mic",),
            boot=self.boot,
            utc_now=self.utc_now,
            now_s=lambda: self.now_s,
            bounds=self.bounds,
        )
        self.delivery = Delivery(
            Topics("isr", "shed"),
            desk,
            self.post,
            info=lambda: {"v": 1},
            box=lambda: self.box,
            started=rfc3339(utc(0)),
            utc_now=self.utc_now,
            now_s=lambda: self.now_s,
            extras=self.extras,
            says_level=lambda source: source != "quiet",
        )
        self.delivery.use(self.publish, self.reconnect)

    def utc_now(self) -> datetime:
        return to_ms(utc(self.now_s))

    def reconnect(self) -> None:
        self.dropped_connections += 1

    def publish(self, message: Message) -> int | None:
        if not self.accepting:
            return None
        self.mid += 1
        self.published.append(message)
        if message.qos and (refused := self.answer(message)) is not ...:
            self.delivery.put(Acknowledged(self.mid, refused))
        return self.mid

    def say(self, *items: Any) -> list[Message]:  # noqa: ANN401 - whatever the delivery takes
        """Hand these over, deal with all of them, and return what was published for it, health aside."""
        before = len(self.published)
        self.delivery.step(0.0)
        for item in items:
            self.delivery.put(item)
        for _ in range(4):
            # What is written is written at most five times a second.
            self.delivery.step(0.0)
            self.now_s += 0.25
        return [message for message in self.published[before:] if message.topic != HEALTH]

    def kill(self) -> None:
        """kill -9: what was not written is gone."""
        if self.post._outbox is not None:
            self.post._outbox.close()
            self.post._outbox = None
        while not self.delivery._inbox.empty():
            self.delivery._inbox.get()

    def connected(self) -> "Rig":
        self.say(self.status, Ready())
        self.say(received(b"online", "isr/shed/availability"))
        self.published.clear()
        return self


def body(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.payload)
    return found


def closed(number: int, source: str = "mic", *, end_s: float | None = None) -> FinishedSegment:
    start = utc(number * 10 if end_s is None else end_s - 10)
    segment = Segment(
        id=f"01920000-0000-7000-8000-{number:012d}",
        agent="shed",
        source=source,
        boot="b",
        run="r",
        file=f"{source}/2026/11/22/{number}.flac",
        container="flac",
        format=S16_MONO,
        start=start,
        end=start + timedelta(seconds=10),
        tz="UTC",
        samples=480_000,
        packets=None,
        bytes=1000,
        payload_offset=86,
        aligned_start=True,
        clock=Clock(True, 0.0, None, 0.0, ((0, start), (480_000, start + timedelta(seconds=10)))),
        reason=CloseReason.BOUNDARY,
    )
    return FinishedSegment(segment, Path("/x"))


def heard(number: int, source: str = "mic") -> SoundEvent:
    return SoundEvent(
        id=f"01920000-0000-7000-8000-{number:012d}",
        pair="01920000-0000-7000-8000-000000000000",
        source=source,
        type=EventType.LOUD,
        edge=EventEdge.START,
        at=utc(number),
        level_dbfs=-18.2,
        max_dbfs=-12.1,
        threshold_dbfs=-20.0,
        place=Place("01920000-0000-7000-8000-000000000001", f"{source}/x.flac", 12.34),
    )


def notices(messages: list[Message]) -> list[dict[str, Any]]:
    return [body(message) for message in messages if message.topic == NOTICE]


def segments(messages: list[Message], topic: str = "segment") -> list[int]:
    """The sequence numbers of the segment messages among these."""
    return [body(message)["seq"] for message in messages if message.topic.endswith(f"/{topic}")]


def received(payload: bytes, topic: str = f"{SRC}/cmd", **properties: Any) -> Received:  # noqa: ANN401 - of Message
    return Received(Message(topic, payload, **properties))


def level(number: float, *, slow: bool = False, source: str = "mic") -> Level:
    return Level(source, utc(number), 10.0 if slow else 1.0, -41.2, -22.9, 0, silent=False, slow=slow)
