"""What we rely on in arecord: held by the real one and by the scripted one that stands in for it elsewhere."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.config import AlsaSettings
from agent.config.hearing import DEFAULT
from agent.config.load import DEFAULT_RECORDING
from agent.errors import SourceFault
from agent.model import Block, GapCause, Retention, RunStarted, SampleFormat, SourceItem
from agent.sources.alsa import AlsaSource
from agent.supervisor import StopSignal
from tests.parts.pulse import PipeCard, counters
from tests.parts.scripted_card import FakeCard, ScriptedCards
from tests.parts.waiting import wait_until

RATE, CHANNELS = 48000, 2
OFFERS = ["S16_LE", "S24_LE", "FLOAT_LE"]


@dataclass(frozen=True)
class Rig:
    """An arecord, and a device for it that hears a counter. `silent` is one that never hears anything."""

    env: dict[str, str]
    device: str
    silent: str


@pytest.fixture(scope="module", params=["real", "scripted"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "scripted":
        cards = ScriptedCards(folder / "cards", formats=OFFERS, channels=32, rates=[RATE, 384000])
        cards.plug(FakeCard(1, "Mic"), FakeCard(2, "Silent"))
        cards.change(plays={"Silent": [[["hang"]]]})
        yield Rig(cards.env, "hw:CARD=Mic", "hw:CARD=Silent")
        return
    with (
        PipeCard(folder / "card", device="contract") as card,
        PipeCard(folder / "silent", device="silent", home=card.home),
        card.feed(),
    ):
        yield Rig(card.env, card.device, "silent")


@contextmanager
def arecord(
    rig: Rig, *, device: str | None = None, layout: str = "S16_LE", rate: int = RATE, channels: int = CHANNELS
) -> Iterator[subprocess.Popen[bytes]]:
    options = [f"--device={device or rig.device}", "--file-type=raw", f"--format={layout}", f"--rate={rate}"]
    options += [f"--channels={channels}", "--period-time=50000", "--buffer-time=2000000"]
    child = subprocess.Popen(
        ["arecord", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=rig.env | {"LC_ALL": "C"},
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def refused(rig: Rig, **options: object) -> tuple[int, list[str]]:
    """Exit code and words of an arecord that does not record; nothing comes from it."""
    with arecord(rig, **options) as child:  # type: ignore[arg-type]
        audio, words = child.communicate(timeout=10)
        assert audio == b""
        return child.returncode, [re.sub(r"\d+:\(", "N:(", line) for line in words.decode().splitlines()]


def read(child: subprocess.Popen[bytes], size: int) -> bytes:
    assert child.stdout is not None
    return child.stdout.read(size)


def said(child: subprocess.Popen[bytes]) -> str:
    assert child.stderr is not None
    return child.stderr.readline().decode().rstrip()


def test_it_greets_and_then_gives_what_the_card_hears_every_50_ms(rig: Rig) -> None:
    with arecord(rig) as child:
        assert said(child) == "Recording raw data 'stdin' : Signed 16 bit Little Endian, Rate 48000 Hz, Stereo"
        data, times = b"", []
        for _ in range(20):
            data += read(child, RATE // 20 * 4)
            times.append(time.monotonic())
        heard = counters(np.frombuffer(data, dtype="<i2").reshape(-1, 2)).astype(np.int64)
        assert np.array_equal(np.diff(heard), np.ones(len(heard) - 1))
        assert 0.8 < times[-1] - times[0] < 3, "19 periods of 50 ms"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_word_and_no_half_sample(rig: Rig, number: signal.Signals) -> None:
    with arecord(rig) as child:
        read(child, 4)
        child.send_signal(number)
        rest, words = child.communicate(timeout=5)
        assert child.returncode == 1
        assert f"\nAborted by signal {signal.strsignal(number)}...\n" in words.decode()
        assert len(rest) % 4 == 0


def test_a_device_that_nobody_knows(rig: Rig) -> None:
    unknown = "ALSA lib pcm.c:N:(snd_pcm_open_noupdate) Unknown PCM nonsense"
    assert refused(rig, device="nonsense") == (
        1,
        [unknown, "arecord: main:831: audio open error: No such file or directory"],
    )


def test_a_card_that_is_away_by_name_and_by_number(rig: Rig) -> None:
    text = "ALSA lib confmisc.c:N:(snd_config_get_card) Cannot get card index for"
    by_name = refused(rig, device="hw:CARD=Nowhere")
    assert by_name == (1, [f"{text} Nowhere", "arecord: main:831: audio open error: No such device"])
    by_number = refused(rig, device="hw:27,0")
    assert by_number == (1, [f"{text} 27", "arecord: main:831: audio open error: No such file or directory"])


def test_a_format_that_is_not_offered(rig: Rig) -> None:
    code, words = refused(rig, layout="S8")
    assert code == 1
    assert words[:3] == [
        "Recording raw data 'stdin' : Signed 8 bit, Rate 48000 Hz, Stereo",
        "arecord: set_params:1352: Sample format non available",
        "Available formats:",
    ]
    assert {f"- {name}" for name in OFFERS} <= set(words[3:])


def test_channels_that_are_not_offered(rig: Rig) -> None:
    assert refused(rig, channels=33) == (
        1,
        [
            "Recording raw data 'stdin' : Signed 16 bit Little Endian, Rate 48000 Hz, Channels 33",
            "arecord: set_params:1358: Channels count non available",
        ],
    )


def test_a_rate_that_is_not_offered_is_a_warning_and_it_goes_on(rig: Rig) -> None:
    with arecord(rig, rate=500000) as child:
        assert said(child).endswith("Rate 500000 Hz, Stereo")
        assert said(child) == "Warning: rate is not accurate (requested = 500000Hz, got = 384000Hz)"
        assert said(child) == f"         please, try the plug plugin (-Dplug:{rig.device})"
        assert len(read(child, 4000)) == 4000


def test_a_list_of_cards_is_an_answer_even_where_there_is_none(rig: Rig) -> None:
    done = subprocess.run(["arecord", "-l"], env=rig.env, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 0
    assert done.stdout.startswith("**** List of CAPTURE") or "no soundcards found..." in done.stderr


class Capture:
    """AlsaSource in a thread of its own, as the agent runs it."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:  # noqa: ANN401 - fields of AlsaSettings
        for name in ("PATH", "HOME", "XDG_RUNTIME_DIR"):
            monkeypatch.setenv(name, rig.env.get(name, ""))
        settings = AlsaSettings(
            id="mic",
            name="mic",
            recording=DEFAULT_RECORDING,
            hearing=DEFAULT,
            retention=Retention(),
            device=rig.device,
            sample_rate_hz=RATE,
            channels=CHANNELS,
            sample_format=SampleFormat.S16_LE,
            latency_s=0.0,
        )
        settings = replace(settings, **options)
        self.source = AlsaSource(settings)
        self.items: list[SourceItem] = []
        self.fault: SourceFault | None = None
        self.stop = StopSignal()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.source.run(self.items.append, self.stop)
        except SourceFault as fault:
            self.fault = fault

    def end(self) -> None:
        self.stop.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


