"""The keys of `retention`, of all sources and of one."""

from pathlib import Path

import pytest

from agent.config import load
from agent.config.show import effective
from agent.errors import ConfigError
from agent.model import Retention

BASE = """\
agent: {id: shed}
retention: %s
sources:
  - {id: mic, type: test, retention: %s}
  - {id: radio, type: test}
"""


def of(folder: Path, rules: str, own: str = "") -> tuple[Retention, Retention, Retention]:
    """The rules of all, of mic and of radio."""
    file = folder / "config.yaml"
    file.write_text(BASE % (rules, own))
    settings = load(file)
    mic, radio = settings.sources
    return settings.retention, mic.retention, radio.retention


def test_nothing_is_deleted_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert set(of(tmp_path, "")) == {Retention(None, None, None, False, None)}


def test_every_key(tmp_path: Path) -> None:
    text = "{max_age: 30d, max_size: 100GB, min_free: 2GB, protected_too: true, ledger_max_age: 365d}"
    whole, mic, _ = of(tmp_path, text)
    assert whole == Retention(30 * 86400.0, 100 * 10**9, 2 * 10**9, True, 365 * 86400.0)
    assert mic == Retention(30 * 86400.0, None, 2 * 10**9, True, 365 * 86400.0)


def test_a_source_has_its_own_and_the_rest_of_all(tmp_path: Path) -> None:
    _, mic, radio = of(tmp_path, "{max_age: 30d, min_free: 2GB}", "{max_age: 1d, max_size: 1GiB, min_free: off}")
    assert mic == Retention(86400.0, 1 << 30, None, False, None)
    assert radio == Retention(30 * 86400.0, None, 2 * 10**9, False, None)


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500 * 10**6), ("1TiB", 1 << 40), ("1.5 GB", 1_500_000_000), ("0B", 0), ("64KiB", 65536), ("1kB", 1000)],
)
def test_sizes(tmp_path: Path, text: str, size: int) -> None:
    assert of(tmp_path, f"{{max_size: {text}}}")[0].max_size_bytes == size


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            "{max_age: 30}",
            "retention.max_age: found '30': a number with ms, s, m, h or d is expected, like 15m; or off",
        ),
        ("{max_age: 10s}", "retention.max_age: found '10s': 1m to 36600d are allowed; or off"),
        ("{max_size: lots}", "retention.max_size: found 'lots': a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB"),
        ("{max_size: -1GB}", "retention.max_size: found '-1GB'"),
        ("{max_size: 9999999TB}", "no disk is that large"),
        ("{protected_too: perhaps}", "retention.protected_too: found 'perhaps': true or false is expected"),
        ("{max_ages: 3d}", "retention.max_ages: is not a key that is known; did you mean 'max_age'?"),
        ("30d", "retention: found '30d', but keys with values are expected here"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, rules: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of(tmp_path, rules)
    assert said in str(caught.value)


def test_of_a_source_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"yaml:4: sources\[0\]\.retention\.min_free: found 'x'"):
        of(tmp_path, "", "{min_free: x}")


def test_check_config_shows_them(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(BASE % ("{max_age: 30d}", "{max_size: 1GB}"))
    shown = effective(load(file)).splitlines()
    assert "retention.max_age_s: 2592000.0" in shown
    assert "retention.min_free_bytes: -" in shown
    assert "sources[0].retention.max_size_bytes: 1000000000" in shown
