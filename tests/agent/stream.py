"""A stream server as its listeners see it: packets made one after the other, and a burst of old ones at connect."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from agent.model import Frame, GapCause, RunEnded, RunStarted, RunStarting, Unit
from tests.agent.build import MP3_STEREO, at, together

PACKET_S = 1152 / 44100


@dataclass(frozen=True)
class Connection:
    """Made when packet `live` is the next to be made; it begins with the `burst` packets before it and brings all up to
    packet `end`, which is not among them (and may be one of the burst)."""

    live: int
    burst: int
    end: int

    @property
    def first(self) -> int:
        return max(0, self.live - self.burst)

    def arrives_s(self, packet: int) -> float:
        """When a packet comes: the old ones at connect, the others the moment they are made."""
        return max(self.live, packet + 1) * PACKET_S

    @property
    def ends_s(self) -> float:
        return max(self.live, self.end) * PACKET_S + 0.001


def units(connection: Connection, stream: Sequence[bytes], rng: random.Random) -> list[Unit]:
    """What a framer makes of the connection: the packets of one read together, reads of any size."""
    found: list[Unit] = [
        RunStarting(at(connection.live * PACKET_S)),
        RunStarted(MP3_STEREO, at(connection.live * PACKET_S)),
    ]
    number = connection.first
    while number < connection.end:
        most = connection.live - number if number < connection.live else 4
        last = min(connection.end, number + rng.randint(1, max(1, most)))
        now = at(connection.arrives_s(last - 1))
        found.append(together([Frame(stream[one], 1152, MP3_STEREO, now) for one in range(number, last)]))
        number = last
    return [*found, RunEnded(GapCause.DISCONNECTED, None, at(connection.ends_s))]


def packets(found: Sequence[Unit]) -> list[bytes]:
    return [data for unit in found if isinstance(unit, Frame) for data, _ in unit.packets()]


@st.composite
def connections(draw: st.DrawFn, *, whole_bursts: bool = False) -> list[Connection]:
    """Several connections one after the other, each with 20 packets or more, with outages of any length."""
    made: list[Connection] = []
    live = draw(st.integers(0, 300))
    for _ in range(draw(st.integers(2, 6))):
        burst = draw(st.sampled_from([0, 5, 40, 160]))
        first = max(0, live - burst)
        shortest = max(first + 20, live + 20 if whole_bursts else 0)
        end = shortest + draw(st.sampled_from([0, 3, 50, 200]))
        made.append(Connection(live, burst, end))
        live = max(live, end) + draw(st.sampled_from([0, 1, 8, 30, 100, 200, 1000]))
    return made
