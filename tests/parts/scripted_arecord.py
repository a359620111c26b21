"""An arecord that does on demand what the real one cannot be made to do. Its world is a file that a test rewrites.

`world.json` in the folder that is its first argument::

    {"origin_ns": ..., "allowed": true, "formats": ["S16_LE"], "channels": 8, "rates": null, "fast": false,
     "cards": [{"number": 1, "id": "Mic", "name": "USB Microphone", "busy": false, "offset": 0}],
     "plays": {"Mic": [[["audio", 2.0], ["say", "overrun!!! (at least 5.0 ms long)"], ["audio", null]]]}}

A start of a device plays the next of its plays, and the last one again and again. Without any it records on and on.
Steps: `["audio", SECONDS or null]`, `["lose", SECONDS]` (time goes by, samples are gone), `["hold", SECONDS]` (nothing
comes, then all of it at once), `["bytes", N]`, `["hang"]`, `["say", TEXT]`, `["rate", HZ]` (from here on the card
really runs so fast), `["deaf"]` (takes no notice of SIGTERM), `["exit", CODE]`.

A sample is S16_LE, and holds in its first two channels the low and the high half of its own number: the samples that
the card's clock has counted since `origin_ns` (CLOCK_MONOTONIC), plus the card's `offset`. So each one tells when it
was made, whatever was lost before it, and over any number of starts. With `fast` the samples are numbered from 1 and
come as quickly as they are read, in pieces of any size.

Texts and exit codes are those of arecord 1.2.8 on kernel sound cards.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

_F_SETPIPE_SZ = 1031
_FAST_PIPE = 16384
_FORMATS = {"S16_LE": "Signed 16 bit Little Endian", "S8": "Signed 8 bit"}
World = dict[str, Any]


def fail(*lines: str, code: int = 1) -> NoReturn:
    for line in lines:
        say(line)
    sys.exit(code)


def say(text: str) -> None:
    os.write(2, text.encode() + b"\n")


def listing(world: World) -> NoReturn:
    cards = world["cards"] if world["allowed"] else []
    if not cards:
        fail("arecord: device_list:274: no soundcards found...", code=0)
    print("**** List of CAPTURE Hardware Devices ****")
    for card in cards:
        print(f"card {card['number']}: {card['id']} [{card['name']}], device 0: USB Audio [USB Audio]")
        print("  Subdevices: 1/1\n  Subdevice #0: subdevice #0")
    sys.exit(0)


def pcm_names(world: World) -> NoReturn:
    print("null\n    Discard all samples (playback) or generate zero samples (capture)")
    for card in world["cards"] if world["allowed"] else []:
        print(f"hw:CARD={card['id']},DEV=0\n    {card['name']}, USB Audio")
    sys.exit(0)


def open_card(world: World, device: str) -> World:
    """The card, or the end in the words of alsa-lib."""
    kind, _, rest = device.partition(":")
    if kind not in ("hw", "plughw"):
        fail(
            f"ALSA lib pcm.c:2666:(snd_pcm_open_noupdate) Unknown PCM {device}",
            "arecord: main:831: audio open error: No such file or directory",
        )
    name = rest.split(",")[0].removeprefix("CARD=")
    for card in world["cards"] if world["allowed"] else []:
        if name in (card["id"], str(card["number"])):
            if card.get("busy"):
                fail("arecord: main:831: audio open error: Device or resource busy")
            return dict(card)
    error = "No such file or directory" if name.isdigit() else "No such device"
    fail(
        f"ALSA lib confmisc.c:165:(snd_config_get_card) Cannot get card index for {name}",
        f"arecord: main:831: audio open error: {error}",
    )


class Player:
    """One start of one device."""

    def __init__(self, world: World, rate: int, channels: int, offset: int) -> None:
        self._fast = world["fast"]
        self._origin_ns = world["origin_ns"]
        self._rate = rate
        self._channels = channels
        self._offset = offset
        self._random = random.Random(rate)
        self._next = 1 if self._fast else self._number_at(time.monotonic_ns())
        self._period = rate // 20

    def _number_at(self, mono_ns: int) -> int:
        return int((mono_ns - self._origin_ns) * self._rate // 1_000_000_000)

    def play(self, steps: list[list[Any]]) -> NoReturn:
        for name, *values in steps:
            getattr(self, name)(*values)
        sys.exit(0)

    def say(self, text: str) -> None:
        say(text)

    def deaf(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def exit(self, code: int) -> None:
        sys.exit(code)

    def hang(self) -> None:
        while True:
            time.sleep(60)

    def bytes(self, count: int) -> None:
        write(bytes([0x55]) * count)

    def rate(self, hz: int) -> None:
        self._rate = hz

    def lose(self, seconds: float) -> None:
        self._next += round(seconds * self._rate)
        self._wait_for(self._next)

    def hold(self, seconds: float) -> None:
        self._wait_for(self._next + round(seconds * self._rate))

    def audio(self, seconds: float | None) -> None:
        last = None if seconds is None else self._next + round(seconds * self._rate)
        while last is None or self._next < last:
            count = self._random.randrange(1, 4 * self._period) if self._fast else self._period
            count = count if last is None else min(count, last - self._next)
            self._wait_for(self._next + count)
            data = samples(self._next + self._offset, count, self._channels)
            if self._fast:  # half samples too, as a pipe may cut anywhere
                cut = self._random.randrange(len(data))
                write(data[:cut])
                data = data[cut:]
            write(data)
            self._next += count

    def _wait_for(self, number: int) -> None:
        """Until this sample has begun, and so the one before it is complete."""
        if not self._fast:
            due_ns = self._origin_ns + number * 1_000_000_000 // self._rate
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)


def samples(first: int, count: int, channels: int) -> bytes:
    words = array.array("I", (number & 0xFFFFFFFF for number in range(first, first + count)))
    if channels == 2:
        return words.tobytes()
    if channels == 1:
        return array.array("H", (word & 0xFFFF for word in words)).tobytes()
    rest = bytes(2 * (channels - 2))
    return b"".join(word.to_bytes(4, "little") + rest for word in words)


def write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def aborted(number: int, _frame: object) -> NoReturn:
    say(f"Aborted by signal {signal.strsignal(number)}...")
    os._exit(1)


def next_play(folder: Path, card: str, plays: list[list[Any]]) -> list[Any]:
    """The play of this start; every start is counted in a file."""
    with (folder / f"starts-{card}").open("a+b") as starts:
        fcntl.flock(starts, fcntl.LOCK_EX)
        starts.seek(0)
        number = len(starts.read().splitlines())
        starts.write(f"{os.getpid()} {time.monotonic_ns()}\n".encode())
    return plays[min(number, len(plays) - 1)] if plays else [["audio", None]]


def refuse_what_is_not_offered(world: World, asked: dict[str, str]) -> None:
    if asked["--format"] not in world["formats"]:
        formats = [f"- {name}" for name in world["formats"]]
        fail("arecord: set_params:1352: Sample format non available", "Available formats:", *formats)
    if int(asked["--channels"]) > world["channels"]:
        fail("arecord: set_params:1358: Channels count non available")
    rate, rates = int(asked["--rate"]), world["rates"]
    if rates and rate not in rates:
        got = min(rates, key=lambda one: abs(one - rate))
        say(f"Warning: rate is not accurate (requested = {rate}Hz, got = {got}Hz)")
        say(f"         please, try the plug plugin (-Dplug:{asked['--device']})")
        asked["--rate"] = str(got)


def main() -> None:
    folder, *arguments = sys.argv[1:]
    world: World = json.loads((Path(folder) / "world.json").read_bytes())
    if "-l" in arguments:
        listing(world)
    if "-L" in arguments:
        pcm_names(world)
    asked = {"--format": "U8", "--rate": "8000", "--channels": "1", "--device": "default"}
    asked.update({name: value for name, _, value in (argument.partition("=") for argument in arguments)})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, aborted)
    card = open_card(world, asked["--device"])
    play = next_play(Path(folder), card["id"], world["plays"].get(card["id"], []))
    layout = _FORMATS.get(asked["--format"], asked["--format"])
    sound = {1: "Mono", 2: "Stereo"}.get(int(asked["--channels"]), f"Channels {asked['--channels']}")
    say(f"Recording raw data 'stdin' : {layout}, Rate {asked['--rate']} Hz, {sound}")
    refuse_what_is_not_offered(world, asked)
    if world["fast"]:
        with contextlib.suppress(OSError):
            fcntl.fcntl(1, _F_SETPIPE_SZ, _FAST_PIPE)
    Player(world, int(asked["--rate"]), int(asked["--channels"]), card["offset"]).play(play)


if __name__ == "__main__":
    main()
