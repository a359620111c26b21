import os
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.config import (
    AlsaSettings,
    DiscoverySettings,
    IcecastSettings,
    Secret,
    Settings,
    TestSettings,
    find_config,
    load,
)
from agent.config.show import effective
from agent.errors import ConfigError
from agent.model import EventRule, Hearing, SampleFormat

SMALL = """\
agent:
  id: shed
sources:
  - id: mic
    type: alsa
"""

FULL = """\
agent:
  id: shed
  name: Garden shed
  timezone: Europe/Berlin
  state_directory: state
recording:
  directory: audio
  period: 1h
  format: wav
  sync_interval: 5s
mqtt:
  host: broker
  port: 1884
  protocol: 3.1.1
  username: shed
  password: pa55word
  base_topic: home/isr
  discovery: {enabled: False, prefix: ha/discovery}
sources:
  - id: mic
    name: Microphone
    type: soundcard
    device: "hw:1,0"
    sample_rate: 96000
    channels: 2
    sample_format: S24_3LE
    latency: 20ms
    period: 5m
    format: flac
  - id: radio
    type: stream
    url: http://user:pa55word@host:8000/live?x=pa55word
  - id: tone
    type: test
    signal: tone
archive:
  host: "::1"
  port: 8081
"""

KEYS = b"a:\n" * 20_000
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ISR_CONFIG", "ISR_MQTT_HOST", "ISR_ARCHIVE_HOST", "ISR_RECORDINGS"):
        monkeypatch.delenv(name, raising=False)


def loaded(folder: Path, text: str | bytes) -> Settings:
    file = folder / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(file)


def problems(folder: Path, text: str | bytes) -> list[str]:
    """What is wrong, without the file's own name; one line each, in order of the lines."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    lines = str(caught.value).split("\n")
    start = f"{folder / 'config.yaml'}:"
    assert all(line.startswith(start) for line in lines)
    found = [line.removeprefix(start) for line in lines]
    numbers = [int(line.partition(":")[0]) for line in found]
    assert numbers == sorted(numbers)
    return found


def test_a_small_file_gets_the_defaults(tmp_path: Path) -> None:
    settings_ = loaded(tmp_path, SMALL)
    assert settings_.agent.name == settings_.agent.id == "shed"
    assert settings_.recordings == tmp_path / "recordings"
    assert settings_.agent.state_directory == tmp_path / "recordings" / ".state"
    assert settings_.mqtt is None
    assert (settings_.archive.host, settings_.archive.port) == ("127.0.0.1", 8080)
    (mic,) = settings_.sources
    assert isinstance(mic, AlsaSettings)
    assert (mic.device, mic.sample_rate_hz, mic.channels) == ("default", 48000, 1)
    assert mic.sample_format is SampleFormat.S16_LE
    assert (mic.recording.period_s, mic.recording.format, mic.recording.sync_interval_s) == (900, "flac", 2.0)


def test_a_full_file_says_everything(tmp_path: Path) -> None:
    settings_ = loaded(tmp_path, FULL)
    assert settings_.agent.timezone.key == "Europe/Berlin"
    assert not settings_.agent.timezone_guessed
    assert settings_.agent.state_directory == tmp_path / "state"
    assert settings_.recordings == tmp_path / "audio"
    assert settings_.mqtt is not None
    assert (settings_.mqtt.host, settings_.mqtt.port, settings_.mqtt.protocol) == ("broker", 1884, "3.1.1")
    assert settings_.mqtt.password == Secret("pa55word")
    assert settings_.mqtt.discovery == DiscoverySettings(enabled=False, prefix="ha/discovery")
    assert "mqtt.discovery.prefix: ha/discovery\n" in effective(settings_)
    mic, radio, tone = settings_.sources
    assert isinstance(mic, AlsaSettings)
    assert (mic.recording.period_s, mic.recording.format, mic.latency_s) == (300, "flac", 0.02)
    assert isinstance(radio, IcecastSettings)
    assert (radio.shown_url, radio.recording.period_s, radio.recording.format) == ("http://host:8000/live", 3600, "wav")
    assert isinstance(tone, TestSettings)
    assert tone.name == "tone"
    shown = effective(settings_)
    assert "pa55word" not in shown + repr(settings_)
    assert "sources[0].sample_format: S24_3LE\n" in shown


def test_the_environment_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISR_MQTT_HOST", "mosquitto")
    monkeypatch.setenv("ISR_RECORDINGS", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("ISR_ARCHIVE_HOST", "localhost")
    settings_ = loaded(tmp_path, FULL)
    assert settings_.mqtt is not None
    assert settings_.mqtt.host == "mosquitto"
    assert settings_.recordings == tmp_path / "elsewhere"
    assert settings_.archive.host == "localhost"
    monkeypatch.setenv("ISR_ARCHIVE_HOST", "0.0.0.0")
    (problem,) = problems(tmp_path, FULL)
    assert "0.0.0.0 (of the environment's ISR_ARCHIVE_HOST) can be reached from the network" in problem
    monkeypatch.setenv("ISR_ARCHIVE_HOST", "garage")
    (problem,) = problems(tmp_path, FULL)
    assert "ISR_ARCHIVE_HOST says 'garage': an address of this box is expected" in problem


def test_every_problem_is_named_at_once_with_its_line_and_key(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
agent:
  id: Shed
  timezone: Europe/Belin
  nmae: x
recording:
  period: 7m
  format: ogg
  sync_interval: 1h
mqtt:
  port: 70000
  protocol: 4
  password: pa55word
  base_topic: /isr
sources:
  - id: mic
    type: alsa
    sample_rate: fast
    channels: 9
  - id: mic
    type: alas
  - id: radio
    type: icecast
    url: ftp://pa55word@host
    format: flac
archive:
  host: garage
  port: http
extra: 1
""",
    )
    expected = [
        "2: agent.id: found 'Shed'",
        "3: agent.timezone: found 'Europe/Belin'",
        "4: agent.nmae: is not a key that is known; did you mean 'name'?",
        "6: recording.period: found '7m'",
        "7: recording.format: found 'ogg'",
        "8: recording.sync_interval: found '1h'",
        "10: mqtt.username: is missing",
        "10: mqtt.port: found '70000'",
        "11: mqtt.protocol: found '4'",
        "13: mqtt.base_topic: found '/isr'",
        "17: sources[0].sample_rate: found 'fast'",
        "18: sources[0].channels: FLAC holds up to 8",
        "19: sources[1].id: 'mic' is the id of the source in line 15",
        "20: sources[1].type: found 'alas'",
        "23: sources[2].url: ",
        "24: sources[2].format: is not a key that is known",
        "26: archive.host: found 'garage'",
        "27: archive.port: found 'http'",
        "28: extra: is not a key that is known",
    ]
    assert len(found) == len(expected)
    for want in expected:
        assert any(line.startswith(want) for line in found), (want, found)
    assert "pa55word" not in "".join(found)


