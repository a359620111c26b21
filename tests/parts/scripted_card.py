"""Sound cards of a scripted arecord: what they do is written down beforehand, and a fake /sys and /dev shows them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agent.sources.sysfs import SoundTree
from tests.parts import scripted_arecord

NS = 1_000_000_000


class Usb(NamedTuple):
    """A USB device: what it says of itself, and its port."""

    vendor: str = "046d"
    product: str = "0825"
    serial: str | None = None
    port: str = "1-1.2"


@dataclass(frozen=True)
class FakeCard:
    """A card of the scripted arecord. `offset` is added to its sample numbers."""

    number: int
    id: str
    name: str = "USB Microphone"
    usb: Usb | None = None
    busy: bool = False
    offset: int = 0


class Start(NamedTuple):
    """One start of the scripted arecord."""

    pid: int
    mono_ns: int


class ScriptedCards:
    """A folder with an `arecord` to put first in PATH (`env`), and the `tree` of its cards."""

    def __init__(self, folder: Path, cards: Sequence[FakeCard] = (FakeCard(1, "Mic"),), **world: object) -> None:
        self.folder = folder
        self._bin, self._sys, self._dev = (folder / name for name in ("bin", "sys", "dev"))
        self._bin.mkdir(parents=True)
        self._dev.mkdir()
        self.origin_ns = time.monotonic_ns() - NS
        self.wall_origin_ns = self.origin_ns + time.time_ns() - time.monotonic_ns()
        self._world: dict[str, object] = {
            "origin_ns": self.origin_ns,
            "allowed": True,
            "formats": ["S16_LE"],
            "channels": 8,
            "rates": None,
            "fast": False,
            "plays": {},
        } | world
        program = self._bin / "arecord"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{scripted_arecord.__file__}" "{folder}" "$@"\n')
        program.chmod(0o755)
        self.plug(*cards)

    @property
    def env(self) -> dict[str, str]:
        """The environment in which this arecord is found first."""
        return {**os.environ, "PATH": f"{self._bin}:{os.environ['PATH']}"}

    @property
    def tree(self) -> SoundTree:
        """Where the fake kernel shows the cards."""
        return SoundTree(self._sys / "class" / "sound", self._dev, self._open_error)

    def plug(self, *cards: FakeCard) -> None:
        """From now on there are these cards, and no others."""
        shutil.rmtree(self._sys, ignore_errors=True)
        for node in self._dev.iterdir():
            node.unlink()
        for card in cards:
            self._show(card)
        self.change(cards=[vars(card) | {"usb": None} for card in cards])

    def change(self, **world: object) -> None:
        """Change the world of every start from now on, in one piece."""
        self._world |= world
        new = self.folder / "world.new"
        new.write_text(json.dumps(self._world))
        new.rename(self.folder / "world.json")

    def starts(self, card: str) -> list[Start]:
        """The starts of a card so far."""
        path = self.folder / f"starts-{card}"
        lines = path.read_text().splitlines() if path.exists() else []
        return [Start(*map(int, line.split())) for line in lines]

    def mono_ns_of(self, sample: int, rate: int) -> int:
        """When a sample began, on the monotonic clock."""
        return self.origin_ns + sample * NS // rate

    def wall_ns_of(self, sample: int, rate: int) -> int:
        """When a sample began, on the wall clock as it was when the cards were made."""
        return self.wall_origin_ns + sample * NS // rate

    def _show(self, card: FakeCard) -> None:
        """The folders and links of a real kernel: /sys/class/sound/cardN leads into /sys/devices."""
        pci = self._sys / "devices" / "pci0000:00"
        if card.usb is None:
            place = pci / f"0000:00:1b.{card.number}"
        else:
            hubs = self._hubs(card.usb.port)
            place = pci.joinpath("0000:00:14.0", *hubs, f"{hubs[-1]}:1.0")
            for folder in (pci.joinpath("0000:00:14.0", *hubs[: depth + 1]) for depth in range(len(hubs))):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "idVendor").write_text("1d6b\n")
                (folder / "idProduct").write_text("0002\n")
                (folder / "serial").write_text("0000:00:14.0\n")
            _describe(pci.joinpath("0000:00:14.0", *hubs), card.usb, card.name)
        folder = place / "sound" / f"card{card.number}"
        (folder / f"pcmC{card.number}D0c").mkdir(parents=True)
        (folder / f"pcmC{card.number}D0p").mkdir()
        (folder / f"controlC{card.number}").mkdir()
        (folder / "id").write_text(f"{card.id}\n")
        (folder / "number").write_text(f"{card.number}\n")
        (folder / "device").symlink_to(Path("../..", "..", place.name), target_is_directory=True)
        sound = self._sys / "class" / "sound"
        sound.mkdir(parents=True, exist_ok=True)
        (sound / f"card{card.number}").symlink_to(Path(os.path.relpath(folder, sound)), target_is_directory=True)
        (self._dev / f"controlC{card.number}").touch()

    @staticmethod
    def _hubs(port: str) -> list[str]:
        """`1-1.2` lies below `usb1` and the hub `1-1`."""
        bus, _, ports = port.partition("-")
        steps = ports.split(".")
        return [f"usb{bus}", *(f"{bus}-{'.'.join(steps[: depth + 1])}" for depth in range(len(steps)))]

    def _open_error(self, node: Path) -> int | None:
        if not node.exists():
            return errno.ENOENT
        return None if self._world["allowed"] else errno.EACCES


def _describe(folder: Path, usb: Usb, name: str) -> None:
    (folder / "idVendor").write_text(f"{usb.vendor}\n")
    (folder / "idProduct").write_text(f"{usb.product}\n")
    (folder / "product").write_text(f"{name}\n")
    if usb.serial is None:
        (folder / "serial").unlink()
    else:
        (folder / "serial").write_text(f"{usb.serial}\n")
