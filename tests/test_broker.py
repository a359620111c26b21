"""The broker that ships: who may do what, tried with a real mosquitto, every user and every kind of topic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config.values import RESERVED_IDS
from agent.first_start.files import BROKER_USERS
from tests.parts.mosquitto import Broker
from tests.parts.process import Part, program

ROOT = Path(__file__).resolve().parent.parent
AGENTS = ("shed", "barn")
USERS = (*AGENTS, *BROKER_USERS)
COMMANDS = frozenset(f"isr/{agent}/{leaf}" for agent in AGENTS for leaf in ("cmd", "src/mic/cmd"))
_LEAVES = ("availability", "info", "resp", "resp/archive", "cmd", "src/mic/cmd", "src/mic/state", "src/mic/cmd/x")
TOPICS = frozenset(
    {
        *(f"isr/{name}/{leaf}" for name in USERS for leaf in _LEAVES),
        *(f"homeassistant/device/{name}/mic/config" for name in USERS),
        *(f"reply/{reader}/{writer}" for reader in USERS for writer in USERS),
        "homeassistant/status",
        "homeassistant/sensor/other/config",
        "isr/cmd",
        "other/topic",
    }
)


def below(*prefixes: str) -> frozenset[str]:
    return frozenset(topic for topic in TOPICS if topic.startswith(prefixes))


def ours(user: str) -> frozenset[str]:
    """What may be read of isr/ by one who is no agent: all, but for what would be its own if it were one."""
    return below("isr/") - below(f"isr/{user}/") | {"homeassistant/status"}


WRITES = {
    agent: below(f"isr/{agent}/", f"homeassistant/device/{agent}/") | {f"reply/{reader}/{agent}" for reader in USERS}
    for agent in AGENTS
} | {
    "operator": COMMANDS | {f"isr/{user}/{leaf}" for user in set(BROKER_USERS) - {"operator"} for leaf in _LEAVES[4:6]},
    "archive": COMMANDS | {f"isr/{user}/{leaf}" for user in set(BROKER_USERS) - {"archive"} for leaf in _LEAVES[4:6]},
    "homeassistant": below("homeassistant/")
    | COMMANDS
    | {f"isr/{user}/{leaf}" for user in set(BROKER_USERS) - {"homeassistant"} for leaf in _LEAVES[4:6]},
    "viewer": frozenset[str](),
    "healthcheck": frozenset[str](),
}
READS = {
    agent: frozenset(f"isr/{agent}/{leaf}" for leaf in ("cmd", "src/mic/cmd", "availability"))
    | {"homeassistant/status", f"homeassistant/device/{agent}/mic/config"}
    for agent in AGENTS
} | {
    "operator": ours("operator") | below("reply/operator/") - {"reply/operator/operator"},
    "archive": ours("archive") | below("reply/archive/") - {"reply/archive/archive"},
    "homeassistant": ours("homeassistant") | below("homeassistant/"),
    "viewer": ours("viewer"),
    "healthcheck": frozenset({"homeassistant/status"}),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """mosquitto with the ACL and the settings that ship, and one more user who may do everything."""
    acl = (ROOT / "mosquitto/acl").read_text() + "\nuser tester\ntopic readwrite #\n"
    with Broker(
        tmp_path_factory.mktemp("broker"),
        users={user: f"{user}-word" for user in (*USERS, "tester")},
        acl_text=acl,
        config_lines=[f"include_dir {ROOT}/mosquitto/conf.d"],
    ) as started:
        yield started


def test_nobody_gets_in_without_a_password(broker: Broker) -> None:
    assert not broker.accepts(None, None)
    assert not broker.accepts("stranger", "operator-word")
    for user in USERS:
        assert not broker.accepts(user, None)
        assert not broker.accepts(user, "wrong")
        assert broker.accepts(user, f"{user}-word")


def refused(broker: Broker, user: str, topic: str) -> bool:
    try:
        broker.publish(topic, "x", user=user)
    except AssertionError as error:
        assert "Not authorized" in str(error), "refused for another reason"
        return True
    return False


@pytest.mark.parametrize("user", USERS)
def test_who_may_write_what(broker: Broker, user: str) -> None:
    """What is refused is refused with its reason code, and reaches nobody; what is allowed arrives."""
    with broker.listen("#", user="tester") as listener:
        written = {topic for topic in TOPICS if not refused(broker, user, topic)}
        broker.publish("the/end", "x", user="tester")
        listener.wait_for(lambda message: message.topic == "the/end", 10, "the end")
        arrived = {message.topic for message in listener.messages} - {"the/end"}
    assert written == WRITES[user]
    assert arrived == written


def test_who_may_read_what(broker: Broker) -> None:
    """The last message of each is one that the user may read."""
    listeners = {user: broker.listen("#", user=user) for user in USERS}
    for topic in sorted(TOPICS):
        broker.publish(topic, "x", user="tester")
    for user, listener in listeners.items():
        broker.publish("homeassistant/status", "last", user="tester")
        listener.wait_for(lambda message: message.payload == b"last", 10, "the last message")
        listener.stop()
        assert {message.topic for message in listener.messages} == READS[user], user


def test_an_agent_s_answer_reaches_who_asked_and_nobody_else(broker: Broker) -> None:
    with broker.listen("#", user="archive") as asked, broker.listen("#", user="viewer") as looking:
        broker.publish("reply/archive/shed", "answer", user="shed")
        broker.publish("isr/shed/resp/archive", "answer for all", user="shed")
        for listener in (asked, looking):
            listener.wait_for(lambda message: message.topic == "isr/shed/resp/archive", 10, "what all may read")
        assert len(asked.of("reply/archive/shed")) == 1
        assert looking.of("reply/archive/shed") == []


def test_what_was_retained_before_is_kept_from_who_may_not_read_it(broker: Broker) -> None:
    broker.publish("reply/operator/shed", "old", user="shed", retain=True)
    broker.publish("isr/shed/info", "old", user="shed", retain=True)
    with broker.listen("#", user="viewer") as looking:
        looking.wait_for(lambda message: message.topic == "isr/shed/info", 10, "the retained message")
        assert looking.of("reply/operator/shed") == []
    broker.publish("reply/operator/shed", "", user="shed", retain=True)
    broker.publish("isr/shed/info", "", user="shed", retain=True)


def test_a_last_will_gets_nobody_around_the_rules(broker: Broker, tmp_path: Path) -> None:
    with broker.listen("isr/+/cmd", user="tester") as listener:
        for user in ("viewer", "operator"):
            die_with_a_will(broker, user, tmp_path / f"{user}.log")
        listener.wait_for(lambda message: message.payload == b"operator", 10, "the will of one who may")
        assert [message.payload for message in listener.messages] == [b"operator"]


def die_with_a_will(broker: Broker, user: str, log: Path) -> None:
    client = program("mosquitto_sub", "mosquitto-clients")
    argv = ["stdbuf", "-oL", client, "-h", broker.host, "-p", str(broker.port), "-V", "5", "-d", "-t", "isr/none"]
    argv += ["-u", user, "-P", f"{user}-word", "--will-topic", "isr/shed/cmd", "--will-payload", user]
    part = Part(argv, package="coreutils", log=log, ready=lambda: "Subscribed (mid" in part.log_text())
    part.start()
    part.kill()


def test_every_user_of_the_broker_is_refused_as_the_name_of_an_agent() -> None:
    named = set(re.findall(r"^user (\S+)", (ROOT / "mosquitto/acl").read_text(), re.MULTILINE))
    assert named == set(BROKER_USERS)
    assert named <= set(RESERVED_IDS)


def test_the_container_configuration_uses_the_same_files() -> None:
    lines = (ROOT / "mosquitto/mosquitto.conf").read_text().splitlines()
    named = [Path(line.split()[1]) for line in lines if re.match(r"\w+ /mosquitto/config/", line)]
    assert [(ROOT / "mosquitto" / path.relative_to("/mosquitto/config")).exists() for path in named] == [True, True]
