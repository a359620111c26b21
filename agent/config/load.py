"""YAML to settings: every key there is, each with its default, all problems gathered."""

import ipaddress
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.archive_format.names import STATE_DIRECTORY
from agent.clock import box_timezone, is_timezone
from agent.codecs.flac import is_storable
from agent.config import values
from agent.config.node import Problems, Section, read
from agent.config.settings import (
    AgentSettings,
    AlsaSettings,
    ArchiveSettings,
    IcecastSettings,
    MqttSettings,
    RecordingSettings,
    Secret,
    Settings,
    SourceSettings,
    TestSettings,
)
from agent.errors import ConfigError
from agent.model import SampleFormat

DEFAULT_RECORDING = RecordingSettings(period_s=900, format="flac", sync_interval_s=2.0)
SIGNALS = ("bursts", "tone", "noise", "silence")
SOURCE_TYPES = {"alsa": "alsa", "soundcard": "alsa", "icecast": "icecast", "stream": "icecast", "test": "test"}
_PLACES = ("./config.yaml", "/etc/isr/config.yaml")


def find_config(named: str | None) -> Path:
    """The configuration file: the named one, `$ISR_CONFIG`, `./config.yaml` or `/etc/isr/config.yaml`."""
    wanted = named or os.environ.get("ISR_CONFIG")
    places = [Path(wanted)] if wanted else [Path(place) for place in _PLACES]
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(
        f"no configuration file: {' and '.join(str(place) for place in places)} not found",
        hint="name one with --config, or copy config.example.yaml to config.yaml",
    )


def load(file: Path) -> Settings:
    """The settings of a file. Raises ConfigError with all problems, one a line, each with file, line and key."""
    problems = Problems(str(file))
    try:
        root = read(file, problems)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    folder = file.resolve().parent
    recording = root.section("recording")
    directory = recording.value("directory", values.text, "recordings")
    recordings = folder / (os.environ.get("ISR_RECORDINGS") or directory)
    settings = Settings(
        file=file.resolve(),
        agent=_agent(root.section("agent"), folder, recordings),
        recordings=recordings,
        mqtt=_mqtt(root.section("mqtt"), folder) if "mqtt" in root else None,
        sources=tuple(_sources(root, _recording(recording, DEFAULT_RECORDING))),
        archive=_archive(root.section("archive")),
    )
    root.section("mqtt")
    recording.close()
    root.close()
    if problems.lines:
        raise ConfigError(str(problems))
    return settings


def _agent(section: Section, folder: Path, recordings: Path) -> AgentSettings:
    agent_id = section.required("id", values.agent_identifier, "agent")
    box_zone = box_timezone()
    zone = section.value("timezone", _zone, None)
    state = section.value("state_directory", values.text, "")
    settings = AgentSettings(
        id=agent_id,
        name=section.value("name", values.text, agent_id),
        timezone=zone or ZoneInfo(box_zone or "UTC"),
        timezone_guessed=zone is None and box_zone is None,
        state_directory=folder / state if state else recordings / STATE_DIRECTORY,
    )
    section.close()
    return settings


def _zone(name: str) -> ZoneInfo | None:
    if not is_timezone(name):
        raise ValueError("is not a time zone of the IANA database; one like Europe/Berlin is expected")
    return ZoneInfo(name)


def _recording(section: Section, default: RecordingSettings, *, stream: bool = False) -> RecordingSettings:
    """The recording keys of a section; a stream keeps its own container, so it has no `format`."""
    container = default.format if stream else section.value("format", values.one_of("flac", "wav"), default.format)
    return RecordingSettings(
        period_s=section.value("period", values.period_s, default.period_s),
        format=container,
        sync_interval_s=section.value("sync_interval", values.between_s(0.5, 60), default.sync_interval_s),
    )


def _mqtt(section: Section, folder: Path) -> MqttSettings:
    password = section.secret("password", values.secret)
    from_file = section.secret("password_file", values.secret_file(folder))
    if "password" in section and "password_file" in section:
        section.problem("is given as well as password_file; keep one of them", key="password")
    username = section.value("username", values.text, "") or None
    if (password or from_file) and not username:
        section.problem("is missing, but there is a password", key="username")
    host = section.value("host", values.text, "localhost")
    settings = MqttSettings(
        host=os.environ.get("ISR_MQTT_HOST") or host,
        port=section.value("port", values.whole(1, 65535), 1883),
        protocol=section.value("protocol", values.one_of("auto", "5", "3.1.1"), "auto"),
        username=username,
        password=password or from_file,
        base_topic=section.value("base_topic", values.topic, "isr"),
    )
    section.close()
    return settings


