"""The picture of the page for the README: the real archive over recordings that are made up. See scripts/screenshot."""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from agent import clock
from agent.archive_format.times import rfc3339
from tests.archive.support import ROOT, ZONE, Recordings, serving, source
from tests.parts.browser import Browser

TARGET = ROOT / "docs" / "images" / "page.png"
MOST_BYTES = 300_000
DESKTOP, PHONE = (1120, 930), (372, 806)
PERIOD = timedelta(minutes=15)
RATE = 8000
SOURCES = {"garden": "Garden microphone", "radio": "Local radio", "workshop": "Workshop"}
TITLES = ["Nina Simone – Feeling Good", "Bach: Cello Suite No. 1", "News at the hour", "Miles Davis – So What"]
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include ignore_missing="yes">/etc/fonts/fonts.conf</include>
<match target="pattern"><edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
</fontconfig>"""
_SHEET = """<style>body{{margin:0;background:#dfe6e5;width:1612px;height:1010px;position:relative}}
img{{position:absolute;border-radius:10px;box-shadow:0 8px 40px rgb(20 40 40/.2)}}</style>
<img src="{desktop}" style="left:40px;top:40px"><img src="{phone}" style="left:1200px;top:102px;border-radius:22px">"""


def garden(seconds: float) -> NDArray[np.float64]:
    """A quiet garden: a murmur that comes and goes, and some birds and a dog."""
    random = np.random.default_rng(5)
    at = np.arange(round(seconds * RATE)) / RATE
    level = (
        -47
        + 3 * np.sin(at / 61)
        + 2 * np.sin(at / 17)
        + np.repeat(random.normal(0, 1.6, len(at) // RATE + 1), RATE)[: len(at)]
    )
    for start, length, loud in (
        (74, 3, -19),
        (181, 14, -21),
        (236, 2, -15),
        (402, 41, -16),
        (611, 1.5, -20),
        (743, 9, -12),
    ):
        inside = (at >= start) & (at < start + length)
        level[inside] = loud - 3 * np.abs(np.sin(at[inside] * 2.3))
    sound: NDArray[np.float64] = random.normal(0, 1, len(at)) * 10 ** (level / 20)
    return sound


def history(recordings: Recordings, newest: datetime) -> Path:
    """A day and a half of finished recordings; the newest of the garden is real audio, the rest is only as long."""
    random = np.random.default_rng(1)
    for number in range(140):
        for key in SOURCES:
            if key == "workshop" and number % 9 > 3:
                continue
            segment(recordings, key, newest - number * PERIOD, random)
    real = recordings.folder / "garden" / f"garden_{newest:%Y%m%dT%H%M%S}.flac"
    soundfile.write(real, np.clip(garden(PERIOD.total_seconds()), -1, 1), RATE, subtype="PCM_16")
    sidecar = real.with_suffix(".json")
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "bytes": real.stat().st_size}))
    return real


def segment(recordings: Recordings, key: str, start: datetime, random: np.random.Generator) -> None:
    """A sidecar, and a file that has the size but holds nothing."""
    folder = recordings.folder / key
    folder.mkdir(exist_ok=True)
    end, file = start + PERIOD, folder / f"{key}_{start:%Y%m%dT%H%M%S}.flac"
    size = int(random.normal(29e6, 2e6)) if key != "radio" else 14_400_000
    peak = float(np.clip(random.normal(-14 if key != "radio" else -0.6, 5 if key != "radio" else 0.3), -50, 0))
    loud = int(random.poisson(2.5)) if key != "radio" and peak > -16 else 0
    event = {"event_type": "loud", "start": rfc3339(start), "end": rfc3339(end), "offset_s": 0.0, "max_dbfs": peak}
    title = {"at": rfc3339(start), "text": TITLES[int(random.integers(len(TITLES)))]}
    told = {
        "v": 1, "id": f"{key}-{start:%d%H%M}", "agent": "shed", "source": key, "file": f"{key}/{file.name}",
        "container": "flac", "codec": "flac", "sample_rate_hz": 48000, "channels": 1, "bytes": size, "tz": ZONE.key,
        "start": rfc3339(start), "end": rfc3339(end), "samples": 43_200_000, "duration_s": 900.0, "reason": "boundary",
        "missing_s": 7.4 if (key, start.minute, start.hour % 4) == ("workshop", 30, 1) else 0.0,
        "loudness": {"rms_dbfs": round(peak - 25, 1), "peak_dbfs": round(peak, 1)},
        "events": [{**event, "id": f"{key}{at}"} for at in range(loud)], "titles": [title] if key == "radio" else [],
    }  # fmt: skip
    with file.open("wb") as made:
        made.truncate(size)
    file.with_suffix(".json").write_text(json.dumps(told))


@contextmanager
def living(recordings: Recordings, since: datetime) -> Iterator[None]:
    """A status as that of an agent that records, until the end of the block."""
    writers = {key: recordings.opened(150, source=key, start=since) for key in SOURCES}
    over, random = threading.Event(), np.random.default_rng(2)

    def of(key: str, rms: float, peak: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the status
        level = {"rms_dbfs": round(rms + random.normal(0, 0.4), 1), "peak_dbfs": round(peak, 1)}
        return source(
            key, writer=writers[key], level=level, name=SOURCES[key], since=rfc3339(since - timedelta(hours=35)), **more
        )

    def tell() -> None:
        recordings.status(
            of("garden", -41.6, -29.3, sound=False), of("radio", -14.8, -2.1, sound=True, title=TITLES[0]),
            of("workshop", -55.4, -43.6, sound=False),
        )  # fmt: skip

    def keep_telling() -> None:
        while not over.wait(0.5):
            tell()

    tell()
    thread = threading.Thread(target=keep_telling)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def picture(url: str, real: Path, *, size: tuple[int, int]) -> bytes:
    """The page with the newest recording of the garden in its player."""
    with Browser(viewport=size) as browser:
        page = browser.page
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.goto(url)
        play = page.locator(f"tr.file[data-name='garden/{real.name}'] button")
        play.click(timeout=60_000)
        page.locator("#loud-list button").nth(3).wait_for(state="attached", timeout=60_000)
        browser.wait_for(lambda: page.evaluate("document.querySelector('audio').readyState > 2"), 30, "the audio")
        page.evaluate("document.querySelector('audio').pause(); document.querySelector('audio').currentTime = 338")
        page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
        page.mouse.move(0, 0)
        page.locator(".total").nth(2).wait_for()
        page.wait_for_timeout(1500)  # seek, and a level or two
        browser.assert_clean()
        return page.screenshot()


def composed(desktop: bytes, phone: bytes) -> bytes:
    """Both on one sheet."""
    with Browser(viewport=(1612, 1010)) as browser:
        addresses = [f"data:image/png;base64,{base64.b64encode(made).decode()}" for made in (desktop, phone)]
        browser.page.set_content(_SHEET.format(desktop=addresses[0], phone=addresses[1]))
        return browser.page.screenshot()


def main() -> None:
    """Make the picture, or say why not."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    with tempfile.TemporaryDirectory() as folder:
        fonts = Path(folder) / "fonts.conf"
        fonts.write_text(_FONTS)
        os.environ["FONTCONFIG_FILE"] = str(fonts)
        recordings = Recordings(Path(folder) / "rec")
        now = clock.utc_now()
        since = datetime.fromtimestamp(now.timestamp() // PERIOD.total_seconds() * PERIOD.total_seconds(), UTC)
        real = history(recordings, since - PERIOD)
        try:
            with living(recordings, since), serving(Path(folder)) as served:
                made = composed(*(picture(served.url(), real, size=size) for size in (DESKTOP, PHONE)))
        finally:
            recordings.abandon()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(made)
    print(f"{target}: {len(made):,} bytes")
    if len(made) > MOST_BYTES:
        raise SystemExit(f"The picture is larger than {MOST_BYTES:,} bytes; make it smaller.")


if __name__ == "__main__":
    main()