def children() -> list[str]:
    mine = f"/proc/{os.getpid()}/task"
    pids = [pid for task in Path(mine).iterdir() for pid in (task / "children").read_text().split()]
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in pids]
    return [line for line in lines if "arecord" in line and "--device" in line]


def test_the_source_records_from_it_and_leaves_nothing_behind(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Capture(rig, monkeypatch)
    wait_until(lambda: len(capture.items) > 10, 10, "blocks")
    assert children()
    capture.end()
    assert capture.fault is None
    first, *rest = capture.items
    assert isinstance(first, RunStarted)
    assert all(isinstance(item, Block) for item in rest)
    data = b"".join(item.data for item in rest if isinstance(item, Block))
    heard = counters(np.frombuffer(data, dtype="<i2").reshape(-1, 2)).astype(np.int64)
    assert np.array_equal(np.diff(heard), np.ones(len(heard) - 1))
    assert not children()


def test_one_that_says_nothing_is_a_stall_after_2_s(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    capture = Capture(rig, monkeypatch, device=rig.silent)
    capture.thread.join(10)
    assert capture.fault is not None
    assert capture.fault.cause is GapCause.STALL
    assert "no audio for 2 s or more although arecord runs" in capture.fault.message
    assert 1.9 < time.monotonic() - began < 4
    assert capture.items == []
    assert not children()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "hw:CARD=Nowhere"}, "the device is not there"),
        ({"device": "nonsense:1"}, "ALSA knows no PCM of this name"),
        ({"channels": 33}, "does not offer this number of channels"),
        ({"sample_rate_hz": 500000}, "the card cannot run at 500000 Hz, only at 384000 Hz"),
    ],
)
def test_each_refusal_is_said_in_words_and_nothing_is_recorded(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], message: str
) -> None:
    capture = Capture(rig, monkeypatch, **options)
    capture.thread.join(10)
    assert capture.fault is not None
    assert message in capture.fault.message
    assert capture.fault.permanent
    assert capture.items == []
    assert not children()
