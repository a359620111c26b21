"""Every topic there is, in one place. Pure."""

from dataclasses import dataclass

SOURCE_LEAVES = (
    "availability",
    "state",
    "level",
    "level/slow",
    "event",
    "event/late",
    "segment",
    "segment/last",
    "cmd",
)


@dataclass(frozen=True, slots=True)
class Topics:
    """The tree below `<base>/<agent>`."""

    base: str
    agent: str

    @property
    def root(self) -> str:
        """`<base>/<agent>`."""
        return f"{self.base}/{self.agent}"

    @property
    def availability(self) -> str:
        """`online` or `offline`, retained; the last will."""
        return f"{self.root}/availability"

    @property
    def info(self) -> str:
        """What the agent is, retained."""
        return f"{self.root}/info"

    @property
    def health(self) -> str:
        """How the agent is, retained."""
        return f"{self.root}/health"

    @property
    def notices(self) -> str:
        """Warnings and errors, one at a time."""
        return f"{self.root}/notice"

    @property
    def responses(self) -> str:
        """All answers to commands."""
        return f"{self.root}/resp"

    @property
    def commands(self) -> tuple[str, str]:
        """The filters to subscribe to: the agent's own commands, and those of any source, typing errors included."""
        return f"{self.root}/cmd", f"{self.root}/src/+/cmd"

    def source(self, source: str, leaf: str) -> str:
        """A topic of one source; `leaf` is one of SOURCE_LEAVES."""
        return f"{self.root}/src/{source}/{leaf}"

    def commanded_source(self, topic: str) -> str | None:
        """The source that a command topic names; None for the agent's own."""
        parts = topic.removeprefix(self.root + "/").split("/")
        return parts[1] if len(parts) == 3 and parts[0] == "src" else None

    def is_command(self, topic: str) -> bool:
        """Whether commands come on this topic."""
        return topic == self.commands[0] or (topic.endswith("/cmd") and self.commanded_source(topic) is not None)


def matches(name: str, topic: str) -> bool:
    """Whether a topic fits a filter with `+` and `#`."""
    wanted, given = name.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for place, word in enumerate(wanted):
        if word == "#":
            return True
        if place >= len(given) or word not in ("+", given[place]):
            return False
    return len(wanted) == len(given)
