"""A recordings folder made by the product's own writer, and the real archive serving it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import requests

from agent import clock
from agent.archive_format.times import rfc3339
from agent.loudness.meter import Meter
from agent.model import (
    AudioFormat,
    CloseReason,
    Entry,
    EventRule,
    FinishedSegment,
    Frame,
    Heard,
    Hearing,
    Instant,
    Level,
    SampleFormat,
    SegmentClose,
    SegmentData,
    SegmentOpen,
)
from agent.storage.files import write_whole
from agent.storage.writer import Origin, SegmentWriter
from tests.parts.process import Part, free_port, port_answers

ROOT = Path(__file__).parents[2]
ZONE = ZoneInfo("Europe/Berlin")
START = datetime(2026, 11, 22, 13, tzinfo=UTC)
RATE = 8000
HEARING = Hearing(1.0, EventRule(-10.0, 3.0, 0.2, 2.0), None)  # above the noise
FORMAT = AudioFormat.pcm(RATE, 1, SampleFormat.S16_LE)


def noise(seconds: float, seed: int = 1, rate: int = RATE) -> bytes:
    """Noise as 16-bit PCM: it does not compress, so files have some size."""
    samples = np.random.default_rng(seed).normal(0, 3000, round(seconds * rate))
    return samples.astype("<i2").tobytes()


class Recordings:
    """A recordings folder. Files come about exactly as the agent makes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._writers: list[SegmentWriter] = []

    def abandon(self) -> None:
        """Leave what is open as it is."""
        for writer in self._writers:
            writer.abandon()

    def writer(self, source: str = "mic", container: str = "flac") -> SegmentWriter:
        """A writer for one source."""
        origin = Origin("shed", source, "boot", "run", ZONE)
        writer = MeteredWriter(
            self.folder, origin, pcm_container=container, sync_interval_s=0, synchronized=lambda: True
        )
        self._writers.append(writer)
        return writer

    def finished(
        self, seconds: float = 10, *, start: datetime = START, source: str = "mic", container: str = "flac"
    ) -> FinishedSegment:
        """A closed segment of noise."""
        writer = self.writer(source, container)
        writer.push(SegmentOpen(start, 1.0, FORMAT, True))
        feed(writer, start, seconds)
        done = close(writer, start + timedelta(seconds=seconds))
        assert done is not None
        return done

    def opened(
        self, seconds: float = 10, *, start: datetime = START, source: str = "mic", container: str = "flac"
    ) -> SegmentWriter:
        """A segment that is still being written."""
        writer = self.writer(source, container)
        writer.push(SegmentOpen(start, 1.0, FORMAT, True))
        feed(writer, start, seconds)
        return writer

    def status(self, *sources: dict[str, Any], age_s: float = 0) -> None:
        """A status.json of this age."""
        names = [source["open_segment"]["file"] for source in sources if source["open_segment"]]
        body = {
            "v": 1,
            "ts": rfc3339(clock.utc_now() - timedelta(seconds=age_s)),
            "agent": "shed",
            "tz": ZONE.key,
            "sources": list(sources),
            "active": names,
        }
        write_whole(self.folder / "status.json", json.dumps(body).encode(), durable=False)


