"""The two ways to record that are compared: our agent, and arecord or a URL with ffmpeg. Real parts all of them."""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

from bench.usage import descendants
from tests.parts.icecast import CODECS, Icecast
from tests.parts.mosquitto import Broker
from tests.parts.process import Part, program
from tests.parts.pulse import PipeCard
from tests.system.running import RunningAgent

Pids: TypeAlias = Callable[[], list[int]]
Side: TypeAlias = Callable[[Path], AbstractContextManager[Pids]]
"""Records into a folder as long as it is entered; tells the processes that count."""

PERIOD_S = 60
_RATE_HZ, _CHANNELS = 48000, 2
_READY_S = 30.0
_METER = "ebur128"
_FORMATS = {"vorbis": "ogg", "opus": "ogg", "oggflac": "ogg"}


@contextmanager
def our_card(card: PipeCard, folder: Path, *, mqtt: str = "") -> Iterator[Pids]:
    """The agent with one sound card, into FLAC."""
    source = f"{{id: mic, type: alsa, device: {card.device}, sample_rate: {_RATE_HZ}, channels: {_CHANNELS}}}"
    with _agent(folder, {"mic": source}, mqtt, card.env) as pids:
        yield pids


@contextmanager
def peer_card(card: PipeCard, folder: Path) -> Iterator[Pids]:
    """`arecord | ffmpeg` with what a user would type, into FLAC files cut at the clock."""
    folder.mkdir(parents=True)
    arecord = [program("arecord", "alsa-utils"), "-q", "-D", card.device, "-t", "raw", "-f", "S16_LE"]
    arecord += ["-r", str(_RATE_HZ), "-c", str(_CHANNELS)]
    raw = ["-f", "s16le", "-ar", str(_RATE_HZ), "-ac", str(_CHANNELS), "-i", "-"]
    pipeline = f"{shlex.join(arecord)} | {shlex.join(_ffmpeg(raw, 'flac', folder / 'out%d.flac', stdin=True))}"
    shell = Part(["sh", "-c", pipeline], package="dash", log=folder / "log", ready=_has_files(folder), env=card.env)
    with shell:
        yield lambda: descendants(shell.pid)


@contextmanager
def our_streams(urls: Sequence[str], folder: Path, *, mqtt: str = "") -> Iterator[Pids]:
    """The agent with all streams, as they come."""
    sources = {f"radio{i}": f'{{id: radio{i}, type: icecast, url: "{url}"}}' for i, url in enumerate(urls)}
    with _agent(folder, sources, mqtt, os.environ) as pids:
        yield pids


@contextmanager
def peer_streams(urls: Sequence[str], codec: str, folder: Path) -> Iterator[Pids]:
    """One ffmpeg for each stream. What it copies of native FLAC is no file that plays: it has to encode that anew."""
    opened, stored = (["-f", "flac"], "flac") if codec == "flac" else ([], "copy")
    parts: dict[Path, Part] = {}
    with ExitStack() as running:
        for number, url in enumerate(urls):
            own = folder / str(number)
            own.mkdir(parents=True)
            command = _ffmpeg([*opened, "-i", url], stored, own / f"out%d.{_FORMATS.get(codec, codec)}")
            parts[own] = running.enter_context(Part(command, package="ffmpeg", log=own / "log"))
        for own, part in parts.items():  # only now, because each of them looks at its stream for a while first
            part.wait_for(_has_files(own), _READY_S, "a file")
        yield lambda: [part.pid for part in parts.values()]


@contextmanager
def live_mounts(icecast: Icecast, file: Path, codec: str, count: int) -> Iterator[list[str]]:
    """So many mounts that carry a file again and again in real time; their addresses.

    A feeder for each, because the packets of a single one would come on all mounts at the same moment.
    """
    mounts = [f"/live{number}" for number in range(count)]
    encoder, content_type = CODECS[codec]
    muxer = encoder[encoder.index("-c:a") + 2 :]
    with ExitStack() as running:
        for mount in mounts:
            command = ["ffmpeg", "-nostdin", "-v", "warning", "-re", "-stream_loop", "-1", "-i", str(file)]
            command += ["-c", "copy", *muxer, "-content_type", content_type]
            command += [f"icecast://source:{icecast.password}@127.0.0.1:{icecast.port}{mount}"]
            feed = running.enter_context(Part(command, package="ffmpeg", log=icecast.folder / f"feed{mount[1:]}.log"))
            feed.wait_for(partial(icecast.has_mount, mount), _READY_S, f"the mount {mount}")
        yield [icecast.url(mount) for mount in mounts]


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """A real mosquitto; the line of our configuration that leads to it."""
    with Broker(folder, users={"bench": "bench-password"}) as mosquitto:
        yield f"mqtt: {{host: 127.0.0.1, port: {mosquitto.port}, username: bench, password: bench-password}}"


@contextmanager
def _agent(
    folder: Path, sources: dict[str, str], mqtt: str, env: "os._Environ[str] | dict[str, str]"
) -> Iterator[Pids]:
    lines = ["agent: {id: bench, timezone: UTC}", f"recording: {{period: {PERIOD_S}s}}", mqtt, "sources:"]
    config = "\n".join([*lines, *(f"  - {source}" for source in sources.values())]) + "\n"
    with RunningAgent(folder, config, env=env) as agent:
        for source in sources:
            agent.wait_for_state(source, "recording", _READY_S)
        yield lambda: [agent.part.pid, *descendants(agent.part.pid)]


def _ffmpeg(source: list[str], codec: str, files: Path, *, stdin: bool = False) -> list[str]:
    command = [program("ffmpeg", "ffmpeg"), *([] if stdin else ["-nostdin"]), "-nostats", "-v", "warning", *source]
    command += ["-map", "0:a", "-c:a", codec, "-f", "segment", "-segment_atclocktime", "1"]
    command += ["-segment_time", str(PERIOD_S), str(files)]
    return [*command, "-map", "0:a", "-af", _METER, "-f", "null", "-"]


def _has_files(folder: Path) -> Callable[[], bool]:
    return lambda: any(path.stat().st_size for path in folder.glob("out*"))
