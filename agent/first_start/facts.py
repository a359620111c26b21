"""What scripts/run needs to know of a configuration."""

from dataclasses import asdict, dataclass
from pathlib import Path

from agent.config import Settings
from agent.config.node import Section
from agent.config.values import agent_identifier
from agent.errors import ConfigError
from agent.first_start.files import secret_path
from agent.first_start.render import BASE_TOPIC

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What scripts/run needs to know of a configuration.

    `own_broker`: it uses the broker that scripts/run starts. `page_user` is empty where the page asks for no password;
    otherwise `page_password` is the file that says which one.
    """

    agent: str
    source: str
    own_broker: bool
    mqtt_port: int
    page_host: str
    page_port: int
    page_user: str
    page_password: Path
    recordings: Path


def generated_user(root: Section, directory: Path) -> str | None:
    """The agent's user where a configuration still uses what the first start generated for the shipped broker."""
    agent = root.section("agent").value("id", agent_identifier, "")
    mqtt = root.section("mqtt")
    password_file = directory / mqtt.value("password_file", str, "")
    ours = agent and mqtt.value("username", str, "") == agent and password_file == secret_path(directory, agent)
    return agent if ours else None


def facts_of(settings: Settings, user: str | None, page_password: Path) -> Facts:
    """What scripts/run needs of the settings; `user` as `generated_user` says, `page_password` as in Facts.

    Raises ConfigError where the shipped broker is to be used in a way that its ACL does not allow.
    """
    mqtt = settings.mqtt
    own_broker = mqtt is not None and user is not None and mqtt.host in LOCAL_HOSTS
    if mqtt is not None and own_broker and mqtt.base_topic != BASE_TOPIC:
        raise ConfigError(
            f"mqtt.base_topic is {mqtt.base_topic}, but the broker that ships knows only {BASE_TOPIC}",
            hint=f"set it to {BASE_TOPIC}, or use a broker of your own: docs/broker.md",
        )
    return Facts(
        agent=settings.agent.id,
        source=settings.sources[0].id,
        own_broker=own_broker,
        mqtt_port=mqtt.port if mqtt is not None else 1883,
        page_host=settings.archive.host,
        page_port=settings.archive.port,
        page_user=settings.archive.username or "",
        page_password=page_password,
        recordings=settings.recordings,
    )


def render_facts(facts: Facts) -> str:
    """`name=value` lines for the shell; the value is the rest of the line."""
    return "".join(
        f"{name}={int(value) if isinstance(value, bool) else value}\n" for name, value in asdict(facts).items()
    )
