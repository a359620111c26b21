"""The delivery with a real broker: what late, refused and unread messages look like from outside."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import clock
from agent.archive_format.times import rfc3339
from agent.config import DiscoverySettings, MqttSettings, Secret
from agent.model import DiskStatus, FinishedSegment
from agent.mqtt.client import MqttClient
from agent.mqtt.delivery import Delivery
from agent.mqtt.desk import CommandDesk
from agent.mqtt.payloads import BoxFacts
from agent.mqtt.post import Post
from agent.mqtt.topics import Topics
from agent.supervisor import Backoff, Worker
from tests.agent.build import utc
from tests.agent.mqtt.rig import NoTimers, closed, heard, level, protect_nothing
from tests.parts.mosquitto import Broker
from tests.parts.waiting import wait_until
from tests.system.messages import body, in_order, judge, numbers

USERS = {"shed": "secret", "operator": "operator-password"}
RULES = "user operator\ntopic readwrite #\n\nuser shed\n"
INFO = {"v": 1, "ts": rfc3339(utc(0)), "agent": "shed", "name": "", "uid": "", "boot": "", "run": "", "version": ""}
INFO |= {"started": rfc3339(utc(0)), "api": "1.0", "host": "", "tz": "", "sources": [], "limits": {"cmd_bytes": 1}}


class Parts:
    """Delivery and connection under workers, with a clock that can be put forward."""

    def __init__(self, folder: Path, port: int, protocol: str = "auto") -> None:
        self.ahead_s = 0.0
        self.failures: list[str] = []
        topics = Topics("isr", "shed")
        times = {"utc_now": clock.utc_now, "now_s": lambda: clock.monotonic_s() + self.ahead_s}
        desk = CommandDesk({}, lambda _: None, NoTimers(), protect=protect_nothing, **times)  # type: ignore[arg-type, return-value]
        post = Post(folder / "outbox.sqlite", folder / "recordings", (), boot="boot", **times)  # type: ignore[arg-type]
        self.delivery = Delivery(
            topics,
            desk,
            post,
            info=lambda: INFO,
            box=lambda: BoxFacts(DiskStatus(1), None, 1, True),
            started=rfc3339(utc(0)),
            **times,  # type: ignore[arg-type]
        )
        self.client = MqttClient(
            MqttSettings(
                "127.0.0.1",
                port,
                protocol,
                "shed",
                Secret("secret"),
                "isr",
                DiscoverySettings(enabled=False, prefix="homeassistant"),
            ),
            client_id="isr-shed-1",
            will_topic=topics.availability,
            filters=(*topics.commands, topics.availability),
            extra_filters=("homeassistant/status",),
            tell=self.delivery.put,
        )
        self.delivery.use(self.client.publish, self.client.drop)

    @contextmanager
    def saying(self) -> Iterator[None]:
        workers = [
            Worker(
                name,
                work,
                backoff=Backoff(0.2, 1.0),
                on_fault=lambda error, _: self.failures.append(str(error)),
            )
            for name, work in (("delivery", self.delivery.run), ("network", self.client.run))
        ]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            for worker in workers:
                worker.stop()
                assert worker.join(5)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_events_of_an_outage_are_late_and_never_live(tmp_path: Path, protocol: str) -> None:
    broker = Broker(tmp_path / "broker", users=USERS)
    parts = Parts(tmp_path, broker.port, protocol)
    with parts.saying():
        for number in range(1, 31):
            parts.delivery.put(heard(number))
        parts.delivery.put(level(1))
        parts.ahead_s = 61
        parts.delivery.put(heard(31))
        with broker, broker.listen("isr/#", user="operator", as_published=True) as said:
            said.wait_for(lambda message: body_has(message.payload, '"seq":30'), 15, "the last of the backlog")
            parts.delivery.put(level(2, slow=True))
            said.wait_for(lambda message: message.topic.endswith("/level/slow"), 5, "a level")
            judge(said.messages)
            in_order(said.messages)
            late = said.of("isr/shed/src/mic/event/late")
            live = said.of("isr/shed/src/mic/event")
            assert [body(message)["seq"] for message in late] == list(range(1, 31))
            assert [body(message)["seq"] for message in live] == [31]
            assert numbers(said.messages)[0] == 31, "news goes first"
            assert not said.of("isr/shed/src/mic/level"), "a level of an outage"
            # A backlog of thirty takes more than a second, so that no subscriber is flooded.
            assert late[-1].wall_s - late[0].wall_s > 0.9


def body_has(payload: bytes, text: str) -> bool:
    return text.encode() in payload


def test_a_broker_that_lets_us_read_nothing_is_noticed(tmp_path: Path) -> None:
    acl = RULES + "topic write isr/shed/#\n"
    with Broker(tmp_path / "broker", users=USERS, acl_text=acl) as broker:
        parts = Parts(tmp_path, broker.port)
        with broker.listen("isr/#", user="operator", as_published=True) as said, parts.saying():
            notice = said.wait_for(lambda message: message.topic == "isr/shed/notice", 10, "the notice")
            assert body(notice)["code"] == "acl_read_denied"
            judge(said.messages)


def test_ten_thousand_messages_from_four_threads(tmp_path: Path) -> None:
    """No deadlock, no loss, and news at the speed of the broker."""
    with Broker(tmp_path / "broker", users=USERS) as broker:
        parts = Parts(tmp_path, broker.port)
        with broker.listen("isr/shed/src/+/event", user="operator") as said, parts.saying():

            def shout(thread: int) -> None:
                for number in range(150):
                    parts.delivery.put(heard(thread * 1000 + number, f"s{thread}"))
                    for _ in range(15):
                        parts.delivery.put(level(number, source=f"s{thread}"))

            threads = [threading.Thread(target=shout, args=(thread,)) for thread in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            said.wait_for(lambda _: len(said.messages) >= 600, 30, "every event")
            assert sorted(numbers(said.messages)) == list(range(1, 601))
            in_order(said.messages)


def test_a_segment_is_told_at_once(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", users=USERS) as broker:
        parts = Parts(tmp_path, broker.port)
        with broker.listen("isr/#", user="operator") as said, parts.saying():
            said.wait_for(lambda message: message.payload == b"online", 10, "online")
            segment = closed(1).segment
            began_s = clock.monotonic_s()
            parts.delivery.put(FinishedSegment(segment, Path("/x")))
            said.wait_for(lambda message: message.topic == "isr/shed/src/mic/segment", 5, "the segment")
            assert clock.monotonic_s() - began_s < 2


def test_a_broker_that_takes_only_a_few_at_once_gets_no_more(tmp_path: Path) -> None:
    lines = ["max_inflight_messages 3"]
    with Broker(tmp_path / "broker", users=USERS, config_lines=lines) as broker:
        parts = Parts(tmp_path, broker.port)
        with broker.listen("isr/#", user="operator") as said, parts.saying():
            said.wait_for(lambda message: message.payload == b"online", 10, "online")
            assert parts.delivery._post._lanes.window == 3
            for number in range(60):
                parts.delivery.put(heard(number, f"s{number}"))
            said.wait_for(lambda _: len(numbers(said.messages)) == 60, 15, "every event")


def test_what_nobody_listens_to_is_delivered(tmp_path: Path) -> None:
    """The broker says 0x10, no matching subscribers: it has the message, and that is all there is to want."""
    with Broker(tmp_path / "broker", users=USERS) as broker:
        parts = Parts(tmp_path, broker.port)
        with broker.listen("isr/shed/availability", user="operator") as said, parts.saying():
            said.wait_for(lambda message: message.payload == b"online", 10, "online")
            parts.delivery.put(heard(1))
            wait_until(lambda: b"event" in (tmp_path / "broker" / "mosquitto.log").read_bytes(), 5, "the event")
            wait_until(lambda: parts.delivery._post._lanes.depth == 0, 5, "its acknowledgement")
            assert parts.delivery._post.facts().blocked_reason is None
