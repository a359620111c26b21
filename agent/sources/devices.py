"""Which sound cards there are, and which of them a configured device means."""

import os
import re
import subprocess
from dataclasses import dataclass

from agent.errors import SourceFault
from agent.model import GapCause

_CARD = re.compile(r"card (\d+): (\S+) \[(.*?)\], device (\d+): (.*?) \[(.*?)\]")
_POLL_S = 2.0
_LISTING_S = 10


@dataclass(frozen=True, slots=True)
class Device:
    """A capture device. `device` is a PCM name that stays the same when cards change their numbers."""

    device: str
    name: str
    card: str
    number: str


def list_devices() -> list[Device]:
    """The capture devices of all cards. Raises SourceFault where arecord is missing."""
    return parse_cards(_arecord("-l"))


def list_pcms() -> list[str]:
    """Every PCM name that ALSA knows, own ones of an asoundrc included."""
    return [line.strip() for line in _arecord("-L").splitlines() if line and not line[0].isspace()]


def parse_cards(listing: str) -> list[Device]:
    """The devices in the output of `arecord -l`."""
    return [
        Device(f"hw:CARD={card},DEV={dev}", name if pcm in name else f"{name}, {pcm}", card, f"hw:{number},{dev}")
        for number, card, name, dev, _, pcm in _CARD.findall(listing)
    ]


def resolve(wanted: str, devices: list[Device], pcms: list[str]) -> str:
    """The PCM name that a configured device means.

    `default`, names with a colon (`hw:1,0`, `plughw:CARD=Mic`) and PCM names that ALSA lists stand for themselves;
    anything else is a part of a card's or device's name, whatever its case. Raises SourceFault where it fits none or
    more than one.
    """
    if wanted == "default" or ":" in wanted or wanted in pcms:
        return wanted
    part = wanted.casefold()
    fitting = [device for device in devices if part in f"{device.card} {device.name}".casefold()]
    exact = [device for device in fitting if part in (device.card.casefold(), device.name.casefold())]
    choice = exact if len(exact) == 1 else fitting
    there = "; ".join(f"{device.device} ({device.name})" for device in devices) or "no sound card at all"
    if not choice:
        raise SourceFault(
            GapCause.DEVICE_LOST,
            f"no sound card is called {wanted!r}; found: {there}",
            hint="isr-agent list-devices shows what can be recorded",
            permanent=True,
            retry_within_s=_POLL_S,
        )
    if len(choice) > 1:
        raise SourceFault(
            GapCause.DEVICE_LOST,
            f"{wanted!r} fits {len(choice)} devices: {there}",
            hint="put the full name of one of them into the configuration",
            permanent=True,
        )
    return choice[0].device


def _arecord(option: str) -> str:
    try:
        result = subprocess.run(
            ["arecord", option],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LISTING_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise _missing_arecord() from error
    except subprocess.TimeoutExpired as error:
        raise SourceFault(GapCause.DEVICE_LOST, f"arecord {option} did not answer in {_LISTING_S} s") from error
    return result.stdout


def _missing_arecord() -> SourceFault:
    hint = "install the Debian package alsa-utils"
    return SourceFault(GapCause.DEVICE_LOST, "the program arecord is not installed", hint=hint, permanent=True)
