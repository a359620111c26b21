"""Cards that come back under another number and name are recorded again soon, and never taken for one another."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agent import clock
from agent.config import AlsaSettings, load
from agent.line_builder import Run, build_line
from agent.model import Desired, SourceState, SourceStatus
from agent.source_control import SourceControl
from agent.sources.alsa import AlsaSource
from agent.status import StatusBoard
from agent.storage.history import newest
from agent.storage.ledger import Ledger
from tests.parts.pulse import counters
from tests.parts.scripted_card import FakeCard, ScriptedCards, Usb
from tests.parts.waiting import wait_until
from tests.system.running import pcm

pytestmark = pytest.mark.real_time

RATE = 48000
FIRST, SECOND = Usb(serial="A1", port="1-1.2"), Usb(serial="B2", port="1-1.4")
FAR = 1 << 31
"""Sample numbers from here on are those of the second microphone."""


class Sources:
    """Real sources with threads, lines and files, whose cards are those of a fake kernel."""

    def __init__(self, folder: Path, cards: ScriptedCards, devices: dict[str, str]) -> None:
        lines = "".join(
            f"  - {{id: {name}, type: alsa, channels: 2, device: '{device}'}}\n" for name, device in devices.items()
        )
        config = folder / "config.yaml"
        config.write_text(
            f"agent: {{id: shed, timezone: UTC}}\nrecording: {{period: 1m, fill_gaps_up_to: off}}\nsources:\n{lines}"
        )
        self.settings = load(config)
        self.board = StatusBoard()
        self._run = Run(self.settings, "boot", "run", "uid", "now")
        self._controls = [self._control(source, cards) for source in self.settings.sources]

    def _control(self, source: object, cards: ScriptedCards) -> SourceControl:
        assert isinstance(source, AlsaSettings)
        self.board.put(
            SourceStatus(source.id, source.id, "alsa", SourceState.STARTING, Desired.RECORD, clock.utc_now())
        )
        return SourceControl(
            source.id,
            AlsaSource(source, cards.tree),
            lambda left_by: build_line(self._run, source, self.board, lambda _: None, left_by),
            desired=Desired.RECORD,
            remember=lambda _source, _desired: None,
            line_failed=lambda _source, error: print(error),
        )

    def wait_for_state(self, source: str, state: SourceState, timeout_s: float = 10) -> SourceStatus:
        wait_until(lambda: self.board.of(source).state is state, timeout_s, f"{source} to be {state}")
        return self.board.of(source)

    def heard(self, source: str) -> list[NDArray[np.int64]]:
        """The sample numbers of each file, oldest first."""
        found = sorted(newest(self.settings.recordings, source, 100), key=lambda segment: segment.start)
        return [counters(pcm(self.settings.recordings / segment.file)).astype(np.int64) for segment in found]

    def start(self) -> None:
        for control in self._controls:
            control.start()

    def stop(self) -> None:
        for control in self._controls:
            control.begin_end()
        deadline_s = time.monotonic() + 10
        for control in self._controls:
            control.end_capture(deadline_s)
            control.end_recording(deadline_s)


@contextmanager
def recording(folder: Path, cards: ScriptedCards, devices: dict[str, str]) -> Iterator[Sources]:
    sources = Sources(folder, cards, devices)
    sources.start()
    try:
        yield sources
    finally:
        sources.stop()


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedCards:
    cards = ScriptedCards(tmp_path / "cards", cards=())
    monkeypatch.setenv("PATH", cards.env["PATH"])
    return cards


GONE = [["audio", 1.5], ["say", "arecord: pcm_read:2221: read error: No such device"], ["exit", 1]]


@pytest.mark.parametrize("device", ["usb:046d:0825:A1", "usb-port:1-1.2", "usb microphone"])
def test_a_card_is_recorded_again_within_3_s_whatever_it_is_called_now(
    tmp_path: Path, cards: ScriptedCards, device: str
) -> None:
    cards.plug(FakeCard(1, "Mic", usb=FIRST))
    cards.change(plays={"Mic": [GONE], "Mic_1": [GONE], "U0x46d0x825": [[["audio", None]]]})
    back_ns = []
    with recording(tmp_path, cards, {"mic": device}) as sources:
        for number, name in ((4, "Mic_1"), (2, "U0x46d0x825")):
            sources.wait_for_state("mic", SourceState.RECORDING)
            cards.plug(FakeCard(0, "Other", "Somebody else's", usb=SECOND))  # while the play of the first one runs
            status = sources.wait_for_state("mic", SourceState.RECONNECTING)
            wait_until(lambda: "no sound card" in str(sources.board.of("mic").last_error), 5, "it to be away")
            assert status.gap is not None
            back_ns.append(time.monotonic_ns())
            cards.plug(FakeCard(0, "Other", "Somebody else's", usb=SECOND), FakeCard(number, name, usb=FIRST))
        sources.wait_for_state("mic", SourceState.RECORDING)
    parts = sources.heard("mic")
    assert len(parts) == 3
    for part, returned_ns in zip(parts[1:], back_ns, strict=True):
        away_s = (cards.mono_ns_of(int(part[0]), RATE) - returned_ns) / 1e9
        print(f"recorded again after {away_s:.2f} s")
        assert 0 < away_s < 3
    lines = (sources.settings.recordings / "mic" / "gaps.jsonl").read_text()
    assert lines.count('"device_lost"') == 4
    assert Ledger(sources.settings.recordings, "mic").open_gap() is not None
    assert not cards.starts("Other")


@pytest.mark.parametrize(
    "devices",
    [
        {"front": "usb-port:1-1.2", "back": "usb-port:1-1.4"},
        {"front": "usb:046d:0825:A1", "back": "usb:046d:0825:B2"},
    ],
)
def test_two_microphones_of_one_model_never_swap(tmp_path: Path, cards: ScriptedCards, devices: dict[str, str]) -> None:
    cards.change(plays={"Mic": [GONE], "Mic_1": [GONE]})
    orders = [((1, "Mic"), (2, "Mic_1")), ((2, "Mic_1"), (1, "Mic")), ((3, "Mic_1"), (1, "Mic"))]
    cards.plug()
    with recording(tmp_path, cards, devices) as sources:
        for (number, name), (other_number, other_name) in orders:
            cards.plug(
                FakeCard(number, name, usb=FIRST),
                FakeCard(other_number, other_name, usb=SECOND, offset=FAR),
            )
            for source in devices:
                sources.wait_for_state(source, SourceState.RECORDING)
            cards.plug()
            for source in devices:
                sources.wait_for_state(source, SourceState.RECONNECTING)
    front, back = (np.concatenate(sources.heard(source)) for source in devices)
    assert len(front) > 3 * RATE
    assert len(back) > 3 * RATE
    assert (front < FAR).all()
    assert (back >= FAR).all()