def test_how_long_a_gap_may_be_to_be_filled(tmp_path: Path) -> None:
    assert [source.recording.fill_gaps_up_to_s for source in loaded(tmp_path, FULL).sources] == [1.0, 0.0, 1.0]
    text = SMALL.replace("sources:", "recording: {{fill_gaps_up_to: {}}}\nsources:") + "    fill_gaps_up_to: {}\n"
    for all_of_them, this_one, seconds in (("off", "250ms", 0.25), ("60s", "off", 0.0), ("2s", "0s", 0.0)):
        (mic,) = loaded(tmp_path, text.format(all_of_them, this_one)).sources
        assert mic.recording.fill_gaps_up_to_s == seconds
        assert f"sources[0].recording.fill_gaps_up_to_s: {seconds}\n" in effective(
            loaded(tmp_path, text.format(all_of_them, this_one))
        )
    expected = "off, or a duration up to 1m like 500ms or 1s, is expected"
    for wrong in ("61s", "1h", "1", "yes"):
        assert problems(tmp_path, text.format("1s", wrong)) == [
            f"7: sources[0].fill_gaps_up_to: found {wrong!r}: {expected}"
        ]
    stream = "agent: {id: shed}\nsources:\n  - {id: radio, type: icecast, fill_gaps_up_to: 1s, url: http://host/}\n"
    (problem,) = problems(tmp_path, stream)
    assert "fill_gaps_up_to: is not a key that is known" in problem


