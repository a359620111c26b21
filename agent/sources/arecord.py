"""What arecord says on stderr, in the words of an operator. Pure. Texts: arecord 1.2.8 and 1.2.14, LC_ALL=C."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import SourceFault
from agent.model import GapCause

_OVERRUN = "overrun!!!"
_INACCURATE = re.compile(r"rate is not accurate \(requested = (\d+)Hz, got = (\d+)Hz\)")
RETRY_AWAY_S = 1.0
"""A card that is away is looked for this often: within 3 s of its return it is to be recorded again."""
_DRY_S = 1.0
"""ALSA gives up a card from which nothing has come for 2 s. The same words at once mean that it went away."""


@dataclass(frozen=True, slots=True)
class _Cause:
    text: str
    message: str
    hint: str | None = None
    permanent: bool = False
    retry_within_s: float | None = RETRY_AWAY_S


AWAY = "the device is not there", "isr-agent list-devices shows what can be recorded"
_CONVERTS = "or use a plughw: device, which converts"
_NOT_ALLOWED = "add the user to the group audio and log in again; a container needs group_add: docs/docker.md"
_CAUSES = (
    _Cause("Aborted by signal", "somebody ended arecord"),
    _Cause(
        "failed to execute arecord",
        "the program arecord is not installed",
        "install the Debian package alsa-utils",
        permanent=True,
        retry_within_s=None,
    ),
    _Cause("Device or resource busy", "the device is busy", "another program records from it; end that one"),
    _Cause(
        "Sample format non available",
        "the card does not offer this sample_format",
        f"use one of the formats named here, {_CONVERTS}",
        permanent=True,
        retry_within_s=None,
    ),
    _Cause(
        "Channels count non available",
        "the card does not offer this number of channels",
        f"set channels to what it has, {_CONVERTS}",
        permanent=True,
        retry_within_s=None,
    ),
    _Cause("bad speed value", "the card cannot run at this sample_rate", permanent=True, retry_within_s=None),
    _Cause(
        "Unknown PCM",
        "ALSA knows no PCM of this name",
        "isr-agent list-devices shows what there is",
        permanent=True,
        retry_within_s=None,
    ),
    _Cause("Unable to create stream", "the sound server has no such source", permanent=True),
    _Cause(
        "Connection refused",
        "the sound server does not answer",
        "PulseAudio or PipeWire has to run for the user of this agent",
    ),
    _Cause("Permission denied", "this user may not use the device", _NOT_ALLOWED, permanent=True),
    _Cause("Operation not permitted", "this user may not use the device", _NOT_ALLOWED, permanent=True),
    _Cause("audio open error", "the device is not there", permanent=True),
    _Cause("read error", "the device went away while recording"),
    _Cause("prepare error", "the device went away while recording"),
)


def is_overrun(line: str) -> bool:
    """Whether a line tells of lost audio. How much is left to the clock: the number in it can be bogus."""
    return _OVERRUN in line


def wrong_rate(line: str) -> SourceFault | None:
    """The fault of a card that runs at another rate than asked for; arecord itself would go on."""
    match = _INACCURATE.search(line)
    if match is None:
        return None
    return SourceFault(
        GapCause.DEVICE_LOST,
        f"the card cannot run at {match[1]} Hz, only at {match[2]} Hz",
        hint=f"set sample_rate: {match[2]}, {_CONVERTS}",
        permanent=True,
    )


def explain(
    device: str,
    lines: list[str],
    *,
    had_audio: bool,
    silent_s: float = 0.0,
    away: Callable[[], tuple[str, str]] = lambda: AWAY,
) -> SourceFault:
    """Why arecord ended, from its last lines of stderr and how long it had given nothing (seconds).

    `away` says, with a hint, why there is no device to open.
    """
    said = "; ".join(line.strip() for line in lines if line.strip()) or "it said nothing"
    for known in _CAUSES:
        if known.text in said:
            message, hint, cause = known.message, known.hint, GapCause.DEVICE_LOST
            if known.text == "audio open error":
                message, hint = away()
            if "Input/output error" in said and silent_s >= _DRY_S:
                message, cause = "the card delivers no audio any more", GapCause.STALL
            return SourceFault(
                cause,
                f"{device}: {message}. arecord: {said}",
                hint=hint,
                permanent=known.permanent and not had_audio,
                retry_within_s=known.retry_within_s,
            )
    return SourceFault(GapCause.DEVICE_LOST, f"{device}: arecord ended. It said: {said}")
