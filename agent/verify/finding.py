"""What is wrong with a file: one line for people, one object for programs. Pure."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class Check(StrEnum):
    """What was looked at when something was found."""

    SIDECAR = "sidecar"
    NO_SIDECAR = "no_sidecar"
    LOST = "lost"
    DELETED = "deleted"
    PART = "part"
    NAME = "name"
    SIZE = "size"
    SHA256 = "sha256"
    DAMAGED = "damaged"
    HEADER = "header"
    COUNTS = "counts"
    DECODE = "decode"
    LEVELS = "levels"
    LEDGER = "ledger"
    OVERLAP = "overlap"
    HOLE = "hole"
    READ = "read"


COPY = "put the file back from a copy; without one, listen to it: what is still good plays"
BY_HAND = "put the sidecar back from a copy"
REPAIR = "isr-agent repair makes it anew"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `file` is relative to the recordings folder."""

    file: str
    check: Check
    found: str
    expected: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}: {self.check}: found {self.found}; expected {self.expected}; {self.advice}"

    def json(self) -> dict[str, str]:
        """For programs."""
        return {key: str(value) for key, value in asdict(self).items()}