def test_home_assistant_is_told_unless_that_is_switched_off(tmp_path: Path) -> None:
    for lines in ("", "  discovery:\n"):
        settings_ = loaded(tmp_path, f"{SMALL}mqtt:\n  port: 1883\n{lines}")
        assert settings_.mqtt is not None
        assert settings_.mqtt.discovery == DiscoverySettings(enabled=True, prefix="homeassistant")
    found = problems(tmp_path, f"{SMALL}mqtt:\n  discovery: {{enabled: maybe, prefix: home/+, prefx: x}}\n")
    assert [line.partition(": found")[0] for line in found[:2]] == [
        "7: mqtt.discovery.enabled",
        "7: mqtt.discovery.prefix",
    ]
    assert "true or false is expected" in found[0]
    assert "did you mean 'prefix'?" in found[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: agent.id: is missing"),
        ("# nothing\n", "1: agent.id: is missing"),
        ("null\n", "1: agent.id: is missing"),
        ("- a\n- b\n", "found a list, but keys with values are expected"),
        ("just a text\n", "found 'just a text', but keys with values"),
        ("agent: [1, 2]\n", "agent: found a list"),
        ("agent:\n\tid: x\n", "2: is not YAML"),
        ("agent: {id: x\n", "is not YAML"),
        ("---\na: 1\n---\nb: 2\n", "is not YAML"),
        ("agent:\n  id: [x]\n", "2: agent.id: found a list, but a single value is expected"),
        ("sources: mic\n", "sources: found 'mic', but a list"),
        ("sources:\n  mic:\n    type: alsa\n", "sources: found keys with values, but a list"),
        ("sources:\n  - mic\n", "2: sources[0]: found 'mic', but keys with values"),
        ("sources: []\n", "has no source; nothing would be recorded"),
        ("? [a, b]\n: 1\n", "a key that is a plain word"),
        ("? {a: b}\n: 1\n", "a key that is a plain word"),
        ('"a\\nb": 1\n', "is not a key that is known"),
        ("agent:\n  id: a\n  id: b\n", "3: agent.id: is written twice"),
        ("agent:\n  id: a\nagent:\n  id: b\n", "3: agent: is written twice"),
        ("<<: {a: 1}\n", "<<: is not a key that is known"),
        ("agent:\n  id: 'open\n", "is not YAML"),
    ],
)
def test_files_that_are_odd_are_refused_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in line for line in problems(tmp_path, text))


@pytest.mark.parametrize("data", [b"\xff\xfe\x00a", b"agent: \x00", b"\x80\x81", b"a: \x07"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, data: bytes) -> None:
    assert any("is not YAML" in line for line in problems(tmp_path, data))
    assert any(line.startswith("3: is not YAML") for line in problems(tmp_path, b"a: 1\nb: 2\nc: \x07\n"))


@pytest.mark.parametrize("slip", ["\tname: x\n", "  name: 'open\n", "  name: a: b\n"])
def test_a_slip_in_the_yaml_is_said_alone_and_no_key_that_is_there_called_missing(tmp_path: Path, slip: str) -> None:
    (line,) = problems(tmp_path, SMALL.replace("  id: shed\n", f"  id: shed\n{slip}"))
    assert "is not YAML" in line


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert loaded(tmp_path, b"\xef\xbb\xbf" + SMALL.encode()).agent.id == "shed"


@pytest.mark.parametrize(
    ("word", "seen"),
    [("off", "off"), ("no", "no"), ("007", "007"), ("12:00", "12:00"), ("1e3", "1e3"), ("2026-11-22", "2026-11-22")],
)
def test_what_yaml_would_turn_into_something_else_stays_text(tmp_path: Path, word: str, seen: str) -> None:
    settings_ = loaded(tmp_path, SMALL.replace("id: mic", f"id: mic\n    name: {word}"))
    assert settings_.sources[0].name == seen
    assert any(f"found '{seen}'" in line for line in problems(tmp_path, SMALL + f"    period: {word}\n"))


def test_anchors_and_aliases_are_values_like_any_other(tmp_path: Path) -> None:
    settings_ = loaded(tmp_path, "agent: {id: &name shed}\nsources:\n  - {id: mic, type: test, name: *name}\n")
    assert settings_.sources[0].name == "shed"


def test_a_bomb_of_aliases_is_refused_quickly(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    assert len(problems(tmp_path, "\n".join(lines))) == 42


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "data",
    [b"[" * 1_000_000, b"{a: " * 300_000, b"- " * 500_000, b"x" * 1_000_000, bytes(range(128, 256)) * 8000, KEYS],
    ids=["lists", "mappings", "dashes", "word", "binary", "keys"],
)
def test_a_megabyte_of_nonsense_is_refused(tmp_path: Path, data: bytes) -> None:
    assert problems(tmp_path, data)


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"%@#,? \n\t0", max_size=60).map(str.encode))
@same_folder
def test_any_bytes_are_settings_or_a_config_error(tmp_path: Path, data: bytes) -> None:
    assert problems(tmp_path, data)


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


