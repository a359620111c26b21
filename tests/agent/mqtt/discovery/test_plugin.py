import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mqtt.discovery import Discovery, Memory, RecordedSource
from agent.mqtt.discovery.entity import Box
from agent.mqtt.extra import Said, SayAgain
from agent.mqtt.message import Message
from tests.agent.mqtt.discovery.devices import AGENT_TOPIC, BOX, MIC, MIC_TOPIC, RADIO, RADIO_TOPIC

BIRTH = Message("homeassistant/status", b"online")
RADIO_RETAINED = [f"isr/shed/src/radio/{leaf}" for leaf in ("state", "availability", "segment/last")]


class Rig:
    """A plug-in with a clock by hand, and a broker that keeps what is retained."""

    def __init__(
        self,
        folder: Path,
        sources: Sequence[RecordedSource] = (MIC, RADIO),
        *,
        box: Box = BOX,
        enabled: bool = True,
        kept: dict[str, bytes] | None = None,
        prefix: str = "homeassistant",
    ) -> None:
        self.now_s = 1000.0
        self.jitter = 0.5
        self.kept: dict[str, bytes] = {} if kept is None else kept
        self.said: list[tuple[float, Said]] = []
        self.memory = Memory(folder)
        sources = [replace(source, box=box) for source in sources]
        self.plugin = Discovery(
            box, sources, prefix=prefix, enabled=enabled, memory=self.memory, jitter=lambda: self.jitter
        )

    def connect(self, *, replay: bool = True) -> list[Said]:
        """A connection: what the broker keeps comes first thing."""
        before = len(self.said)
        self._say(self.plugin.announce(self.now_s))
        for topic, payload in list(self.kept.items()) if replay else []:
            if topic.startswith("homeassistant/device/shed/"):
                self.hear(Message(topic, payload, retain=True))
        self.pass_s(1.0)
        return [said for _, said in self.said[before:]]

    def hear(self, message: Message) -> None:
        self._say(self.plugin.on_message(message, self.now_s))

    def pass_s(self, seconds: float) -> list[Said]:
        """Let time pass, in quarters of a second as the delivery does; what was said meanwhile."""
        before = len(self.said)
        end_s = self.now_s + seconds
        while True:
            self._say(self.plugin.due(self.now_s))
            if self.now_s >= end_s:
                return [said for _, said in self.said[before:]]
            self.now_s += 0.25

    def _say(self, said: Any) -> None:  # noqa: ANN401 - what the plug-in gives
        for one in said:
            self.said.append((self.now_s, one))
            if isinstance(one, Message):
                assert one.qos == 1
                assert one.retain
                if one.payload:
                    self.kept[one.topic] = one.payload
                else:
                    self.kept.pop(one.topic, None)


def topics(said: list[Said]) -> list[str]:
    """The topics in order; `again` where the delivery says its states, a `-` before what is cleared."""
    return ["again" if isinstance(one, SayAgain) else f"{'' if one.payload else '-'}{one.topic}" for one in said]


def components(said: Said) -> dict[str, Any]:
    assert isinstance(said, Message)
    found: dict[str, Any] = json.loads(said.payload)["components"]
    return found


