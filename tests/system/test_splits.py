"""Thousands of cuts of a counter: what the card gave is what the files hold, byte for byte.

The scripted arecord gives it as fast as it is read and in pieces of any size, half samples too. The source, the line
and the writer are the real ones; their clock goes by the samples, with a drift and with late reads.
"""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent import clock
from agent.codecs import CONTAINERS
from agent.config import AlsaSettings, load
from agent.line_builder import News, Run, build_line
from agent.model import (
    Desired,
    FinishedSegment,
    GapCause,
    Instant,
    RunEnded,
    Segment,
    SourceItem,
    SourceState,
    SourceStatus,
)
from agent.sources import pace
from agent.sources.alsa import AlsaSource
from agent.sources.child import Child
from agent.status import StatusBoard
from agent.supervisor import StopSignal
from tests.parts.scripted_arecord import samples
from tests.parts.scripted_card import NS, ScriptedCards

pytestmark = pytest.mark.real_time

RATE, CHANNELS, WIDTH, PERIOD_S, PPM = 4000, 2, 4, 5, 80.0


class SimulatedClock:
    """It is as late as the samples that have been read make it, and now and then a little later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._began = clock.now()
        self._bytes = 0
        self._random = random.Random(7)
        self._read = Child.read
        this = self

        def read(child: Child, timeout_s: float) -> tuple[bytes, bytes] | None:
            said = this._read(child, timeout_s)
            this._bytes += len(said[0]) if said else 0
            return said

        monkeypatch.setattr(Child, "read", read)
        monkeypatch.setattr(clock, "now", self.now)
        monkeypatch.setattr(pace, "_PAUSE_S", 0.0)

    def now(self) -> Instant:
        passed_ns = round(self._bytes / WIDTH / RATE / (1 + PPM * 1e-6) * NS)
        late_ns = self._random.choice((0, 0, self._random.randrange(40_000_000)))
        began, since_ns = self._began, passed_ns + late_ns
        return Instant(began.wall_ns + since_ns, began.boottime_ns + since_ns, began.monotonic_ns + since_ns)


def recorded(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> tuple[Path, list[Segment]]:
    """At least so many segments, and where they lie."""
    cards = ScriptedCards(folder / "cards", fast=True)
    monkeypatch.setenv("PATH", cards.env["PATH"])
    config = folder / "config.yaml"
    config.write_text(
        f"agent: {{id: shed, timezone: UTC}}\nrecording: {{period: {PERIOD_S}s}}\nsources:\n"
        f"  - {{id: mic, type: alsa, device: 'hw:CARD=Mic', sample_rate: {RATE}, channels: {CHANNELS}}}\n"
    )
    settings = load(config)
    source = settings.sources[0]
    assert isinstance(source, AlsaSettings)
    board, stop, segments = StatusBoard(), StopSignal(), list[Segment]()
    board.put(SourceStatus("mic", "mic", "alsa", SourceState.STARTING, Desired.RECORD, clock.utc_now()))

    def tell(news: News) -> None:
        if isinstance(news, FinishedSegment):
            segments.append(news.segment)
            if len(segments) >= count:
                stop.set()

    simulated = SimulatedClock(monkeypatch)
    line = build_line(Run(settings, "boot", "run", "uid", "now"), source, board, tell, GapCause.AGENT_CRASHED)

    def carry(item: SourceItem) -> None:
        line.step(item)
        line.tick(simulated.now())

    AlsaSource(source, cards.tree).run(carry, stop)
    line.step(RunEnded(GapCause.AGENT_STOPPED, None, simulated.now()))
    line.abandon()
    return settings.recordings, segments


def payload(path: Path) -> Iterator[bytes]:
    """The samples of a file, by what salvage measures files with: what we have added is left out."""
    container = CONTAINERS[path.suffix[1:]]
    with path.open("rb") as file:
        whole = container.whole(file.read())
        assert whole is not None
        file.seek(0)
        for block in container.decoded(file, whole, 0):
            yield np.round(block.T * 32768).astype("<i2").tobytes()


def check(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    began_s = time.monotonic()
    recordings, segments = recorded(folder, monkeypatch, count)
    assert len(segments) >= count
    first, before = 1, None
    for segment in segments:
        data = b"".join(payload(recordings / segment.file))
        assert len(data) == segment.samples * WIDTH
        assert data == samples(first, segment.samples, CHANNELS), f"{segment.file} is not what was given"
        first += segment.samples
        assert before is None or (before.end, before.reason) == (segment.start, "boundary")
        assert abs(segment.samples - PERIOD_S * RATE) < 20 or segment in (segments[0], segments[-1])
        before = segment
    drift_ppm = segments[-1].clock.drift_ppm
    print(f"{len(segments)} segments, {first - 1} samples, {time.monotonic() - began_s:.0f} s, {drift_ppm} ppm")
    assert not list(recordings.rglob("*.part"))


def test_200_splits_are_byte_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(tmp_path, monkeypatch, 200)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_10_000_splits_are_byte_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(tmp_path, monkeypatch, 10_000)
