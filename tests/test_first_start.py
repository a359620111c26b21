"""What a box gets at its first start, and that nothing a user has is touched by a later one."""

from __future__ import annotations

import re
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import AlsaSettings, TestSettings, load
from agent.config.node import Problems, read
from agent.config.values import RESERVED_IDS, agent_identifier, identifier
from agent.errors import ConfigError, SourceFault
from agent.first_start import first_config
from agent.first_start.__main__ import main, prepare
from agent.first_start.files import BROKER_USERS, rewrite, write_new
from agent.first_start.ports import with_port
from agent.first_start.render import agent_id, options_with, quoted, render_config, source_ids
from agent.model import GapCause
from agent.sources.devices import Device
from tests.parts.process import free_port

_PORTS = st.integers(1, 65535)
_DEVICES = st.builds(
    lambda number, name, card: Device(f"hw:CARD={card},DEV={number}", name, card, f"hw:0,{number}"),
    st.integers(0, 9),
    st.text(max_size=300),
    st.from_regex(r"[A-Za-z0-9_]{1,15}", fullmatch=True),
)


@pytest.fixture(autouse=True)
def no_sound_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_config, "list_devices", list)


@given(st.one_of(st.text(), st.sampled_from([*RESERVED_IDS, "null", "My_Pi.local", "-", "x" * 40])))
def test_any_host_name_makes_an_allowed_id(hostname: str) -> None:
    assert agent_identifier(agent_id(hostname)) != "null"


def test_a_host_name_stays_recognisable() -> None:
    assert [agent_id(name) for name in ("raspberrypi", "Garden_Shed.local", "operator", "---")] == [
        "raspberrypi",
        "garden-shed",
        "operator-recorder",
        "recorder",
    ]


@given(st.lists(st.one_of(st.text(), st.just("Mic"), st.just("x" * 40))))
def test_every_source_gets_an_allowed_id_of_its_own(names: list[str]) -> None:
    ids = source_ids(names)
    assert len(set(ids)) == len(names)
    assert all(identifier(name) for name in ids)


@given(st.text())
def test_any_text_can_be_quoted(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(f"name: {quoted(text)}\n", encoding="utf-8")
        problems = Problems("config.yaml")
        found = read(file, problems).value("name", str, "missing")
    assert problems.lines == []
    if text.isprintable() and text.strip() and len(text) <= 200:
        assert found == text.strip()


@given(st.text(min_size=1, max_size=80), st.lists(_DEVICES, max_size=4), _PORTS, _PORTS)
def test_the_first_configuration_is_accepted(hostname: str, devices: list[Device], mqtt: int, page: int) -> None:
    agent = agent_id(hostname)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        (file.parent / "secrets").mkdir()
        (file.parent / "secrets" / f"mqtt-{agent}").write_text("word\n")
        text = render_config(
            agent=agent, name=hostname, zone="Europe/Berlin", devices=devices, mqtt_port=mqtt, page_port=page
        )
        file.write_text(text, encoding="utf-8")
        settings = load(file)
    assert settings.mqtt is not None
    assert (settings.mqtt.port, settings.archive.port, settings.mqtt.username) == (mqtt, page, agent)
    if devices:
        found = [source.device for source in settings.sources if isinstance(source, AlsaSettings)]
        assert found == [f"plug{device.device}" for device in devices]


def test_without_a_sound_card_there_is_a_test_signal_in_short_files(tmp_path: Path) -> None:
    prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=lambda _: None)
    (source,) = load(tmp_path / "config.yaml").sources
    assert isinstance(source, TestSettings)
    assert source.recording.period_s == 60


def test_without_arecord_there_is_a_test_signal_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_arecord() -> list[Device]:
        raise SourceFault(GapCause.DEVICE_LOST, "the program arecord is not installed")

    monkeypatch.setattr(first_config, "list_devices", no_arecord)
    said: list[str] = []
    facts = prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=said.append)
    assert facts.source == "test"
    assert "arecord is not installed" in said[0]


def test_an_unknown_zone_is_left_to_the_user() -> None:
    text = render_config(agent="shed", name="shed", zone=None, devices=[], mqtt_port=1883, page_port=8080)
    assert re.search(r"^  # timezone: ", text, re.MULTILINE)