SECRETS = st.text(
    string.ascii_letters + string.digits + "!$%&*+-.,:;<=>?@^_|~'\"#[]{}() ", min_size=1, max_size=30
).map(lambda text: "hunter2" + text.replace("${", "{") + "hunter2")
PLACES = [
    "agent: {{id: shed}}\nsources: [{{id: mic, type: test}}]\nmqtt:\n  username: u\n  password: {}\n",
    "agent: {{id: SHED}}\nsources: []\nmqtt:\n  password: {}\n  port: x\n  password_file: /nonexistent/x\n",
    "agent: {{id: shed}}\nmqtt:\n  username: u\n  password: [{}]\n",
    "agent: {{id: shed}}\nmqtt:\n  username: u\n  password: {}\n  password: {}\n",
    "agent: {{id: shed}}\nmqtt:\n  pasword: {}\n",
    "agent: {{id: shed}}\nsources: [{{id: mic, type: test}}]\narchive: {{auth: basic, username: u, password: {}}}\n",
    "agent: {{id: shed}}\narchive:\n  password: {}\n  host: 0.0.0.0\n",
    "agent: {{id: shed}}\nsources: [{{id: r, type: icecast, url: http://u:{}@host/live}}]\n",
    "agent: {{id: shed}}\nsources: [{{id: r, type: icecast, url: http://host/live, headers: {{X-Token: {}}}}}]\n",
]


@given(
    SECRETS,
    st.sampled_from(PLACES),
    st.sampled_from(["{}", "'{}'", '"{}"', "*{}", "!{}", "&{} x", "!{}!x", "|{}", "%{}", "@{}"]),
)
@same_folder
@example("hunter2", PLACES[0], "*{}")
@example("hunter2,hunter2", PLACES[5], "{}")
@example("x,hunter2: y", PLACES[5], "{}")
@example("x,hunter2,hunter2", PLACES[5], "{}")
@example("x,hunter2", PLACES[7], "{}")
@example("x,hunter2", PLACES[8], "{}")
@example("hunter2", PLACES[0], "!{}!x")
def test_a_password_never_shows_wherever_and_however_it_is_written(
    tmp_path: Path, secret: str, place: str, quoting: str
) -> None:
    """Also unquoted, so that YAML makes of it what it likes."""
    written = quoting.replace("{}", secret)
    try:
        settings_ = loaded(tmp_path, place.replace("{{", "{").replace("}}", "}").replace("{}", written))
    except ConfigError as error:
        assert "hunter2" not in str(error) + repr(error)
    else:
        assert "hunter2" not in effective(settings_) + repr(settings_)


@given(st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:%", max_size=20).map("hunter2{}".format))
@same_folder
def test_a_password_in_an_address_never_shows(tmp_path: Path, secret: str) -> None:
    for address in (
        f"http://u:{secret}@host/live",
        f"http://{secret}@host/x",
        f"http://host/?k={secret}",
        f"ftp://{secret}",
    ):
        quoted = address.replace("'", "''")
        text = f"agent: {{id: shed}}\nsources:\n  - id: radio\n    type: icecast\n    url: '{quoted}'\n"
        try:
            settings_ = loaded(tmp_path, text)
        except ConfigError as error:
            assert "hunter2" not in str(error)
        else:
            assert "hunter2" not in effective(settings_) + repr(settings_)


@given(SECRETS)
@same_folder
def test_a_password_from_the_environment_or_a_file_arrives_and_never_shows(tmp_path: Path, secret: str) -> None:
    (tmp_path / "secret").write_text(secret + "\n", encoding="utf-8")
    for line in ("password: ${ISR_TEST_SECRET}", "password_file: secret"):
        with environment("ISR_TEST_SECRET", secret):
            settings_ = loaded(tmp_path, f"{SMALL}mqtt:\n  username: u\n  {line}\n")
        assert settings_.mqtt is not None
        assert settings_.mqtt.password == Secret(secret)
        assert "hunter2" not in effective(settings_) + repr(settings_)


def test_fallbacks_and_headers_arrive_and_never_show(tmp_path: Path) -> None:
    text = (
        "agent: {id: shed}\nsources:\n  - id: radio\n    type: icecast\n    url: http://host/a\n"
        "    fallback_urls: ['http://me:hunter2@host/b', 'http://host/c?hunter2']\n"
        "    headers: {X-Token: hunter2, Referer: 'http://host/'}\n"
    )
    settings_ = loaded(tmp_path, text)
    (radio,) = settings_.sources
    assert isinstance(radio, IcecastSettings)
    assert [url.reveal() for url in radio.fallback_urls] == ["http://me:hunter2@host/b", "http://host/c?hunter2"]
    assert radio.headers == (("X-Token", Secret("hunter2")), ("Referer", Secret("http://host/")))
    assert "hunter2" not in effective(settings_) + repr(settings_)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("fallback_urls: http://me:hunter2@host/b", "fallback_urls: found a single value, but a list like"),
        ("fallback_urls: [http://host/b, 'ftp://hunter2']", "fallback_urls[1]: ftp:// cannot be recorded"),
        ("fallback_urls: [[hunter2]]", "fallback_urls[0]: a single value is expected"),
        ("headers: {Host: hunter2}", "headers.Host: this header is made by the agent"),
        ("headers: {X-Token: [hunter2]}", "headers.X-Token: a single value is expected"),
        ("headers: [hunter2]", "headers: found a list, but keys with values are expected here"),
        ("header: {X-Token: hunter2}", "header: is not a key that is known; did you mean 'headers'?"),
    ],
)
def test_what_is_wrong_about_addresses_and_headers_is_told_without_showing_it(
    tmp_path: Path, line: str, said: str
) -> None:
    text = f"agent: {{id: shed}}\nsources:\n  - id: radio\n    type: icecast\n    url: http://host/a\n    {line}\n"
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(f"6: sources[0].{said}")
    assert "hunter2" not in problem


