"""What is announced, compared whole, and checked against the rules that a live Home Assistant was seen to apply.

A change on purpose: `python -m tests.agent.mqtt.discovery.test_devices` writes the fixtures anew; read the difference.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mqtt.discovery.device import config_topic, configs, node_of, source_of
from agent.mqtt.discovery.entity import Box, RecordedSource
from agent.mqtt.payloads import encode
from agent.mqtt.topics import Topics
from tests.agent.mqtt.discovery.devices import AGENT_TOPIC, BOX, MIC, MIC_TOPIC, RADIO, RADIO_TOPIC

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
NAMES = {AGENT_TOPIC: "agent", MIC_TOPIC: "card-source", RADIO_TOPIC: "stream-source"}

ROOT_KEYS = {"device", "origin", "components", "availability", "availability_mode"}
DEVICE_KEYS = {"identifiers", "name", "manufacturer", "model", "sw_version", "via_device"}
COMMON = {"platform", "unique_id", "default_entity_id", "name", "qos"}
COMMON |= {"availability", "availability_mode", "icon", "entity_category", "enabled_by_default"}
READ = {"state_topic", "value_template", "json_attributes_topic", "json_attributes_template", "device_class"}
KEYS: dict[str, set[str]] = {
    "sensor": READ | {"unit_of_measurement", "state_class", "suggested_display_precision", "expire_after", "options"},
    "binary_sensor": READ | {"payload_on", "payload_off"},
    "switch": READ | {"command_topic", "payload_on", "payload_off", "state_on", "state_off"},
    "event": READ | {"event_types"},
    "button": {"command_topic", "payload_press"},
}
UNITS: dict[str | None, set[str | None]] = {
    None: {None, "dBFS", "%"},
    "data_size": {"GB"},
    "temperature": {"°C"},
    "timestamp": {None},
    "duration": {"s"},
    "enum": {None},
}
BINARY_CLASSES = {"connectivity", "problem", "running", "sound"}

names = st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=20)
ids = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True) | st.just("agent")


def components(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from config["components"].items()


def scalars(value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from scalars(item)
    else:
        yield value


def check(topic: str, config: dict[str, Any]) -> None:
    """The rules of Home Assistant: what it refuses, as a whole or in part, and what it warns of."""
    assert re.fullmatch(r"[a-zA-Z0-9_-]+(/[a-zA-Z0-9_-]+)*/device/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)
    assert config.keys() == ROOT_KEYS
    assert config["device"].keys() <= DEVICE_KEYS
    assert config["device"]["identifiers"]
    assert config["origin"].keys() <= {"name", "sw_version", "support_url"}
    assert config["origin"]["name"]
    assert None not in scalars([config["device"], config["origin"]])
    assert len(encode(config)) < 20_000
    for key, component in components(config):
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", key)
        check_component(component)
    unique = [component["unique_id"] for _, component in components(config)]
    assert len(unique) == len(set(unique))


def check_component(component: dict[str, Any]) -> None:
    platform = component["platform"]
    assert component.keys() <= COMMON | KEYS[platform]
    assert component["qos"] == 1
    assert re.fullmatch(rf"{platform}\.[a-z0-9_]+", component["default_entity_id"])
    assert component["unique_id"]
    assert component["name"] is None or component["name"].strip()
    assert re.fullmatch(r"mdi:[a-z-]+", component.get("icon", "mdi:x"))
    for key, value in component.items():
        assert value is not None or key == "name"
        if key.endswith("topic"):
            assert value
            assert not set("+#") & set(value)
    assert {"state_topic"} <= component.keys() or platform == "button"
    assert {"command_topic"} <= component.keys() or platform not in ("button", "switch")
    assert component.get("entity_category") in ((None, "config") if platform == "button" else (None, "diagnostic"))
    for place in component.get("availability", []):
        assert place.keys() == {"topic"}
    if platform == "sensor":
        check_sensor(component)
    elif platform == "binary_sensor":
        assert component["device_class"] in BINARY_CLASSES
    elif platform == "event":
        assert component["event_types"]
        assert "device_class" not in component


def check_sensor(component: dict[str, Any]) -> None:
    kind, unit = component.get("device_class"), component.get("unit_of_measurement")
    assert unit in UNITS[kind]
    assert ("options" in component) == (kind == "enum")
    if kind in ("enum", "timestamp"):
        assert "state_class" not in component
    assert component.get("state_class") in (None, "total_increasing" if kind == "duration" else "measurement")


@pytest.mark.parametrize("topic", NAMES, ids=NAMES.get)
def test_the_whole_message(topic: str) -> None:
    found = configs("homeassistant", BOX, [MIC, RADIO])
    assert list(found) == [AGENT_TOPIC, MIC_TOPIC, RADIO_TOPIC]
    expected = json.loads((FIXTURES / f"discovery-{NAMES[topic]}.json").read_text(encoding="utf-8"))
    assert json.loads(encode(found[topic])) == expected


@given(st.sampled_from(["homeassistant", "home/assistant"]), ids, names, st.dictionaries(ids, names, max_size=4))
@settings(deadline=None)
def test_whatever_the_names_home_assistant_can_take_it(
    prefix: str, agent: str, name: str, sources: dict[str, str]
) -> None:
    box = Box("ab" * 16, name, "0.1.0", Topics("home/isr", agent))
    types = ("alsa", "icecast", "test")
    recorded = [RecordedSource(box, key, sources[key], types[number % 3]) for number, key in enumerate(sources)]
    found = configs(prefix, box, recorded)
    assert len(found) == 1 + len(sources)
    for topic, config in found.items():
        check(topic, config)
    every = [part["unique_id"] for config in found.values() for _, part in components(config)]
    assert len(every) == len(set(every))
    assert [source_of(topic) for topic in found] == [None, *sources]


def test_no_name_begins_with_that_of_its_device() -> None:
    """Home Assistant would show it twice."""
    for config in configs("homeassistant", BOX, [MIC, RADIO]).values():
        for _, component in components(config):
            assert not (component["name"] or "").startswith(config["device"]["name"])


def test_a_name_for_people_is_in_no_id_and_no_topic() -> None:
    renamed = Box(BOX.uid, "Barn", BOX.version, BOX.topics)
    before = configs("homeassistant", BOX, [MIC])
    after = configs("homeassistant", renamed, [RecordedSource(renamed, "mic", "Other", "alsa")])
    for topic, config in before.items():
        config["device"]["name"] = after[topic]["device"]["name"]
    assert after == before


def test_a_source_of_the_name_agent_has_a_node_of_its_own() -> None:
    box_topic = config_topic("homeassistant", BOX, "agent")
    found = configs("homeassistant", BOX, [RecordedSource(BOX, "agent", "A", "test")])
    assert list(found) == [box_topic, config_topic("homeassistant", BOX, node_of("agent"))]
    assert source_of(list(found)[1]) == "agent"


def test_every_template_comes_to_terms_with_what_is_missing() -> None:
    """Home Assistant keeps the old value and warns where a key is missing without a default."""
    templates = [
        value
        for config in configs("homeassistant", BOX, [MIC, RADIO]).values()
        for _, component in components(config)
        for key, value in component.items()
        if key.endswith("template")
    ]
    assert len(templates) > 20
    for template in templates:
        looked_up = re.findall(r"value_json\.\w+(.{0,12})", template)
        assert looked_up
        assert all(after.startswith(" | default(") for after in looked_up), template
        assert all(after.startswith(" | default(") for after in re.findall(r"true\)\)\.\w+(.{0,12})", template))


def test_nothing_is_optimistic_and_the_switch_stays_while_its_source_is_away() -> None:
    config = configs("homeassistant", BOX, [MIC])[MIC_TOPIC]
    switch = config["components"]["record"]
    assert "optimistic" not in switch
    assert "availability" not in switch
    assert [place["topic"] for place in config["availability"]] == ["isr/shed/availability"]
    away = {key for key, component in components(config) if len(component.get("availability", [])) == 2}
    assert away == {"sound", "level", "peak", "split"}


if __name__ == "__main__":
    for its_topic, its_config in configs("homeassistant", BOX, [MIC, RADIO]).items():
        its_file = FIXTURES / f"discovery-{NAMES[its_topic]}.json"
        its_file.write_text(json.dumps(its_config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
