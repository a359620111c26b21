"""The pages for users name everything that there is, and lead nowhere that is not there."""

import re
from pathlib import Path

import pytest

from agent.model import GapCause, SourceState
from agent.mqtt.commands import AGENT_VERBS, HINTS, SOURCE_VERBS
from agent.mqtt.topics import Topics

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NOT_YET = {"scheduled", "suspended", "corrupt"}
"""Causes of the ledger's format that nothing brings about yet."""


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_every_topic_command_and_code_is_on_the_mqtt_page() -> None:
    page = text("docs/mqtt.md")
    topics = Topics("isr", "shed")
    leaves = [topic.removeprefix(topics.root) for topic in (topics.availability, topics.info, topics.responses)]
    leaves += [f"/src/<id>/{leaf}" for leaf in ("availability", "state", "segment", "segment/last", "cmd")]
    for word in (*leaves, *SOURCE_VERBS, *AGENT_VERBS, *HINTS):
        assert f"`{word}`" in page, word


def test_every_cause_and_state_is_on_the_recording_page() -> None:
    page = text("docs/recording.md")
    for word in {*GapCause} - NOT_YET:
        assert f"`{word}`" in page, word
    for state in {*SourceState} - {SourceState.STOPPING}:
        assert f"`{state}`" in page, state


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
