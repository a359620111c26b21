"""Who may see the archive: what is refused so that nobody opens it to a network by mistake."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import ArchiveSettings, Secret, load, on_the_network
from agent.config.archive import LAN_USER, is_loopback
from agent.config.show import effective
from agent.config.values import boolean, host_name
from agent.errors import ConfigError

BASIC = "auth: basic, username: me, password: word"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISR_ARCHIVE_HOST", raising=False)


def archive(tmp_path: Path, keys: str) -> ArchiveSettings:
    file = tmp_path / "config.yaml"
    file.write_text(f"agent: {{id: shed}}\nsources: [{{id: mic, type: test}}]\narchive: {{{keys}}}\n", encoding="utf-8")
    settings = load(file)
    assert "hunter2" not in effective(settings) + repr(settings)
    return settings.archive


def problem(tmp_path: Path, keys: str) -> str:
    with pytest.raises(ConfigError) as caught:
        archive(tmp_path, keys)
    assert "hunter2" not in str(caught.value)
    (line,) = str(caught.value).splitlines()
    return line.removeprefix(f"{tmp_path}/config.yaml:3: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "'::1'", "localhost"])
def test_on_this_box_nobody_has_to_be_asked(tmp_path: Path, host: str) -> None:
    settings = archive(tmp_path, f"host: {host}")
    assert (settings.auth, settings.username, settings.password) == ("none", None, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "'::'", "192.168.1.7", "'fd00::7'"])
@pytest.mark.parametrize("more", ["", ", auth: none", ", allow_unauthenticated: true", ", auth: none,"])
def test_a_network_without_a_password_has_to_be_said_twice(tmp_path: Path, host: str, more: str) -> None:
    said = problem(tmp_path, f"host: {host}{more}")
    assert said.startswith(f"archive.host: {host.strip(chr(39))} can be reached from the network")
    assert "auth: basic" in said
    assert "auth: none and allow_unauthenticated: true" in said
    assert archive(tmp_path, f"host: {host}, auth: none, allow_unauthenticated: yes").allow_unauthenticated
    assert archive(tmp_path, f"host: {host}, {BASIC}").auth == "basic"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("auth: basic, password: hunter2", "archive.username: is missing, but auth: basic needs it"),
        ("auth: basic, username: me", "archive.password: is missing, but auth: basic needs it"),
        ("auth: basic, username: me, password: ''", "archive.password: is empty"),
        ("auth: basic, username: me, password: '${ISR_EMPTY}'", "archive.password: is empty"),
        ("auth: basic, username: me, password: '${ISR_NONE}'", "archive.password: the environment has no ISR_NONE"),
        ('auth: basic, username: me, password: "hunter2\\u0007"', "archive.password: has characters in it"),
        ("auth: basic, username: me, password_file: none", "archive.password_file: "),
        ("auth: basic, username: me, password_file: odd", "archive.password_file: has characters in it"),
        (f"{BASIC}, password_file: good", "archive.password: is given as well as password_file"),
        ("auth: basic, username: 'a:b', password: hunter2", "archive.username: found 'a:b': a ':' is not allowed"),
        ("auth: token", "archive.auth: found 'token': allowed: none, basic"),
        ("auth: proxy, host: 0.0.0.0", "archive.auth: found 'proxy': allowed: none, basic"),
        ("auth: basik, password: hunter2", "archive.auth: found 'basik': allowed: none, basic; did you mean 'basic'?"),
        ("username: me", "archive.username: is given, but nobody is asked for it; set auth: basic"),
        ("password: hunter2", "archive.password: is given, but nobody is asked for it; set auth: basic"),
        ("password_file: good", "archive.password_file: is given, but nobody is asked"),
        ("host: garage", "archive.host: found 'garage': an address of this box is expected"),
        ("allow_unauthenticated: maybe", "archive.allow_unauthenticated: found 'maybe': true or false is expected"),
        ("allowed_hosts: x.example", "archive.allowed_hosts: found 'x.example', but a list like [one, two]"),
        ("allowed_hosts: [a.example, 'b:80']", "archive.allowed_hosts[1]: found 'b:80': a host name without port"),
        ("allowed_hosts: ['*']", "archive.allowed_hosts[0]: found '*': a host name"),
        ("allowed_hosts: [[a]]", "archive.allowed_hosts[0]: found a list: a single value is expected"),
        ("allowed_hosts: [null]", "archive.allowed_hosts[0]: found 'null': a single value is expected"),
        ("tokens: []", "archive.tokens: is not a key that is known"),
    ],
)
def test_what_is_wrong_is_said_once_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str, said: str
) -> None:
    monkeypatch.setenv("ISR_EMPTY", "")
    (tmp_path / "odd").write_text("hunter2\x07\n")
    (tmp_path / "good").write_text("hunter2\n")
    assert problem(tmp_path, keys).startswith(said)


def test_a_password_comes_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "page").write_text("hunter2 größe\n", encoding="utf-8")
    settings = archive(tmp_path, "auth: basic, username: müller, password_file: secrets/page")
    assert (settings.username, settings.password) == ("müller", Secret("hunter2 größe"))


def test_names_of_the_host_are_in_lower_case(tmp_path: Path) -> None:
    assert archive(tmp_path, "allowed_hosts: [Rec.Example., shed_2]").allowed_hosts == ("rec.example", "shed_2")
    assert archive(tmp_path, "allowed_hosts:").allowed_hosts == ()


@given(st.sampled_from(["true", "Yes", "ON", "false", "no", "Off"]))
def test_yes_and_no_in_yaml_s_words(word: str) -> None:
    assert boolean(word) is (word.lower() in ("true", "yes", "on"))


@given(st.text(max_size=20))
def test_a_host_name_is_plain_or_refused(text: str) -> None:
    try:
        found = host_name(text)
    except ValueError:
        return
    assert found == found.lower()
    assert not set(found) & set(":/@[] *?#")


_SETTINGS = st.builds(
    ArchiveSettings,
    state_directory=st.just(Path("state")),
    host=st.sampled_from(["127.0.0.1", "::1", "localhost", "0.0.0.0", "192.168.1.7", "fd00::7"]),
    port=st.integers(1, 65535),
    auth=st.sampled_from(["none", "basic"]),
    username=st.just("me"),
    password=st.just(Secret("own")),
    allow_unauthenticated=st.booleans(),
    allowed_hosts=st.just(("a.example",)),
)


@given(_SETTINGS)
def test_to_the_network_only_with_a_password(settings: ArchiveSettings) -> None:
    asked: list[Secret] = []

    def generated() -> Secret:
        asked.append(Secret("generated"))
        return asked[-1]

    changed = on_the_network(settings, generated)
    assert changed.auth == "basic"
    assert not is_loopback(changed.host)
    if not is_loopback(settings.host):
        assert changed.host == settings.host
    own = settings.auth == "basic"
    assert (changed.username, changed.password) == (("me", Secret("own")) if own else (LAN_USER, Secret("generated")))
    assert len(asked) == (0 if own else 1)
    same = replace(changed, host=settings.host, auth=settings.auth, username="me", password=Secret("own"))
    assert same == settings