@given(_PORTS, _PORTS, st.sampled_from(["  port: {}", "  port: '{}'  # port: 1", "mqtt: {{host: x, port: {}}}"]))
def test_a_port_is_replaced_and_nothing_else(old: int, new: int, line: str) -> None:
    text = "# port: 1883\nmqtt:\n{}\nother: {}\n"
    assert with_port(text.format(line.format(old), old), 3, old, new) == text.format(line.format(new), old)


def test_a_port_that_is_written_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        with_port("mqtt:\n  host: localhost\n", 2, 1883, 1884)


def test_password_and_port_of_the_options_are_replaced_and_nothing_else() -> None:
    before, after = "-h box\n-p 1883\n-P -p-1883\n-u x\n", "-h box\n-p 2000\n-P \\1new\n-u x\n"
    assert options_with(before, "\\1new", 2000) == after


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(tmp_path / "on a disk that is not plugged in")
    assert write_new(file, "first")
    assert not write_new(file, "second")
    assert not write_new(link, "second")
    assert file.read_text() == "first"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_rewritten_file_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    rewrite(link, "new")
    assert link.is_symlink()
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", 0o640)


def test_secrets_are_for_the_owner_alone(tmp_path: Path) -> None:
    prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=lambda _: None)
    folders = [tmp_path / name for name in ("secrets", "secrets/operator", "secrets/viewer", ".run")]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    named = {f"mqtt-{user}" for user in BROKER_USERS}
    assert named | {"mosquitto_pub", "mosquitto_sub", "passwd.new"} <= {file.name for file in files}
    hashed = dict(line.split(":") for line in (tmp_path / ".run/passwd.new").read_text().splitlines())
    assert {"operator", "viewer", "homeassistant", "archive"} < set(hashed)
    assert len(set(hashed.values())) == len(hashed)


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    first = prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=lambda _: None)
    before = _texts(tmp_path)
    said: list[str] = []
    assert prepare(tmp_path, mqtt_port=1, page_port=2, say=said.append) == first
    assert _texts(tmp_path) == before
    assert said == []


def test_passwords_differ_and_missing_ones_are_made_again(tmp_path: Path) -> None:
    facts = prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=lambda _: None)
    agent, operator = tmp_path / "secrets" / f"mqtt-{facts.agent}", tmp_path / "secrets" / "mqtt-operator"
    assert len({agent.read_text(), operator.read_text()}) == 2
    kept = operator.read_text()
    agent.unlink()
    prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None)
    assert len(agent.read_text()) > 20
    assert operator.read_text() == kept


def test_an_installation_from_before_gets_the_users_that_it_lacks(tmp_path: Path) -> None:
    prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=lambda _: None)
    before = _texts(tmp_path)
    for user in ("homeassistant", "viewer", "archive"):
        (tmp_path / "secrets" / f"mqtt-{user}").unlink()
    prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None)
    after = _texts(tmp_path)
    assert set(after) == set(before)
    changed = {path.name for path in after if after[path] != before[path]}
    assert changed >= {"mqtt-homeassistant", "mqtt-viewer", "mqtt-archive", "passwd.new"}
    assert not changed & {"config.yaml", "mqtt-operator"}
    password = after[tmp_path / "secrets/mqtt-viewer"].strip()
    assert f"-u viewer\n-P {password}\n" in after[tmp_path / "secrets/viewer/mosquitto_pub"]


def test_for_the_network_a_password_is_made_once(tmp_path: Path) -> None:
    page = free_port()
    config = f"agent: {{id: shed}}\nsources: [{{id: a, type: test}}]\narchive: {{port: {page}}}\n"
    (tmp_path / "config.yaml").write_text(config)
    file = tmp_path / "secrets/archive"
    alone = prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None)
    assert (alone.page_host, alone.page_user, file.exists()) == ("127.0.0.1", "", False)
    facts = prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None, lan=True)
    assert (facts.page_host, facts.page_user, facts.page_password) == ("0.0.0.0", "isr", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = file.read_text()
    assert len(made.strip()) >= 16
    assert prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None, lan=True) == facts
    assert file.read_text() == made
    assert (tmp_path / "config.yaml").read_text() == config
    file.write_text("\n")
    with pytest.raises(ConfigError, match="is empty[^$]*makes a new password"):
        prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None, lan=True)


