"""What arecord says on stderr, in the words of an operator. Pure. Texts: arecord 1.2.8 and 1.2.14, LC_ALL=C."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from agent.errors import SourceFault
from agent.model import GapCause

_OVERRUN = re.compile(r"overrun!!! \(at least \S+ ms long\)")
_INACCURATE = re.compile(r"rate is not accurate \(requested = (\d+)Hz, got = (\d+)Hz\)")
RETRY_AWAY_S = 2.0


@dataclass(frozen=True, slots=True)
class _Cause:
    text: str
    message: str
    hint: str | None = None
    permanent: bool = False
    cause: GapCause = GapCause.DEVICE_LOST


_CAUSES = (
    _Cause("Device or resource busy", "the device is busy", "another program records from it; end that one"),
    _Cause(
        "Sample format non available",
        "the card does not offer this sample_format",
        "use one of the formats named here, or a plughw: device, which converts",
        permanent=True,
    ),
    _Cause(
        "Channels count non available",
        "the card does not offer this number of channels",
        "set channels to what it has, or use a plughw: device, which converts",
        permanent=True,
    ),
    _Cause("bad speed value", "the card cannot run at this sample_rate", permanent=True),
    _Cause(
        "Unknown PCM", "ALSA knows no PCM of this name", "isr-agent list-devices shows what there is", permanent=True
    ),
    _Cause("Unable to create stream", "the sound server has no such source", permanent=True),
    _Cause("Connection refused", "the sound server does not answer"),
    _Cause("audio open error", "the device is not there, or this user may not use it", permanent=True),
    _Cause("read error", "the device went away while recording"),
    _Cause("prepare error", "the device went away while recording"),
)


def is_overrun(line: str) -> bool:
    """Whether a line tells of lost audio. How much is left to the clock: the number in it can be bogus."""
    return _OVERRUN.search(line) is not None


def wrong_rate(line: str) -> SourceFault | None:
    """The fault of a card that runs at another rate than asked for; arecord itself would go on."""
    match = _INACCURATE.search(line)
    if match is None:
        return None
    return SourceFault(
        GapCause.DEVICE_LOST,
        f"the card cannot run at {match[1]} Hz, only at {match[2]} Hz",
        hint=f"set sample_rate: {match[2]}, or use a plughw: device, which converts",
        permanent=True,
    )


def explain(device: str, lines: list[str], *, had_audio: bool) -> SourceFault:
    """Why arecord ended, from its last lines of stderr."""
    said = "; ".join(line.strip() for line in lines if line.strip()) or "it said nothing"
    for known in _CAUSES:
        if known.text in said:
            message, hint = known.message, known.hint
            if known.text == "audio open error":
                message, hint = _away_or_forbidden()
            permanent = known.permanent and not had_audio
            return SourceFault(
                known.cause,
                f"{device}: {message}. arecord: {said}",
                hint=hint,
                permanent=permanent,
                retry_within_s=RETRY_AWAY_S,
            )
    return SourceFault(GapCause.DEVICE_LOST, f"{device}: arecord ended. It said: {said}", retry_within_s=RETRY_AWAY_S)


def _away_or_forbidden() -> tuple[str, str]:
    """arecord says the same of a card that is away and of one that this user may not open; /proc and /dev tell."""
    cards = Path("/proc/asound/cards")
    nodes = list(Path("/dev/snd").glob("pcm*c")) if Path("/dev/snd").is_dir() else []
    if cards.exists() and "no soundcards" not in cards.read_text(errors="replace") and nodes:
        readable = [node for node in nodes if _may_open(node)]
        if not readable:
            return "this user may not use the sound cards", "add the user to the group audio and log in again"
    return "the device is not there", "isr-agent list-devices shows what can be recorded"


def _may_open(node: Path) -> bool:
    return os.access(node, os.R_OK)
