"""YAML to settings: every key there is, each with its default, all problems gathered."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from agent.archive_format.names import STATE_DIRECTORY
from agent.clock import box_timezone, is_timezone
from agent.codecs.flac import is_storable
from agent.config import hearing, retention, values
from agent.config.archive import read_archive
from agent.config.device import device
from agent.config.node import Problems, Section, read
from agent.config.settings import (
    AgentSettings,
    AlsaSettings,
    DiscoverySettings,
    IcecastSettings,
    MqttSettings,
    RecordingSettings,
    Secret,
    Settings,
    SourceSettings,
    TestSettings,
)
from agent.errors import ConfigError
from agent.model import Hearing, Retention, SampleFormat

DEFAULT_RECORDING = RecordingSettings(period_s=900, format="flac", sync_interval_s=2.0, fill_gaps_up_to_s=1.0)
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
    if not problems.is_yaml:  # every key would be called missing, also those that are there
        raise ConfigError(str(problems))
    folder = file.resolve().parent
    recording = root.section("recording")
    loudness = root.section("loudness")
    kept = retention.read(root.section("retention"), retention.DEFAULT)
    directory = recording.value("directory", values.text, "recordings")
    recordings = folder / (os.environ.get("ISR_RECORDINGS") or directory)
    settings = Settings(
        file=file.resolve(),
        agent=_agent(root.section("agent"), folder, recordings),
        recordings=recordings,
        retention=kept,
        mqtt=_mqtt(root.section("mqtt"), folder) if "mqtt" in root else None,
        sources=tuple(
            _sources(root, _recording(recording, DEFAULT_RECORDING), hearing.read(loudness, hearing.DEFAULT), kept)
        ),
        archive=read_archive(root.section("archive"), folder, recordings),
    )
    root.section("mqtt")
    recording.close()
    loudness.close()
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
    """The recording keys of a section; a stream keeps its own container and is never filled, so it has neither key."""
    container, fill_s = default.format, 0.0
    if not stream:
        container = section.value("format", values.one_of("flac", "wav"), default.format)
        fill_s = section.value("fill_gaps_up_to", values.off_or_up_to_s(60), default.fill_gaps_up_to_s)
    return RecordingSettings(
        period_s=section.value("period", values.period_s, default.period_s),
        format=container,
        sync_interval_s=section.value("sync_interval", values.between_s(0.5, 60), default.sync_interval_s),
        fill_gaps_up_to_s=fill_s,
    )


def _mqtt(section: Section, folder: Path) -> MqttSettings:
    password = section.password(values.secret, values.secret_file(folder))
    username = section.value("username", values.text, "") or None
    if password and not username:
        section.problem("is missing, but there is a password", key="username")
    host = section.value("host", values.text, "localhost")
    settings = MqttSettings(
        host=os.environ.get("ISR_MQTT_HOST") or host,
        port=section.value("port", values.whole(1, 65535), 1883),
        protocol=section.value("protocol", values.one_of("auto", "5", "3.1.1"), "auto"),
        username=username,
        password=password,
        base_topic=section.value("base_topic", values.topic, "isr"),
        discovery=_discovery(section.section("discovery")),
    )
    section.close()
    return settings


def _discovery(section: Section) -> DiscoverySettings:
    settings = DiscoverySettings(
        enabled=section.value("enabled", values.boolean, default=True),
        prefix=section.value("prefix", values.topic, "homeassistant"),
    )
    section.close()
    return settings


def _sources(root: Section, recording: RecordingSettings, heard: Hearing, kept: Retention) -> Iterator[SourceSettings]:
    seen: dict[str, int] = {}
    for section in root.sections("sources"):
        source_id = section.required("id", values.identifier, "")
        if source_id and source_id in seen:
            section.problem(f"{source_id!r} is the id of the source in line {seen[source_id]} as well", key="id")
        seen.setdefault(source_id, section.line)
        kind = section.required("type", values.one_of(*SOURCE_TYPES), "")
        name = section.value("name", values.text, source_id)
        if kind:
            common = _Common(
                source_id,
                name,
                recording,
                hearing.read(section, heard),
                retention.of_source(section.section("retention"), kept),
            )
            yield _READERS[SOURCE_TYPES[kind]](section, common)
            section.close()
    if not seen:
        root.problem("has no source; nothing would be recorded", key="sources")


class _Common(NamedTuple):
    """What every source has."""

    id: str
    name: str
    recording: RecordingSettings
    hearing: Hearing
    retention: Retention


def _alsa(section: Section, common: _Common) -> AlsaSettings:
    settings = AlsaSettings(
        id=common.id,
        name=common.name,
        recording=_recording(section, common.recording),
        hearing=common.hearing,
        retention=common.retention,
        device=section.value("device", device, "default"),
        sample_rate_hz=section.value("sample_rate", values.whole(4000, 768000), 48000),
        channels=section.value("channels", values.whole(1, 32), 1),
        sample_format=section.value("sample_format", values.member(SampleFormat), SampleFormat.S16_LE),
        latency_s=_latency_s(section),
    )
    _check_container(section, settings)
    return settings


def _test(section: Section, common: _Common) -> TestSettings:
    settings = TestSettings(
        id=common.id,
        name=common.name,
        recording=_recording(section, common.recording),
        hearing=common.hearing,
        retention=common.retention,
        signal=section.value("signal", values.one_of(*SIGNALS), "bursts"),
        sample_rate_hz=section.value("sample_rate", values.whole(4000, 768000), 48000),
        channels=section.value("channels", values.whole(1, 32), 1),
        sample_format=section.value("sample_format", values.member(SampleFormat), SampleFormat.S16_LE),
        latency_s=_latency_s(section),
    )
    _check_container(section, settings)
    return settings


def _icecast(section: Section, common: _Common) -> IcecastSettings:
    if "url" in section:
        url = section.secret("url", values.stream_url) or Secret("")
    else:
        url = section.required("url", values.stream_url, Secret(""))
    return IcecastSettings(
        id=common.id,
        name=common.name,
        recording=_recording(section, common.recording, stream=True),
        hearing=common.hearing,
        retention=common.retention,
        url=url,
        shown_url=values.shown_url(url) if url.reveal() else "",
        latency_s=_latency_s(section),
        fallback_urls=section.secrets("fallback_urls", values.stream_url),
        headers=section.named_secrets("headers", values.header),
    )


_Reader = Callable[[Section, _Common], SourceSettings]
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
