"""A broker that is away, refuses, or is silent, and an agent that is killed: nothing that was recorded stays untold."""

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.parts.mosquitto import Broker, Listener
from tests.parts.waiting import wait_until
from tests.system.messages import body, in_order, judge, numbers
from tests.system.running import Json, RunningAgent

SOURCES = ("a", "b", "c", "d", "e", "f")
USERS = {"shed": "secret", "operator": "operator-password"}
RULES = "user operator\ntopic readwrite #\n\nuser shed\n"
CONFIG = """
agent: {{id: shed}}
recording: {{period: 5s}}
mqtt: {{host: 127.0.0.1, port: {port}, username: shed, password: secret}}
sources:
"""


def config_for(port: int, sources: tuple[str, ...]) -> str:
    lines = "".join(f"  - {{id: {source}, type: test, sample_rate: 8000}}\n" for source in sources)
    return CONFIG.format(port=port) + lines


def sidecars(agent: RunningAgent) -> list[Json]:
    return [sidecar for source in SOURCES for sidecar in agent.segments(source)]


def wait_for_segments(agent: RunningAgent, count: int) -> None:
    wait_until(lambda: len(sidecars(agent)) >= count, 30, f"{count} segments")


def told(said: Listener) -> set[str]:
    return {str(body(message)["id"]) for message in said.messages if message.topic.endswith("/segment")}