class MeteredWriter(SegmentWriter):
    """A writer with the meter before it, as in the recorder's line."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - those of the writer
        super().__init__(*arguments, **named)
        self._meter = Meter("mic", HEARING)

    def push(self, entry: Entry) -> None:
        """Entry and whatever is heard before it; all of it is on disk then."""
        for heard in self._meter.push(entry):
            if _is_written(heard):
                super().push(heard)
        self.settle()

    def tick(self, now: Instant) -> None:
        """Measure, write, sync; all of it is on disk then."""
        for heard in self._meter.tick():
            if _is_written(heard):
                super().push(heard)
        self.settle()  # a sync that is under way is not waited for otherwise
        super().tick(now)
        self.settle()


def _is_written(heard: Entry) -> bool:
    return not isinstance(heard, Heard | Level)


def feed(writer: SegmentWriter, at: datetime, seconds: float, seed: int = 1) -> None:
    """Some noise for the open segment; `at` is when it begins."""
    data = noise(seconds, seed)
    frame = Frame(data, len(data) // 2, FORMAT, clock.now())
    writer.push(SegmentData(frame, at + timedelta(seconds=seconds)))


def close(writer: SegmentWriter, end: datetime) -> FinishedSegment | None:
    """End the open segment."""
    writer.push(SegmentClose(end, CloseReason.BOUNDARY, True, None))
    return next(iter(writer.finished()), None)


def source(
    source_id: str = "mic", state: str = "recording", writer: SegmentWriter | None = None, **more: object
) -> dict[str, Any]:
    """One source of a status.json."""
    opened = writer.open_segment if writer else None
    segment = opened and {
        "file": opened.file,
        "start": rfc3339(opened.start),
        "samples_safe": opened.samples_safe,
        "bytes_safe": opened.bytes_safe,
    }
    return {
        "id": source_id,
        "name": source_id.capitalize(),
        "type": "alsa",
        "state": state,
        "desired": "record",
        "since": rfc3339(START),
        "format": {"codec": "pcm", "sample_rate_hz": RATE, "channels": 1, "bits": 16},
        "open_segment": segment,
        "title": None,
        "gap": None,
        "last_error": None,
        **more,
    }


@dataclass(frozen=True)
class Served:
    """The archive in a process of its own."""

    port: int
    part: Part

    def url(self, path: str = "/") -> str:
        """An address of it."""
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str, method: str = "GET", **headers: str) -> requests.Response:
        """One request, following no redirect; underscores in header names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(
            method,
            self.url(path),
            headers={"Accept-Encoding": "identity", **named},
            allow_redirects=False,
            timeout=10,
        )

    def raw(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Bytes as they are over a socket; status, header by lower-case name, body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split(" ")[1]), fields, body

    def raw_get(self, target: bytes, *lines: bytes) -> tuple[int, dict[str, str], bytes]:
        """A GET for a target that no client would send like that."""
        fields = b"".join(line + b"\r\n" for line in lines)
        return self.raw(b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + fields + b"\r\n")

    def descriptors_of(self, folder: Path) -> list[str]:
        """Files below the folder that the process has open at this moment."""
        found = []
        for link in Path(f"/proc/{self.part.pid}/fd").iterdir():
            try:
                target = str(link.readlink())
            except FileNotFoundError:
                continue
            if target.startswith(str(folder)):
                found.append(target)
        return found


def write_config(folder: Path, port: int, access: str = "") -> Path:
    """A configuration whose recordings are in `folder/rec`; `access` are more keys of the section archive."""
    file = folder / "config.yaml"
    file.write_text(
        "agent: {id: shed, timezone: Europe/Berlin}\n"
        "recording: {directory: rec}\n"
        f"archive: {{port: {port}, {access}}}\n"
        "sources:\n  - {id: mic, type: test}\n"
    )
    return file


def archive_part(folder: Path, port: int, access: str = "") -> Part:
    """The archive, not yet started."""
    config = write_config(folder, port, access)
    argv = [sys.executable, "-W", "error", "-m", "archive_api", "serve", "--config", str(config)]
    return Part(argv, package="python3", log=folder / "archive.log", ready=lambda: port_answers(port), cwd=ROOT)


@contextmanager
def serving(folder: Path, access: str = "") -> Iterator[Served]:
    """The archive over `folder/rec`, until the end of the block; nothing may go wrong in it unnoticed."""
    port = free_port()
    with archive_part(folder, port, access) as part:
        yield Served(port, part)
    log = part.log_text()
    assert "Traceback" not in log, log
    assert "Exception" not in log, log