def test_two_passwords_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2", encoding="utf-8")
    found = problems(tmp_path, f"{SMALL}mqtt:\n  username: u\n  password: hunter2\n  password_file: secret\n")
    assert found == ["8: mqtt.password: is given as well as password_file; keep one of them"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sample_format: S32_LE", "FLAC cannot hold S32_LE"),
        ("sample_format: FLOAT_LE", "FLAC cannot hold FLOAT_LE"),
        ("channels: 9", "FLAC holds up to 8 channels"),
        ("sample_rate: 65537", "in steps of 10"),
    ],
)
def test_what_flac_cannot_hold_is_refused_with_a_way_out(tmp_path: Path, line: str, said: str) -> None:
    (problem,) = problems(tmp_path, f"{SMALL}    {line}\n")
    assert said in problem
    assert "format: wav" in problem
    assert loaded(tmp_path, f"{SMALL}    {line}\n    format: wav\n").sources


def test_the_file_is_looked_for_in_its_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="not found"):
        find_config(str(tmp_path / "named.yaml"))
    (tmp_path / "config.yaml").write_text(SMALL, encoding="utf-8")
    assert find_config(None) == Path("config.yaml")
    (tmp_path / "other.yaml").write_text(SMALL, encoding="utf-8")
    monkeypatch.setenv("ISR_CONFIG", str(tmp_path / "other.yaml"))
    assert find_config(None) == tmp_path / "other.yaml"
    assert find_config(str(tmp_path / "config.yaml")) == tmp_path / "config.yaml"


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "missing.yaml")


def test_what_is_listened_for_is_taken_over_by_every_source_and_can_be_changed_there(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        """
agent: {id: shed}
loudness:
  level_interval: 500ms
  events: {loud: {threshold: -30, hold: 1s}, silence: {min_duration: 10s}}
sources:
  - {id: a, type: test}
  - {id: b, type: test, level_interval: off, events: {loud: off, silence: {threshold: -70}}}
  - {id: c, type: test, events: {loud: {min_duration: 50ms}, silence: off}}
"""
    )
    a, b, c = (source.hearing for source in load(file).sources)
    assert a == Hearing(0.5, EventRule(-30, 3, 0.2, 1), EventRule(-60, 3, 10, 1))
    assert b == Hearing(None, None, EventRule(-70, 3, 10, 1))
    assert c == Hearing(0.5, EventRule(-30, 3, 0.05, 1), None)


def test_without_a_word_loud_sounds_are_listened_for(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("agent: {id: shed}\nsources: [{id: a, type: test}]\n")
    assert load(file).sources[0].hearing == Hearing(1.0, EventRule(-20, 3, 0.2, 2), None)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ("{loud: on}", "loudness.events.loud: found 'on': off, or keys like threshold"),
        ("{loud: {threshold: 3}}", "loudness.events.loud.threshold: found '3': a number from -119 to 0 is allowed"),
        ("{loud: {treshold: -3}}", "loudness.events.loud.treshold: is not a key that is known; did you mean"),
        ("{loud: {unit: lufs}}", "loudness.events.loud.unit: found 'lufs': allowed: dbfs"),
        ("{clipping: {samples: 3}}", "loudness.events.clipping: is not a key that is known"),
    ],
)
def test_what_is_wrong_about_events_is_told(events: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"agent: {{id: shed}}\nloudness:\n  events: {events}\nsources: [{{id: a, type: test}}]\n")
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert f"{file}:3: {said}" in str(refused.value)
