"""The pages for users name everything that there is, and lead nowhere that is not there."""

import re
from pathlib import Path

import pytest

from agent.model import GapCause, NoticeCode, Problem, SourceState
from agent.mqtt.commands import AGENT_VERBS, HINTS, SOURCE_VERBS
from agent.mqtt.discovery.device import configs
from agent.mqtt.topics import SOURCE_LEAVES, Topics
from agent.verify.finding import Check
from archive_api.routes import ROUTES
from tests.agent.mqtt.discovery.devices import BOX, RADIO

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NOT_YET = {"scheduled", "suspended"}
"""Causes of the ledger's format that nothing brings about yet."""


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_every_topic_command_and_code_is_on_the_mqtt_page() -> None:
    page = text("docs/mqtt.md")
    topics = Topics("isr", "shed")
    whole = (topics.availability, topics.info, topics.health, topics.notices, topics.responses, topics.commands[0])
    leaves = [topic.removeprefix(topics.root) for topic in whole]
    leaves += [f"/src/<id>/{leaf}" for leaf in SOURCE_LEAVES]
    schemas = [path.stem for path in (ROOT / "agent" / "schemas").glob("*.json")]
    for word in (*leaves, *SOURCE_VERBS, *AGENT_VERBS, *HINTS, *NoticeCode, *Problem, *schemas):
        assert f"`{word}`" in page, word


def test_every_cause_and_state_is_on_the_recording_page() -> None:
    page = text("docs/recording.md")
    for word in {*GapCause} - NOT_YET:
        assert f"`{word}`" in page, word
    for state in {*SourceState} - {SourceState.STOPPING}:
        assert f"`{state}`" in page, state


def test_every_check_is_on_the_page_about_verify() -> None:
    page = text("docs/verify.md")
    for check in Check:
        assert f"`{check}`" in page, check


def test_every_entity_is_on_the_page_for_home_assistant() -> None:
    page = text("docs/home-assistant.md")
    for config in configs("homeassistant", BOX, [RADIO]).values():
        for component in config["components"].values():
            assert component["name"] is None or f"\n| {component['name']} " in page, component["name"]
            for event_type in component.get("event_types", []):
                assert f"`{event_type}`" in page


def test_every_address_is_on_the_api_page() -> None:
    page = text("docs/api.md")
    for route in ROUTES:
        address = re.sub(r"{([a-z]+)[^}]*}", r"<\1>", route.path)
        assert f" {address}" in page or address == "/static/<name>", address


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_library_has_its_reason() -> None:
    page = text("docs/decisions/dependencies.md")
    project = text("pyproject.toml")
    names = re.findall(r'^    "([A-Za-z0-9-]+)[><=]', project, re.MULTILINE)
    assert names
    for name in names:
        assert name in page or name.startswith("types-"), name
