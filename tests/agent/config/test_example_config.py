import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.config import Settings, load
from agent.config.node import Section

EXAMPLE = Path(__file__).resolve().parents[3] / "config.example.yaml"
_COMMENTED = re.compile(r"^(\s*)#(\w+:)", re.MULTILINE)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "x")
    for name in ("ISR_MQTT_HOST", "ISR_ARCHIVE_HOST", "ISR_RECORDINGS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Every key that the reader asks for while this lasts, as (section, key)."""
    found: set[tuple[str, str]] = set()

    def note(section: Section, key: str) -> None:
        # The blocks of events and of retention are the same in every source: they are shown once.
        place = re.sub(r"sources\[\d+\](?=\.events)", "loudness", section.path)
        place = re.sub(r"sources\[\d+\]\.(?=retention)", "", place).partition("[")[0]
        found.add((place, key))

    for name in ("value", "values", "secret", "secrets", "required", "section", "sections"):
        real = getattr(Section, name)

        def noted(self: Section, key: str, *args: Any, _real: Any = real, **kwargs: Any) -> Any:  # noqa: ANN401
            note(self, key)
            return _real(self, key, *args, **kwargs)

        monkeypatch.setattr(Section, name, noted)
    return found


def every_key_shown() -> str:
    """The example with what is commented out put in, but for the second ways to give a password."""
    return _COMMENTED.sub(r"\1\2", EXAMPLE.read_text(encoding="utf-8")).replace("  password_file:", "  #password_file:")


def keys_of(text: str) -> Iterator[tuple[str, str]]:
    """(section, key) of every key that stands in the text, commented out or not; a section in another is `a.b`."""
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = re.match(r"^(\s*(?:- )?)#?(\w+):", line)
        if match is None:
            continue
        depth = len(match[1])
        above = [(where, name) for where, name in above if where < depth]
        yield ".".join(name for _, name in above), match[2]
        above.append((depth, match[2]))


def test_the_example_loads() -> None:
    settings = load(EXAMPLE)
    assert [source.type for source in settings.sources] == ["alsa", "icecast", "test"]
    assert settings.mqtt is not None


def test_it_names_every_key_that_there_is_and_no_other(asked: set[tuple[str, str]], tmp_path: Path) -> None:
    shown = tmp_path / "config.yaml"
    shown.write_text(every_key_shown(), encoding="utf-8")
    load(shown)
    assert asked == set(keys_of(EXAMPLE.read_text(encoding="utf-8")))


def test_what_is_commented_out_shows_the_default(tmp_path: Path) -> None:
    def of(text: str) -> Settings:
        file = tmp_path / "config.yaml"
        file.write_text(text, encoding="utf-8")
        return replace(load(file), file=file)

    plain, shown = EXAMPLE.read_text(encoding="utf-8"), every_key_shown()
    assert shown.count("\n") == plain.count("\n")
    assert shown != plain
    assert of(shown) == of(plain)