def test_taken_ports_are_replaced_in_their_lines(tmp_path: Path) -> None:
    facts = prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=lambda _: None)
    before = (tmp_path / "config.yaml").read_text().replace("\n", "\r\n")
    (tmp_path / "config.yaml").write_bytes(before.encode())
    said: list[str] = []
    with _listening(facts.mqtt_port), _listening(facts.page_port):
        later = prepare(tmp_path, mqtt_port=1883, page_port=8080, say=said.append)
    assert later.mqtt_port != facts.mqtt_port
    assert later.page_port not in (facts.page_port, later.mqtt_port)
    assert [str(port) in line for port, line in zip((later.mqtt_port, later.page_port), said, strict=True)] == [
        True
    ] * 2
    expected = before.replace(str(facts.mqtt_port), str(later.mqtt_port))
    expected = expected.replace(str(facts.page_port), str(later.page_port))
    assert (tmp_path / "config.yaml").read_bytes() == expected.encode()
    assert f"-p {later.mqtt_port}\n" in (tmp_path / "secrets/operator/mosquitto_pub").read_text()


def test_a_taken_port_that_is_not_written_down_is_a_clear_error(tmp_path: Path) -> None:
    facts = prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=lambda _: None)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace(f"port: {facts.page_port}", f"port:\n    {facts.page_port}"))
    with (
        _listening(facts.page_port),
        pytest.raises(ConfigError, match=rf"archive\.port {facts.page_port} is taken[^$]*write  port: \d+"),
    ):
        prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("host: localhost", "host: broker.example"),
        ("  password_file: secrets/mqtt-", "  password: own # "),
        ("  username: ", "  username: own # "),
    ],
)
def test_another_broker_or_user_is_left_to_its_owner(tmp_path: Path, old: str, new: str) -> None:
    facts = prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=lambda _: None)
    assert facts.own_broker
    config = tmp_path / "config.yaml"
    changed = config.read_text().replace(old, new)
    config.write_text(changed)
    with _listening(facts.mqtt_port):
        assert not prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None).own_broker
    assert config.read_text() == changed


def test_a_configuration_without_mqtt_needs_no_broker(tmp_path: Path) -> None:
    page = free_port()
    text = f"agent: {{id: shed}}\nsources: [{{id: a, type: test}}]\narchive: {{port: {page}}}\n"
    (tmp_path / "config.yaml").write_text(text)
    facts = prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None)
    assert (facts.own_broker, facts.source, facts.page_port) == (False, "a", page)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml"]


def test_the_shipped_broker_is_not_used_with_another_base_topic(tmp_path: Path) -> None:
    prepare(tmp_path, mqtt_port=free_port(), page_port=free_port(), say=lambda _: None)
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("base_topic: isr", "base_topic: other"))
    with pytest.raises(ConfigError, match="base_topic is other"):
        prepare(tmp_path, mqtt_port=1883, page_port=8080, say=lambda _: None)


def test_a_wrong_configuration_is_code_2_with_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("agent: {id: Shed}\nsources: [{id: a, type: tests}]\n")
    assert main(["--dir", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "config.yaml:1: agent.id" in printed.err
    assert "config.yaml:2: sources[0].type" in printed.err


def test_facts_come_out_for_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mqtt, page = free_port(), free_port()
    assert main(["--dir", str(tmp_path), "--mqtt-port", str(mqtt), "--page-port", str(page)]) == 0
    facts = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert facts["own_broker"] == "1"
    assert (facts["mqtt_port"], facts["page_port"]) == (str(mqtt), str(page))
    assert facts["recordings"] == str(tmp_path / "recordings")


def test_the_first_start_makes_the_folder_of_recordings_and_no_later_one_does(tmp_path: Path) -> None:
    """The page must find it; later it may be the place of a disk that is not mounted."""
    assert main(["--dir", str(tmp_path)]) == 0
    (tmp_path / "recordings").rmdir()
    assert main(["--dir", str(tmp_path)]) == 0
    assert not (tmp_path / "recordings").exists()


def _texts(folder: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


def _listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))
