"""Which sound cards there are, and which of them a configured device means."""

import os
import re
import subprocess
from dataclasses import dataclass, replace

from agent.config.device import MONITOR, NODE
from agent.errors import SourceFault
from agent.model import GapCause
from agent.sources.access import obstacle
from agent.sources.identity import AWAY_POLL_S, card_of, is_identity, port_name, usb_name
from agent.sources.sysfs import Card, SoundTree

_CARD = re.compile(r"card (\d+): (\S+) \[(.*?)\], device (\d+): (.*?) \[(.*?)\]")
_PULSE = "pulse"
_LISTING_S = 10


@dataclass(frozen=True, slots=True)
class Device:
    """A capture device. `device` is a PCM name that stays the same when cards change their numbers.

    `usb` (vendor, product, serial number) and `port` stay even when cards change their names, as two of one model do;
    both name the card's first capture device, and are None where there is no such name.
    """

    device: str
    name: str
    card: str
    number: str
    usb: str | None = None
    port: str | None = None


def list_devices(tree: SoundTree = SoundTree()) -> list[Device]:  # noqa: B008 - frozen
    """The capture devices of all cards. Raises SourceFault where arecord is missing."""
    return with_identities(parse_cards(_arecord("-l")), tree.cards())


def with_identities(devices: list[Device], cards: list[Card]) -> list[Device]:
    """The same devices with their USB identities."""
    known = {f"hw:{card.number},{card.captures[0]}": card for card in cards}
    return [
        replace(device, usb=usb_name(card, cards), port=port_name(card))
        if (card := known.get(device.number)) is not None
        else device
        for device in devices
    ]


def table(devices: list[Device]) -> str:
    """The devices for people: first the name that stays the longest, which is the one to put into a configuration."""
    rows = [("DEVICE", "NAME", "USB PORT", "ALSA NAME")]
    rows += [
        (device.usb or device.port or device.device, device.name, device.port or "-", device.device)
        for device in devices
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join((*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3])) for row in rows
    )


def find(wanted: str, tree: SoundTree) -> str:
    """The PCM name that a configured device means at this moment. Raises SourceFault where it means none."""
    if is_identity(wanted):
        return card_of(wanted, tree.cards()).pcm
    if wanted.startswith(NODE):
        return _by_node(wanted, tree)
    if wanted == "default" or ":" in wanted:
        return wanted
    devices, pcms = list_devices(tree), list_pcms()
    if wanted == MONITOR:
        return monitor(devices, pcms)
    if not devices and wanted not in pcms and (wall := obstacle(tree)) is not None:
        raise SourceFault(
            GapCause.DEVICE_LOST, wall.message, hint=wall.hint, permanent=True, retry_within_s=AWAY_POLL_S
        )
    return resolve(wanted, devices, pcms)


def monitor(devices: list[Device], pcms: list[str]) -> str:
    """The PCM of what is being played: the loopback card (snd-aloop) where somebody has loaded it, else the monitor of
    the default output of PulseAudio or PipeWire. Raises SourceFault where there is neither."""
    loopbacks = [device for device in devices if device.card.startswith("Loopback")]
    if loopbacks:
        # What is played to device 0 comes out of device 1. plughw, because who plays decides on the format.
        chosen = next((device for device in loopbacks if device.device.endswith("DEV=1")), loopbacks[0])
        return f"plug{chosen.device}"
    if _PULSE in pcms:
        return f"{_PULSE}:@DEFAULT_MONITOR@"
    raise SourceFault(
        GapCause.DEVICE_LOST,
        "nothing on this box lets a playback be recorded",
        hint="install libasound2-plugins where PulseAudio or PipeWire runs, or load the loopback card: "
        "modprobe snd-aloop",
        permanent=True,
    )


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
    there = _named(devices)
    if not choice:
        raise SourceFault(
            GapCause.DEVICE_LOST,
            f"no sound card is called {wanted!r}; found: {there}",
            hint="isr-agent list-devices shows what can be recorded",
            permanent=True,
            retry_within_s=AWAY_POLL_S,
        )
    if len(choice) > 1:
        raise SourceFault(
            GapCause.DEVICE_LOST,
            f"{wanted!r} fits {len(choice)} devices: {_named(choice)}",
            hint="put the full name of one of them into the configuration, best the usb-port: of one that has it",
            permanent=True,
            retry_within_s=AWAY_POLL_S,
        )
    return choice[0].device


def _named(devices: list[Device]) -> str:
    named = (f"{device.device} ({', '.join(filter(None, (device.name, device.port)))})" for device in devices)
    return "; ".join(named) or "no sound card at all"


def _by_node(wanted: str, tree: SoundTree) -> str:
    """The card that a link of udev (by-path, by-id) or a device file leads to."""
    number = tree.number_of(wanted.removeprefix(NODE))
    for card in tree.cards():
        if card.number == number:
            return card.pcm
    raise SourceFault(
        GapCause.DEVICE_LOST,
        f"no sound card is at {wanted}",
        hint="ls -l /dev/snd/by-path shows what there is",
        permanent=True,
        retry_within_s=AWAY_POLL_S,
    )


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
