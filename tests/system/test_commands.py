"""A real mosquitto with the shipped access rules: what the agent says, and how it takes commands."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.schemas import validate
from tests.parts.mosquitto import Broker, Listener, Message
from tests.parts.pulse import PipeCard
from tests.parts.waiting import wait_until
from tests.system.messages import body, in_order, judge, numbers
from tests.system.running import REPOSITORY, Json, RunningAgent, pcm

CONFIG = """
agent: {{id: shed, name: Garden shed}}
recording: {{period: 5s}}
mqtt: {{host: 127.0.0.1, port: {port}, protocol: "{protocol}", username: shed, password: secret}}
sources:
  - {{id: mic, name: Microphone, type: alsa, device: {device}, sample_rate: 48000, channels: 2}}
  - {{id: test, name: Test signal, type: test}}
"""

USERS = {"shed": "secret", "operator": "operator-password"}
ACL = REPOSITORY / "mosquitto" / "acl"


def broker_at(folder: Path) -> Broker:
    return Broker(folder, users=USERS, acl_text=ACL.read_text(encoding="utf-8"))


def has_code(code: str) -> Callable[[Message], bool]:
    return lambda message: f'"code":"{code}"'.encode() in message.payload


def answers(listener: Listener, command: str | None) -> list[Json]:
    return [answer for message in listener.of("isr/shed/resp") if (answer := body(message))["cmd"] == command]


def final(listener: Listener, command: str | None, number: int, timeout_s: float = 15) -> Json:
    """The n-th final answer to a command, from 0."""

    def found() -> list[Json]:
        return [answer for answer in answers(listener, command) if answer["phase"] != "accepted"]

    wait_until(lambda: len(found()) > number, timeout_s, f"answer {number} to {command}")
    return found()[number]


def arecords(card: PipeCard) -> list[int]:
    """Every arecord that records this card."""
    listing = subprocess.run(["pgrep", "-f", f"^arecord .*{card.device}"], capture_output=True, text=True, check=False)
    return [int(line) for line in listing.stdout.split()]


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_stop_and_start_act_and_are_answered(tmp_path: Path, protocol: str) -> None:
    with (
        PipeCard(tmp_path / "card", device="commanded") as card,
        card.feed(),
        broker_at(tmp_path / "broker") as broker,
        broker.listen("isr/#", user="operator", as_published=True) as said,
    ):
        config = CONFIG.format(port=broker.port, protocol=protocol, device=card.device)
        with RunningAgent(tmp_path / "agent", config, env=card.env) as agent:
            said.wait_for(lambda message: message.payload == b"online", 10, "online")
            agent.wait_for_state("mic", "recording")
            assert len(arecords(card)) == 1

            broker.publish("isr/shed/src/mic/cmd", "stop", user="operator")
            stopped = final(said, "stop", 0)
            assert (stopped["phase"], stopped["code"], stopped["ok"]) == ("done", "done", True)
            assert (stopped["source"], stopped["state"], stopped["id"]) == ("mic", "stopped", None)
            assert arecords(card) == []
            assert agent.wait_for_state("mic", "stopped")["desired"] == "stop"
            assert agent.source("test")["state"] == "recording"

            broker.publish("isr/shed/src/mic/cmd", " OFF ", user="operator")
            assert final(said, "stop", 1)["code"] == "already"

            broker.publish("isr/shed/src/mic/cmd", '{"v":1,"id":"7f3a","cmd":"start"}', user="operator")
            started = final(said, "start", 0)
            assert (started["code"], started["id"], started["state"]) == ("done", "7f3a", "recording")
            assert started["dup"] is False
            assert len(arecords(card)) == 1
            broker.publish("isr/shed/src/mic/cmd", '{"v":1,"id":"7f3a","cmd":"start"}', user="operator")
            assert final(said, "start", 1)["dup"] is True
            broker.publish("isr/shed/src/mic/cmd", '{"v":1,"id":"7f3a","cmd":"stop"}', user="operator")
            assert final(said, "stop", 2)["code"] == "duplicate"

            before = agent.wait_for_state("mic", "recording")["open_segment"]["file"]
            broker.publish("isr/shed/src/mic/cmd", "split", user="operator")
            assert final(said, "split", 0)["code"] == "done"
            agent.wait_for_segments("mic", 3, timeout_s=20)
            assert agent.stop() == 0

        segments = agent.segments("mic")
        split = next(segment for segment in segments if segment["file"] + ".part" == before)
        assert split["reason"] == "command"
        after = segments[segments.index(split) + 1]
        assert after["start"] == split["end"]
        assert after["gap_before"] is None
        reasons = [segment["reason"] for segment in segments]
        assert "stop" in reasons
        gap = next(gap for gap in agent.gaps("mic") if gap["cause"] == "stopped")
        assert (gap["at"], gap["missing"]) == ("end", False)
        assert all(pcm(agent.path(segment)).any() for segment in segments)

        said.wait_for(lambda message: message.topic == "isr/shed/availability" and message.payload == b"offline", 5)
        judge_messages(said, agent)


def judge_messages(said: Listener, agent: RunningAgent) -> None:
    """Everything the agent sends fits its schema; every closed segment was told, in order and without a hole."""
    judge(said.messages)
    assert sorted(numbers(said.messages)) == list(range(1, len(numbers(said.messages)) + 1))
    in_order(said.messages)
    told = [body(message) for message in said.messages if message.topic.endswith("/segment")]
    for source in ("mic", "test"):
        sidecars = agent.segments(source)
        assert [one["id"] for one in told if one["source"] == source] == [one["id"] for one in sidecars]
        for sidecar in sidecars:
            validate("segment", sidecar)
        for line in agent.ledger(source):
            validate("gap", line)
        last = [body(message) for message in said.of(f"isr/shed/src/{source}/segment/last")]
        assert last[-1]["id"] == sidecars[-1]["id"]


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    config = """
agent: {{id: shed}}
mqtt: {{host: 127.0.0.1, port: {port}, username: shed, password: secret}}
sources: [{{id: test, type: test}}]
"""
    with broker_at(tmp_path / "broker") as broker, broker.listen("isr/shed/#", user="operator") as said:
        broker.publish("isr/shed/src/test/cmd", "stop", user="operator", retain=True)
        with RunningAgent(tmp_path / "agent", config.format(port=broker.port)) as agent:
            # A retained command is as old as the hills: refused, said, and cleared.
            refused = said.wait_for(lambda message: b'"retained"' in message.payload, 10, "the refusal")
            assert body(refused)["ok"] is False
            said.wait_for(lambda message: message.topic == "isr/shed/src/test/cmd" and not message.payload, 10)
            agent.wait_for_state("test", "recording")
            cases = [
                ("src/test/cmd", "dance", "unknown_cmd"),
                ("src/nobody/cmd", "start", "unknown_source"),
                ("src/test/cmd", "{nonsense", "bad_json"),
                ("src/test/cmd", '{"cmd":"stop","args":{"for_s":5}}', "bad_args"),
                ("src/test/cmd", '{"cmd":"stop","expires":"2020-01-01T00:00:00Z"}', "expired"),
                ("src/test/cmd", "x" * 5000, "too_big"),
                ("cmd", "reboot", "unknown_cmd"),
                ("cmd", "ping", "done"),
            ]
            for leaf, payload, code in cases:
                broker.publish(f"isr/shed/{leaf}", payload, user="operator")
                answer = said.wait_for(has_code(code), 10)
                validate("resp", body(answer))
                assert body(answer)["ok"] is (code == "done")
            assert agent.source("test")["state"] == "recording"
            noticed = said.wait_for(has_code("retained_command"), 5, "a notice")
            assert noticed.topic == "isr/shed/notice"


def test_a_start_for_a_while_and_a_flood(tmp_path: Path) -> None:
    config = """