def _sources(root: Section, recording: RecordingSettings) -> Iterator[SourceSettings]:
    seen: dict[str, int] = {}
    for section in root.sections("sources"):
        source_id = section.required("id", values.identifier, "")
        if source_id and source_id in seen:
            section.problem(f"{source_id!r} is the id of the source in line {seen[source_id]} as well", key="id")
        seen.setdefault(source_id, section.line)
        kind = section.required("type", values.one_of(*SOURCE_TYPES), "")
        name = section.value("name", values.text, source_id)
        if kind:
            yield _READERS[SOURCE_TYPES[kind]](section, source_id, name, recording)
            section.close()
    if not seen:
        root.problem("has no source; nothing would be recorded", key="sources")


def _alsa(section: Section, source_id: str, name: str, recording: RecordingSettings) -> AlsaSettings:
    settings = AlsaSettings(
        id=source_id,
        name=name,
        recording=_recording(section, recording),
        device=section.value("device", values.text, "default"),
        sample_rate_hz=section.value("sample_rate", values.whole(4000, 768000), 48000),
        channels=section.value("channels", values.whole(1, 32), 1),
        sample_format=section.value("sample_format", values.member(SampleFormat), SampleFormat.S16_LE),
        latency_s=_latency_s(section),
    )
    _check_container(section, settings)
    return settings


def _test(section: Section, source_id: str, name: str, recording: RecordingSettings) -> TestSettings:
    settings = TestSettings(
        id=source_id,
        name=name,
        recording=_recording(section, recording),
        signal=section.value("signal", values.one_of(*SIGNALS), "bursts"),
        sample_rate_hz=section.value("sample_rate", values.whole(4000, 768000), 48000),
        channels=section.value("channels", values.whole(1, 32), 1),
        sample_format=section.value("sample_format", values.member(SampleFormat), SampleFormat.S16_LE),
        latency_s=_latency_s(section),
    )
    _check_container(section, settings)
    return settings


def _icecast(section: Section, source_id: str, name: str, recording: RecordingSettings) -> IcecastSettings:
    if "url" in section:
        url = section.secret("url", values.stream_url) or Secret("")
    else:
        url = section.required("url", values.stream_url, Secret(""))
    return IcecastSettings(
        id=source_id,
        name=name,
        recording=_recording(section, recording, stream=True),
        url=url,
        shown_url=values.shown_url(url) if url.reveal() else "",
        latency_s=_latency_s(section),
    )


_Reader = Callable[[Section, str, str, RecordingSettings], SourceSettings]
_READERS: dict[str, _Reader] = {"alsa": _alsa, "icecast": _icecast, "test": _test}


def _latency_s(section: Section) -> float:
    return section.value("latency", values.between_s(0, 10), 0.0)


def _check_container(section: Section, settings: AlsaSettings | TestSettings) -> None:
    """FLAC holds up to 24 bit and 8 channels, and not every rate."""
    if settings.recording.format != "flac":
        return
    if settings.sample_format in (SampleFormat.S32_LE, SampleFormat.FLOAT_LE):
        section.problem(
            f"FLAC cannot hold {settings.sample_format}; set format: wav for this source, or use S24_LE or S24_3LE",
            key="sample_format",
        )
    if settings.channels > 8:
        section.problem("FLAC holds up to 8 channels; set format: wav for this source", key="channels")
    elif not is_storable(settings.sample_rate_hz, settings.channels):
        section.problem(
            "FLAC holds rates above 65535 in steps of 10; set format: wav for this source", key="sample_rate"
        )


def _archive(section: Section) -> ArchiveSettings:
    host = section.value("host", _loopback, "127.0.0.1")
    override = os.environ.get("ISR_ARCHIVE_HOST")
    if override:
        try:
            host = _loopback(override)
        except ValueError as error:
            section.problem(f"the environment's ISR_ARCHIVE_HOST says {override!r}: {error}", key="host")
    settings = ArchiveSettings(host=host, port=section.value("port", values.whole(1, 65535), 8080))
    section.close()
    return settings


def _loopback(text: str) -> str:
    try:
        is_loopback = text == "localhost" or ipaddress.ip_address(text).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(
            "the archive asks nobody for a password yet, so only 127.0.0.1, ::1 and localhost are allowed;"
            " a reverse proxy on this box can put a password before it"
        )
    return text
