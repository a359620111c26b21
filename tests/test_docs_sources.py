"""The page on sources: its examples are configurations, and its messages are those of the program."""

import re
from pathlib import Path

import pytest

from agent.config import load
from agent.sources.shoutcast import READ_S

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
MESSAGES = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("| message |")[2], re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_is_a_configuration(example: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(example, encoding="utf-8")
    assert load(file).sources


def test_every_message_is_one_of_the_program() -> None:
    """Its words stand in the program; what comes behind these beginnings is put in there."""
    places = [*ROOT.glob("agent/sources/*.py"), *ROOT.glob("agent/codecs/*.py")]
    program = "".join(path.read_text(encoding="utf-8") for path in places)
    program = program.replace("{READ_S:g}", f"{READ_S:g}").replace("{_REDIRECTS_MAX}", "5")
    assert len(MESSAGES) > 15
    for message in MESSAGES:
        begins = next(
            (words for words in ("cannot connect: ", "the server answered ") if message.startswith(words)), ""
        )
        assert begins in program
        assert message.removeprefix(begins) in program, message
