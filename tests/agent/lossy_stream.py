"""A stream that loses packets on purpose: a server that sends old audio first, as servers do. Each MP3 frame has its
own number in it, and decodes to silence."""

from pathlib import Path

import numpy as np

from agent import clock
from agent.model import Block, GapCause, RunEnded, RunStarted, RunStarting
from tests.agent.build import MP3_STEREO, NS
from tests.agent.lossy import Rig
from tests.agent.lossy_source import Injected, Kinds, LossySource

YAML = "{id: mic, type: icecast, url: 'http://127.0.0.1/live.mp3'}"
PACKET_S = 1152 / 44100
_HEAD = b"\xff\xfb\x90\x00" + bytes(32)  # nothing is coded: what follows is ancillary
_BYTES = 417
_TOGETHER = 4
_BURST_S = 2.0
_STALLS_AFTER_S = 10.0


def packet(number: int) -> bytes:
    """One frame of 128 kbit/s."""
    return (_HEAD + b"%08x" % number * 48)[:_BYTES]


def numbers(path: Path, payload_offset: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The numbers of the packets in a file."""
    data = path.read_bytes()[payload_offset:]
    found = [int(data[at + len(_HEAD) : at + len(_HEAD) + 8], 16) for at in range(0, len(data), _BYTES)]
    assert data == b"".join(map(packet, found)), f"{path} has other bytes than were sent"
    return np.asarray(found, np.int64)


class LossyStream(LossySource):
    """The first packet is number 1."""

    def __init__(self, rig: Rig, seed: int) -> None:
        super().__init__(rig, seed, 1 / PACKET_S, _STALLS_AFTER_S)

    def kinds(self) -> Kinds:
        """Every kind of loss. A connection hardly outlives a sleep of the box: that is a stall, then."""
        kinds = self.common() | {
            "disconnected": (lambda s: self.away(GapCause.DISCONNECTED, s), 0.02, 60),
            "refused": (self._refused, 0.02, 60),
            "corrupt": (self._corrupt, PACKET_S, 60),  # what is less than a packet is none
        }
        del kinds["suspended"]
        return kinds

    def begins_ns(self, unit: int) -> int:
        return round((unit - 1) * PACKET_S * NS)

    def begin_run(self) -> int:
        before, first = self.next, max(1, self._made() - round(_BURST_S / PACKET_S))
        self.rig.put(RunStarted(MP3_STEREO, clock.now()))
        self.next = first
        self._read()
        return max(first, before)

    def play(self, seconds: float) -> None:
        until_s = self.world.at_s + seconds
        while self.world.at_s < until_s:
            self.world.wait((self.begins_ns(self.next + _TOGETHER) - self.world.at_ns) / NS)
            self.world.wait(min(0.02, self.random.expovariate(200)))
            self._read()

    def catch_up(self) -> None:
        self._read()

    def _made(self) -> int:
        return int(self.world.at_s / PACKET_S + 1e-6) + 1

    def _read(self, *, is_junk: bool = False) -> None:
        made = self._made()
        if made > self.next:
            data = b"".join(map(packet, range(self.next, made)))
            self.next = made
            self.rig.put(Block(b"\x01" * len(data) if is_junk else data, clock.now()))

    def _corrupt(self, seconds: float) -> None:
        self.catch_up()
        first = self.next
        while self.next < first + round(seconds / PACKET_S):
            self.world.wait((self.begins_ns(self.next + 1) - self.world.at_ns) / NS)
            self._read(is_junk=True)
        self.injected.append(Injected(GapCause.CORRUPT, first, self.next))

    def _refused(self, seconds: float) -> None:
        """It was stopped, and when it is asked for again the server will not have us."""
        self.catch_up()
        first = self.next
        self.end(GapCause.STOPPED)
        self.world.wait(self.random.uniform(0.02, 5))
        asked_ns, until_s = clock.now().wall_ns, self.world.at_s + seconds
        self.rig.put(RunStarting(clock.now()))
        self.world.wait(min(seconds, 0.2) / 2)
        refused_ns = clock.now().wall_ns
        self.rig.put(RunEnded(GapCause.REFUSED, "no", clock.now()))
        self.start(until_s - self.world.at_s)
        self.injected += [
            Injected(GapCause.STOPPED, first, self.next, True, ends_ns=asked_ns),
            Injected(GapCause.STARTING, first, self.next, True, begins_ns=asked_ns, ends_ns=refused_ns),
            Injected(GapCause.REFUSED, first, self.next, True, begins_ns=refused_ns),
        ]
