"""What recording costs: our agent against arecord and ffmpeg with an ebur128 measurement beside the files.

    python -m bench.record_cost [--seconds 60] [--rounds 3] [--only card|streams] [--mqtt]

Both sides take turns in one run, because the machine is shared. README.md says what the figures mean.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.sides import Side, broker, live_mounts, our_card, our_streams, peer_card, peer_streams
from bench.usage import usage
from tests.parts.icecast import CODECS, Icecast
from tests.parts.process import program
from tests.parts.pulse import PipeCard

_WARM_UP_S = 5.0
_STREAMS = 8
_RATES = {"opus": 48000}
_PROGRAMME_S = 60


@dataclass(frozen=True, slots=True)
class Cost:
    """One measurement of one side: CPU in percent of one core, memory in MB (2^20 bytes)."""

    cpu_percent: float
    peak_rss_mb: float
    pss_mb: float


def measure(side: Side, folder: Path, seconds: float) -> Cost:
    """Record for a while; what was used between two moments after everything records."""
    with side(folder) as pids:
        time.sleep(_WARM_UP_S)
        before, began_s = usage(pids()), time.monotonic()
        time.sleep(seconds)
        after, ended_s = usage(pids()), time.monotonic()
    cpu_percent = 100 * (after.cpu_s - before.cpu_s) / (ended_s - began_s)
    return Cost(cpu_percent, after.peak_rss_mb, after.pss_mb)


def compare(name: str, ours: Side, peer: Side, folder: Path, options: argparse.Namespace) -> None:
    """Measure both in turns, and print every round and the ratios."""
    print(f"\n{name}\n{'':10}{'CPU % of a core':>16}{'peak RSS MB':>13}{'PSS MB':>9}")
    rounds: list[tuple[Cost, Cost]] = []
    for number in range(options.rounds):
        pair = []
        for label, side in (("ours", ours), ("peer", peer)):
            cost = measure(side, folder / f"{label}-{number}", options.seconds)
            print(f"{label:10}{cost.cpu_percent:16.2f}{cost.peak_rss_mb:13.1f}{cost.pss_mb:9.1f}", flush=True)
            pair.append(cost)
        rounds.append((pair[0], pair[1]))
    print("ratio ours/peer, median (smallest to largest):")
    for label, field in (("CPU", "cpu_percent"), ("peak RSS", "peak_rss_mb"), ("PSS", "pss_mb")):
        print(f"  {label:10}{_ratios([getattr(us, field) / getattr(them, field) for us, them in rounds])}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; always 0, because what is slow on one machine is not on another."""
    parser = argparse.ArgumentParser(prog="python -m bench.record_cost", description="CPU and memory of recording")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of one measurement (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (default 3)")
    parser.add_argument("--only", choices=("card", "streams"), help="one of the two comparisons")
    parser.add_argument(
        "--codec", choices=(*CODECS, "all"), default="mp3", help="what the streams carry (default mp3), or all in turn"
    )
    parser.add_argument("--mqtt", action="store_true", help="with a real mosquitto that our agent reports to")
    options = parser.parse_args(arguments)
    _print_machine()
    with tempfile.TemporaryDirectory(prefix="record-cost-") as name, ExitStack() as running:
        folder = Path(name)
        mqtt = running.enter_context(broker(folder / "broker")) if options.mqtt else ""
        if options.only != "streams":
            _card(folder / "card", mqtt, options)
        if options.only != "card":
            for codec in CODECS if options.codec == "all" else [options.codec]:
                _streams(codec, folder / codec, mqtt, options)
    print(f"\nload at the end: {_load()}")
    return 0


def _card(folder: Path, mqtt: str, options: argparse.Namespace) -> None:
    with PipeCard(folder / "rig") as card, card.feed():
        ours, peer = partial(our_card, card, mqtt=mqtt), partial(peer_card, card)
        compare("one card, 48 kHz stereo 16 bit to FLAC", ours, peer, folder, options)


def _streams(codec: str, folder: Path, mqtt: str, options: argparse.Namespace) -> None:
    with Icecast(folder / "rig") as icecast:
        file = _encode(codec, folder / "programme")
        with live_mounts(icecast, file, codec, _STREAMS) as urls:
            ours, peer = partial(our_streams, urls, mqtt=mqtt), partial(peer_streams, urls, codec)
            compare(f"{_STREAMS} {codec} streams, {_RATES.get(codec, 44100)} Hz stereo", ours, peer, folder, options)


def _encode(codec: str, file: Path) -> Path:
    """A programme of wandering tones and noise, encoded before anything is measured."""
    rate, (encoder, _) = _RATES.get(codec, 44100), CODECS[codec]
    signal = f"aevalsrc=0.3*sin(2*PI*600*t+200*sin(2*PI*0.31*t)):s={rate}:d={_PROGRAMME_S}[tone];"
    signal += f"anoisesrc=r={rate}:c=pink:a=0.25:seed=1[noise];[tone][noise]amix=inputs=2:normalize=0:duration=first"
    command = [program("ffmpeg", "ffmpeg"), "-nostdin", "-v", "error", "-f", "lavfi", "-i", signal, "-ac", "2"]
    subprocess.run([*command, "-b:a", "128k", *encoder, str(file)], check=True)
    return file


def _ratios(values: list[float]) -> str:
    return f"{statistics.median(values):6.2f}  ({min(values):.2f} to {max(values):.2f})"


def _print_machine() -> None:
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    model = next((line.partition(":")[2].strip() for line in cpus if line.startswith("model name")), "unknown")
    version = subprocess.run([program("ffmpeg", "ffmpeg"), "-version"], capture_output=True, check=True, text=True)
    print(f"machine: {os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}")
    print(f"Python {platform.python_version()}, {version.stdout.splitlines()[0].partition(' Copyright')[0]}")
    print(f"load at the start: {_load()}")


def _load() -> str:
    return " ".join(f"{load:.2f}" for load in os.getloadavg())


if __name__ == "__main__":
    sys.exit(main())
