"""The sound cards as the kernel shows them in /sys and /dev. That is left in a container, where /proc/asound is not."""

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CARD = re.compile(r"card(\d+)")
_CAPTURE = re.compile(r"pcmC\d+D(\d+)c")
_CONTROL = re.compile(r"(?:controlC|pcmC)(\d+)")


@dataclass(frozen=True, slots=True)
class UsbPlace:
    """Which USB device a card is, and in which port it is plugged (`1-1.2`)."""

    vendor: str
    product: str
    serial: str | None
    port: str
    name: str


@dataclass(frozen=True, slots=True)
class Card:
    """A sound card that can record. `captures` are the numbers of its capture devices; `usb` is None elsewhere."""

    number: int
    id: str
    captures: tuple[int, ...]
    usb: UsbPlace | None

    @property
    def pcm(self) -> str:
        """The PCM name of its first capture device."""
        return f"hw:CARD={self.id},DEV={self.captures[0]}"


def open_error(node: Path) -> int | None:
    """Why this process cannot open a device (an errno), None where it can.

    Only tried with control devices, which any number of programs may open. Looking at permissions is not enough: in a
    container the rules of its devices count as well.
    """
    try:
        os.close(os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno or errno.EIO
    return None


@dataclass(frozen=True, slots=True)
class SoundTree:
    """Where the kernel shows its sound cards; other places are for tests."""

    sys: Path = Path("/sys/class/sound")
    dev: Path = Path("/dev/snd")
    open_error: Callable[[Path], int | None] = open_error

    def cards(self) -> list[Card]:
        """The cards that can record, by number; what is pulled out meanwhile is left out."""
        try:
            names = [path.name for path in self.sys.iterdir()]
        except OSError:
            return []  # a kernel without any sound driver has no such folder
        found = []
        for name in names:
            if match := _CARD.fullmatch(name):
                try:
                    found.append(_card(int(match[1]), self.sys / name))
                except OSError:
                    continue
        return sorted((card for card in found if card.captures), key=lambda card: card.number)

    def control(self, card: Card) -> Path:
        """The device file by which a card is asked what it is."""
        return self.dev / f"controlC{card.number}"

    def number_of(self, path: str) -> int | None:
        """The number of the card that a name below the folder of the devices leads to (`by-path/…`, `by-id/…`)."""
        target = (self.dev / path).resolve()
        match = _CONTROL.match(target.name) if target.exists() else None
        return int(match[1]) if match else None


def _card(number: int, folder: Path) -> Card:
    names = [path.name for path in folder.iterdir()]
    captures = tuple(sorted(int(match[1]) for name in names if (match := _CAPTURE.fullmatch(name))))
    return Card(number, _read(folder / "id"), captures, _usb_place(folder.resolve()))


def _usb_place(folder: Path) -> UsbPlace | None:
    """The USB device that a card belongs to: the nearest folder above it that has a vendor's number."""
    for parent in folder.parents:
        if (parent / "idVendor").exists():
            name = " ".join(_read_or(parent / part, "") for part in ("manufacturer", "product")).strip()
            serial = _read_or(parent / "serial", "")
            return UsbPlace(
                vendor=_read(parent / "idVendor").lower(),
                product=_read(parent / "idProduct").lower(),
                serial=serial if serial.isprintable() and serial else None,
                port=parent.name,
                name=name or "USB sound card",
            )
    return None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip()


def _read_or(path: Path, default: str) -> str:
    try:
        return _read(path)
    except OSError:
        return default