def test_thirty_segments_of_an_outage_arrive_through_two_kills(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker", users=USERS)
    agent = RunningAgent(tmp_path / "agent", config_for(broker.port, SOURCES))
    with agent:
        with broker, broker.listen("isr/#", user="operator", as_published=True) as before:
            before.wait_for(lambda message: message.topic.endswith("/segment"), 20, "a segment while all is well")
        known = len(sidecars(agent))
        for more in (10, 20):
            wait_for_segments(agent, known + more)
            agent.kill()
            agent.start()
        wait_for_segments(agent, known + 30)
        # Nobody may be quicker than the listener.
        agent.part.send_signal(signal.SIGSTOP)
        with broker, broker.listen("isr/#", user="operator", as_published=True) as after:
            agent.part.send_signal(signal.SIGCONT)
            outage = {str(sidecar["id"]) for sidecar in sidecars(agent)}
            wait_until(lambda: outage <= told(before) | told(after), 45, "every segment on disk to be told")
            assert agent.stop() == 0
            assert {str(sidecar["id"]) for sidecar in sidecars(agent)} <= told(before) | told(after)
    assert waiting(agent) == 0
    judge([*before.messages, *after.messages])
    said = [*before.messages, *after.messages]
    seqs = set(numbers(said))
    assert seqs == set(range(1, max(seqs) + 1)), "a hole"
    in_order(said)
    assert len(epochs(before) | epochs(after)) == 1
    by_number: dict[int, set[str]] = {}
    for message in said:
        if message.topic.endswith("/segment"):
            by_number.setdefault(body(message)["seq"], set()).add(body(message)["id"])
    assert all(len(ids) == 1 for ids in by_number.values()), "a number stands for two messages"
    for source in SOURCES:
        last = body(after.of(f"isr/shed/src/{source}/segment/last")[-1])
        assert last["id"] == agent.segments(source)[-1]["id"]


def epochs(said: Listener) -> set[str]:
    return {str(body(message)["epoch"]) for message in said.messages if message.topic.endswith("/segment")}


def test_a_refusal_blocks_only_its_topic_and_loses_nothing(tmp_path: Path) -> None:
    denied = RULES + "topic deny isr/shed/src/a/segment\ntopic readwrite isr/shed/#\n"
    broker = Broker(tmp_path / "broker", users=USERS, acl_text=denied)
    with RunningAgent(tmp_path / "agent", config_for(broker.port, ("a", "b"))) as agent:
        with broker, broker.listen("isr/#", user="operator", as_published=True) as said:
            said.wait_for(lambda message: message.topic == "isr/shed/src/b/segment", 20, "a segment of b")
            notice = said.wait_for(lambda message: b'"outbox_blocked"' in message.payload, 15, "a notice or health")
            assert "src/a/segment" in notice.payload.decode()
            blocked = said.wait_for(
                lambda message: b'"outbox_blocked"]' in message.payload, 15, "the problem in health"
            )
            assert body(blocked)["outbox"]["depth"] >= 1
            assert "Not authorized" in body(blocked)["outbox"]["blocked_reason"]
            wait_until(lambda: len(agent.segments("a")) >= 2, 15, "two segments of a")
            assert not said.of("isr/shed/src/a/segment")
            judge(said.messages)
        (broker.folder / "acl").write_text(RULES + "topic readwrite isr/shed/#\n")
        agent.part.send_signal(signal.SIGSTOP)
        with broker, broker.listen("isr/#", user="operator", as_published=True) as said:
            agent.part.send_signal(signal.SIGCONT)
            kept = {str(sidecar["id"]) for sidecar in agent.segments("a")}
            wait_until(lambda: kept <= told(said), 30, "what was refused to be told")
            in_order(said.messages)


def test_a_silent_broker_does_not_delay_the_end(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", users=USERS) as broker, broker.listen("isr/#", user="operator") as said:
        with RunningAgent(tmp_path / "agent", config_for(broker.port, ("a",))) as agent:
            said.wait_for(lambda message: message.topic.endswith("/segment"), 20, "a segment")
            broker.part.send_signal(signal.SIGSTOP)
            began_s = time.monotonic()
            assert agent.stop() == 0
            assert time.monotonic() - began_s < 8
            broker.part.send_signal(signal.SIGCONT)
            (sidecar,) = agent.segments("a")[-1:]
        # What was closed at the end is told at the next start.
        with RunningAgent(agent.folder, config_for(broker.port, ("a",))) as agent:
            wait_until(lambda: sidecar["id"] in told(said), 20, "the last segment")


def test_a_broken_outbox_is_kept_aside_and_a_lost_one_does_not_tell_history_again(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker", users=USERS) as broker, broker.listen("isr/#", user="operator") as said:
        config = config_for(broker.port, ("a",))
        with RunningAgent(tmp_path / "agent", config) as agent:
            said.wait_for(lambda message: message.topic.endswith("/segment"), 20, "a segment")
            outbox = agent.recordings / ".state"
            agent.kill()
            # Out of its write-ahead log SQLite would mend the file.
            (outbox / "outbox.sqlite-wal").write_bytes(b"no log" * 1000)
            (outbox / "outbox.sqlite").write_bytes(b"no database" * 1000)
            history = told(said)
            count = len(said.messages)
            agent.start()
            broken = said.wait_for(lambda message: b'"outbox_broken"' in message.payload, 15, "the notice")
            new = said.wait_for(lambda message: b'"outbox_new"' in message.payload, 15, "the other notice")
            aside = [path for path in outbox.glob("outbox.sqlite.broken-*") if not path.name.endswith(("-wal", "-shm"))]
            assert [path.read_bytes()[:11] for path in aside] == [b"no database"]
            assert aside[0].name in body(broken)["text"]
            assert body(new)["severity"] == "info"
            wait_until(lambda: len(epochs(said)) == 2, 20, "a segment of the new epoch")
            again = [message for message in said.messages[count:] if message.topic.endswith("/segment")]
            assert not history & {str(body(message)["id"]) for message in again}
            # An event of the test signal may have come first.
            numbered = ("/segment", "/event", "/event/late")
            assert min(body(one)["seq"] for one in said.messages[count:] if one.topic.endswith(numbered)) == 1
            judge(message._replace(retain=False) for message in said.messages)
            assert agent.stop() == 0
    assert waiting(agent) == 0


def waiting(agent: RunningAgent) -> int:
    """Rows in the outbox of an agent that does not run."""
    with closing(sqlite3.connect(agent.recordings / ".state" / "outbox.sqlite")) as connection:
        return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