agent: {{id: shed}}
mqtt: {{host: 127.0.0.1, port: {port}, username: shed, password: secret}}
sources: [{{id: test, type: test}}]
"""
    with broker_at(tmp_path / "broker") as broker, broker.listen("isr/#", user="operator", as_published=True) as said:
        agent = RunningAgent(tmp_path / "agent", config.format(port=broker.port))
        with agent:
            said.wait_for(lambda message: message.payload == b"online", 10, "online")
            broker.publish("isr/shed/src/test/cmd", "stop", user="operator")
            assert final(said, "stop", 0)["code"] == "done"
            broker.publish("isr/shed/src/test/cmd", '{"cmd":"start","args":{"for_s":3}}', user="operator")
            assert final(said, "start", 0)["code"] == "done"
            agent.wait_for_state("test", "recording", 5)
            # A crash does not make it record for ever.
            agent.kill()
            agent.start()
            agent.wait_for_state("test", "stopped", 10)
            assert agent.source("test")["desired"] == "stop"

            said.wait_for(lambda message: message.payload == b"online", 10, "online")
            flood(broker, "isr/shed/cmd", b"ping", 600)
            busy = said.wait_for(has_code("busy"), 10, "busy")
            assert "dropped" in body(busy)["text"]
            wait_until(lambda: answered(said) >= 600, 10, "every command to be done, or counted as dropped")
            assert answered(said) == 600
            assert sum(message.payload.count(b'"busy"') for message in said.messages) <= 12
        judge(said.messages)


def answered(said: Listener) -> int:
    """Commands that were carried out, and those that were dropped and counted."""
    found = [body(message) for message in said.of("isr/shed/resp")]
    dropped = [int(answer["text"].split()[0]) for answer in found if answer["code"] == "busy"]
    return len([answer for answer in found if answer["cmd"] == "ping"]) + sum(dropped)


def flood(broker: Broker, topic: str, payload: bytes, count: int) -> None:
    """So many commands at once, over one connection."""
    password = USERS["operator"]
    command = ["mosquitto_pub", "-h", broker.host, "-p", str(broker.port), "-u", "operator", "-P", password]
    command += ["-q", "1", "-t", topic, "-l"]
    subprocess.run(command, input=b"\n".join([payload] * count) + b"\n", check=True, timeout=20)


def test_recording_does_not_mind_a_broker_that_goes_and_comes_back(tmp_path: Path) -> None:
    config = """