def test_a_connection_announces_the_agent_first_and_the_states_two_seconds_later(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.plugin.filters == ("homeassistant/status", "homeassistant/device/shed/+/config")
    assert topics(rig.connect()) == [AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC]
    assert rig.pass_s(1.75) == []
    assert topics(rig.pass_s(0.25)) == ["again"]
    assert rig.pass_s(120) == []


def test_it_says_nothing_at_once_so_that_the_states_of_the_agent_come_first(tmp_path: Path) -> None:
    assert list(Rig(tmp_path).plugin.announce(1000.0)) == []


@pytest.mark.parametrize("retain", [True, False])
def test_when_home_assistant_is_born_everything_is_said_after_a_jitter(tmp_path: Path, retain: bool) -> None:
    rig = Rig(tmp_path)
    rig.connect()
    rig.pass_s(60)
    rig.hear(replace(BIRTH, retain=retain))
    assert rig.pass_s(2.25) == []
    assert topics(rig.pass_s(0.25)) == [AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC, "again"]
    assert topics(rig.pass_s(10)) == ["again"]


@pytest.mark.parametrize("payload", [b"offline", b"", b"Online", b"\xff"])
def test_no_other_word_is_a_birth(tmp_path: Path, payload: bytes) -> None:
    rig = Rig(tmp_path)
    rig.connect()
    rig.pass_s(60)
    rig.hear(replace(BIRTH, payload=payload))
    assert rig.pass_s(60) == []


def test_a_home_assistant_that_is_born_again_and_again_is_answered_every_half_minute(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.connect()
    rig.pass_s(10)
    began_s = rig.now_s
    for _ in range(100):
        rig.hear(BIRTH)
        rig.pass_s(1)
    rounds = [at_s for at_s, one in rig.said if isinstance(one, Message) and one.topic == AGENT_TOPIC][1:]
    assert [at_s - began_s for at_s in rounds] == [2.5, 32.5, 62.5, 92.5]


EVENTS = st.lists(
    st.tuples(st.sampled_from(["birth", "connect", "refresh", "restart"]), st.integers(0, 20), st.floats(0, 1)),
    max_size=20,
)


@given(EVENTS)
@settings(deadline=None, max_examples=50)
def test_whatever_happens_no_config_is_said_twice_within_two_seconds(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int, float]]
) -> None:
    rig = Rig(tmp_path_factory.mktemp("state"))
    rig.connect()
    for event, quarters, jitter in events:
        rig.jitter = jitter
        if event == "birth":
            rig.hear(BIRTH)
        elif event == "refresh":
            assert list(rig.plugin.announce(rig.now_s)) == []
        else:
            rig.connect(replay=event == "restart")
        rig.pass_s(quarters / 4)
    rig.pass_s(60)
    for topic in (AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC):
        times = [at_s for at_s, one in rig.said if isinstance(one, Message) and one.topic == topic]
        assert all(later - earlier >= 2 for earlier, later in zip(times, times[1:], strict=False))
    messages = [one for _, one in rig.said if isinstance(one, Message)]
    assert [one.topic for one in messages] == [AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC] * (len(messages) // 3)
    assert isinstance(rig.said[-1][1], SayAgain)


@pytest.mark.parametrize("lost", ["nothing", "the state folder", "what the broker kept"])
def test_a_source_that_was_removed_leaves_nothing(tmp_path: Path, lost: str) -> None:
    (tmp_path / "a").mkdir()
    first = Rig(tmp_path / "a")
    first.connect()
    first.pass_s(10)
    kept = {**first.kept, **dict.fromkeys(RADIO_RETAINED, b"x"), "isr/shed/src/mic/state": b"x"}
    if lost == "what the broker kept":
        kept = dict.fromkeys(RADIO_RETAINED, b"x")
    folder = tmp_path / "a"
    if lost == "the state folder":
        folder = tmp_path / "b"
        folder.mkdir()
    rig = Rig(folder, [MIC], kept=kept)
    said = rig.connect()
    assert topics(said) == [f"-{RADIO_TOPIC}", *(f"-{topic}" for topic in RADIO_RETAINED), AGENT_TOPIC, MIC_TOPIC]
    assert topics(rig.pass_s(10)) == ["again"]
    assert rig.kept.keys() - {"isr/shed/src/mic/state"} == {AGENT_TOPIC, MIC_TOPIC}
    assert set(Memory(folder).devices) == {AGENT_TOPIC, MIC_TOPIC}
    assert topics(Rig(folder, [MIC], kept=rig.kept).connect()) == [AGENT_TOPIC, MIC_TOPIC]


def test_a_removal_that_a_lost_connection_cut_short_is_made_again(tmp_path: Path) -> None:
    first = Rig(tmp_path)
    first.connect()
    first.pass_s(10)
    rig = Rig(tmp_path, [MIC])
    rig.connect()
    assert f"-{RADIO_TOPIC}" in topics(rig.connect(replay=False))
    rig.pass_s(10)
    assert f"-{RADIO_TOPIC}" not in topics(rig.connect(replay=False))


def test_a_component_that_is_no_more_is_removed_in_two_steps(tmp_path: Path) -> None:
    first = Rig(tmp_path, [replace(MIC, type="icecast")])
    first.connect()
    first.pass_s(10)
    rig = Rig(tmp_path, [MIC], kept=first.kept)
    said = rig.connect()
    assert topics(said) == [AGENT_TOPIC, MIC_TOPIC]
    assert components(said[1])["now_playing"] == {"platform": "sensor"}
    assert "now_playing" in Memory(tmp_path).devices[MIC_TOPIC].components
    assert rig.pass_s(1.75) == []
    second = rig.pass_s(0.25)
    assert topics(second) == [MIC_TOPIC]
    assert "now_playing" not in components(second[0])
    assert topics(rig.pass_s(30)) == ["again"]
    assert "now_playing" not in Memory(tmp_path).devices[MIC_TOPIC].components


def test_without_a_memory_the_broker_tells_which_component_is_no_more(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = Rig(tmp_path / "a", [replace(MIC, type="icecast")])
    first.connect()
    rig = Rig(tmp_path, [MIC], kept=first.kept)
    assert components(rig.connect()[1])["now_playing"] == {"platform": "sensor"}
    rig.pass_s(5)
    assert "now_playing" not in json.loads(rig.kept[MIC_TOPIC])["components"]


def test_what_the_broker_kept_may_come_before_the_connection_is_announced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = Rig(tmp_path / "a", [replace(MIC, type="icecast"), RADIO])
    first.connect()
    rig = Rig(tmp_path, [MIC])
    for topic, payload in first.kept.items():
        rig.hear(Message(topic, payload, retain=True))
    assert rig.said == []
    said = rig.connect(replay=False)
    assert topics(said)[0] == f"-{RADIO_TOPIC}"
    assert components(said[-1])["now_playing"] == {"platform": "sensor"}


def test_a_box_whose_uid_was_lost_makes_home_assistant_forget_the_old_ids(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = Rig(tmp_path / "a")
    first.connect()
    rig = Rig(tmp_path, box=replace(BOX, uid="ff" * 16), kept=first.kept)
    assert topics(rig.connect()) == [f"-{topic}" for topic in (AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC)]
    assert rig.pass_s(0.75) == []
    assert topics(rig.pass_s(0.25)) == [AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC]
    assert all(b"ff" * 16 in payload for payload in rig.kept.values())


def _changed(**changes: Any) -> bytes:  # noqa: ANN401 - any JSON
    rig = Rig(Path("/nonexistent"))
    rig.connect()
    return json.dumps({**json.loads(rig.kept[RADIO_TOPIC]), **changes}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 10_000,
        b'{"components":{}}',
        _changed(origin={"name": "zigbee2mqtt"}),
        _changed(origin=None),
        _changed(availability=[{"topic": "isr/barn/availability"}]),
        _changed(availability=[]),
        _changed(components={"x": 1}),
    ],
    ids=str,
)
def test_what_is_not_ours_stays(tmp_path: Path, payload: bytes) -> None:
    rig = Rig(tmp_path, [MIC], kept={RADIO_TOPIC: payload})
    assert topics(rig.connect()) == [AGENT_TOPIC, MIC_TOPIC]
    rig.pass_s(60)
    assert rig.kept[RADIO_TOPIC] == payload


def test_a_device_that_somebody_deleted_in_home_assistant_stays_away_until_it_is_born_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.connect()
    rig.pass_s(10)
    rig.hear(Message(MIC_TOPIC, b""))
    assert rig.pass_s(60) == []
    rig.hear(BIRTH)
    assert MIC_TOPIC in topics(rig.pass_s(10))


def test_switched_off_it_takes_back_what_it_announced_and_nothing_else(tmp_path: Path) -> None:
    first = Rig(tmp_path)
    first.connect()
    first.pass_s(10)
    rig = Rig(tmp_path, enabled=False, kept={**first.kept, "isr/shed/src/mic/state": b"x"})
    assert rig.plugin.filters == ("homeassistant/device/shed/+/config",)
    assert topics(rig.connect()) == [f"-{topic}" for topic in (AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC)]
    assert rig.pass_s(60) == []
    assert rig.kept == {"isr/shed/src/mic/state": b"x"}
    assert Memory(tmp_path).devices == {}


def test_another_prefix_takes_back_what_was_said_under_the_first(tmp_path: Path) -> None:
    first = Rig(tmp_path)
    first.connect()
    first.pass_s(10)
    rig = Rig(tmp_path, kept=first.kept, prefix="ha")
    rig.connect()
    rig.pass_s(10)
    assert rig.kept.keys() == {topic.replace("homeassistant", "ha") for topic in (AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC)}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"devices": 1}', b'{"devices": {"a": 1}}', b"\xff"])
def test_a_memory_that_cannot_be_read_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "discovery.json").write_bytes(content)
    rig = Rig(tmp_path)
    assert rig.memory.devices == {}
    rig.connect()
    assert set(Memory(tmp_path).devices) == {AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC}


def test_a_state_folder_that_takes_nothing_hinders_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path / "missing")
    assert len(rig.connect()) == 3
    assert "discovery.json cannot be written" in caplog.text
    caplog.clear()
    rig.pass_s(60)
    rig.connect()
    rig.pass_s(60)
    assert caplog.text == ""
