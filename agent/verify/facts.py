"""What was seen of one segment. Pure values, and how a sidecar is understood."""

import json
from dataclasses import dataclass
from typing import Any

from agent.archive_format.levels import Rows
from agent.archive_format.sidecar import segment_from
from agent.codecs.base import Whole
from agent.codecs.counting import Counted
from agent.model import Segment
from agent.verify.places import Group
from agent.verify.schema import problems

_SHOWN_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What a sidecar says; `complaint` where it is not to be relied on."""

    data: dict[str, Any]
    segment: Segment | None
    complaint: str | None = None

    @property
    def is_deleted(self) -> bool:
        """Whether retention has taken the audio, as it should be."""
        return self.data.get("deleted") is not None


@dataclass(frozen=True, slots=True)
class Audio:
    """What a finished audio file holds. `whole` is None where nothing of it is sound; `complaint` says why.

    `is_header_right`: what the header states is what follows. `counted` is None where nothing was decoded,
    `silent_because` says why it could not be.
    """

    size: int
    sha256: str
    whole: Whole | None
    complaint: str | None = None
    is_header_right: bool = True
    counted: Counted | None = None
    silent_because: str | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """The level series; `rows` is None where the file is none."""

    rows: Rows | None
    complaint: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was seen of one segment. `extensions` are those of the finished audio that is there."""

    group: Group
    extensions: tuple[str, ...]
    parts: tuple[str, ...]
    told: Told | None
    audio: Audio | None = None
    levels: Levels | None = None
    alike: str | None = None
    """A file without a sidecar that has the size of this segment's audio, which is not there."""


def told(sidecar: bytes) -> Told:
    """What the bytes of a sidecar say."""
    try:
        data = json.loads(sidecar)
    except (ValueError, RecursionError) as error:
        return Told({}, None, f"no JSON ({error})")
    if not isinstance(data, dict):
        return Told({}, None, "JSON, but no object")
    wrong = problems("segment", data)
    if wrong:
        more = f" and {len(wrong) - _SHOWN_PROBLEMS} more" if len(wrong) > _SHOWN_PROBLEMS else ""
        return Told(data, None, "; ".join(wrong[:_SHOWN_PROBLEMS]) + more)
    try:
        return Told(data, segment_from(data))
    except (ValueError, KeyError, TypeError) as error:
        return Told(data, None, str(error))