agent: {{id: shed}}
recording: {{period: 5s}}
mqtt: {{host: 127.0.0.1, port: {port}, username: shed, password: secret}}
sources: [{{id: test, type: test, signal: noise}}]
"""
    broker = broker_at(tmp_path / "broker")
    # The agent comes up first: there is no broker yet.
    with RunningAgent(tmp_path / "agent", config.format(port=broker.port)) as agent:
        agent.wait_for_segments("test", 1, timeout_s=15)
        with broker, broker.listen("isr/shed/#", user="operator") as said:
            said.wait_for(lambda message: message.payload == b"online", 40, "online")
            said.wait_for(lambda message: message.topic.endswith("/segment"), 10, "the segment from before")
        agent.wait_for_segments("test", 4, timeout_s=30)
        with broker, broker.listen("isr/shed/#", user="operator") as said:
            said.wait_for(lambda message: message.payload == b"online" and not message.retain, 40, "online again")
            state = said.wait_for(lambda message: message.topic.endswith("/state") and not message.retain, 10)
            assert body(state)["state"] == "recording"
            agent.wait_for_segments("test", 6, timeout_s=20)
            assert agent.stop() == 0
            told = {body(message)["id"] for message in said.messages if message.topic.endswith("/segment")}
        segments = agent.segments("test")
        assert {segment["id"] for segment in segments[2:]} <= told
        assert all(segment["gap_before"] is None for segment in segments[1:]), "the recording has a gap"
        assert [gap["cause"] for gap in agent.gaps("test")] == ["starting", "agent_stopped"]
