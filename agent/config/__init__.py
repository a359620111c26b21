"""The configuration: one YAML file, read whole or refused whole with every problem it has."""

from agent.config.archive import on_the_network
from agent.config.load import find_config, load
from agent.config.settings import (
    AgentSettings,
    AlsaSettings,
    ArchiveSettings,
    DiscoverySettings,
    IcecastSettings,
    MqttSettings,
    Secret,
    Settings,
    SourceSettings,
    TestSettings,
)

__all__ = [
    "AgentSettings",
    "AlsaSettings",
    "ArchiveSettings",
    "DiscoverySettings",
    "IcecastSettings",
    "MqttSettings",
    "Secret",
    "Settings",
    "SourceSettings",
    "TestSettings",
    "find_config",
    "load",
    "on_the_network",
]
