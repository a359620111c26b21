"""The users of the shipped broker and the real agent: who looks cannot command it, and who commands is answered."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.parts.mosquitto import Broker
from tests.parts.process import program
from tests.system.running import REPOSITORY, RunningAgent

CONFIG = """
agent: {{id: shed}}
mqtt: {{host: 127.0.0.1, port: {port}, username: shed, password: shed-word}}
sources: [{{id: test, type: test}}]
"""
USERS = {user: f"{user}-word" for user in ("shed", "operator", "homeassistant", "archive", "viewer")}


def request(broker: Broker, user: str, command: str) -> bytes:
    """A command with an answer to a topic of the user's own, MQTT 5; what came back on it."""
    argv = [program("mosquitto_rr", "mosquitto-clients"), "-h", broker.host, "-p", str(broker.port), "-V", "5"]
    argv += ["-u", user, "-P", USERS[user], "-q", "1", "-W", "5"]
    argv += ["-t", "isr/shed/cmd", "-e", f"reply/{user}/shed", "-m", command]
    return subprocess.run(argv, capture_output=True, timeout=20, check=False).stdout


def test_who_looks_cannot_command_and_who_commands_is_answered(tmp_path: Path) -> None:
    acl = (REPOSITORY / "mosquitto" / "acl").read_text(encoding="utf-8")
    with (
        Broker(tmp_path / "broker", users=USERS, acl_text=acl) as broker,
        broker.listen("isr/shed/#", user="viewer") as seen,
        RunningAgent(tmp_path / "agent", CONFIG.format(port=broker.port)) as agent,
    ):
        seen.wait_for(lambda message: message.payload == b"online", 10, "online, which the viewer may read")
        agent.wait_for_state("test", "recording")
        for topic in ("isr/shed/src/test/cmd", "isr/shed/cmd"):
            for user, payload in (("viewer", "stop"), ("viewer", "stop-all")):
                with pytest.raises(AssertionError, match="Not authorized"):
                    broker.publish(topic, payload, user=user)
        assert not broker.accepts(None, None)
        assert request(broker, "viewer", "ping") == b""

        for user in ("archive", "operator"):
            assert json.loads(request(broker, user, "ping"))["code"] == "done"
        broker.publish("isr/shed/src/test/cmd", "stop", user="homeassistant")
        agent.wait_for_state("test", "stopped")
        broker.publish("isr/shed/src/test/cmd", "ON", user="homeassistant")
        agent.wait_for_state("test", "recording")

        # Answers come in order: had a command of the viewer arrived, one would stand before these two.
        seen.wait_for(lambda message: b'"cmd":"start"' in message.payload, 10, "the answer to Home Assistant")
        answered = [json.loads(message.payload)["cmd"] for message in seen.of("isr/shed/resp")]
        assert list(dict.fromkeys(answered)) == ["stop", "start"]
        assert [message.payload for message in seen.of("isr/shed/cmd")] == [b"ping"] * 2
        assert [message.payload for message in seen.of("isr/shed/src/test/cmd")].count(b"stop") == 1
