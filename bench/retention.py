"""How long a pass of retention takes over many recordings, and how long its longest step is.

Usage: python bench/retention.py [COUNT] [FOLDER]   (100 000 recordings below a folder in /tmp; it is removed after)
"""

import json
import os
import resource
import shutil
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from agent import clock
from agent.archive_format.names import segment_name
from agent.archive_format.sidecar import encode, segment_json
from agent.model import AudioFormat, Clock, Retention, SampleFormat, Segment
from agent.retention import Rules
from agent.storage.cleaner import Cleaner
from agent.storage.reserve import Disks
from agent.storage.sidecars import Sidecars

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
BYTES = 64


def make(folder: Path, count: int) -> None:
    """So many recordings of 15 minutes."""
    known = Segment(
        id="0192",
        agent="shed",
        source="mic",
        boot="b",
        run="r",
        file="",
        container="flac",
        format=AudioFormat.pcm(48000, 1, SampleFormat.S16_LE),
        start=FIRST,
        end=FIRST,
        tz=ZONE.key,
        samples=43_200_000,
        packets=None,
        bytes=BYTES,
        payload_offset=0,
        aligned_start=True,
        clock=Clock(synchronized=True, start_boottime_s=1.0, drift_ppm=0.0, overlap_s=0.0, map=((0, FIRST),)),
    )
    for number in range(count):
        start = FIRST + timedelta(minutes=15 * number)
        name = segment_name("mic", start, ZONE, "flac")
        (folder / name.folder).mkdir(parents=True, exist_ok=True)
        (folder / name.audio).write_bytes(bytes(BYTES))
        end = start + timedelta(minutes=15)
        segment = replace(known, file=name.audio, start=start, end=end)
        (folder / name.sidecar).write_bytes(encode(segment_json(segment)))
        for path in (name.audio, name.sidecar):
            os.utime(folder / path, (end.timestamp(), end.timestamp()))


def timed(cleaner: Cleaner) -> tuple[float, float, int]:
    """Seconds of all steps, of the longest, and how many there were, until nothing is left to do."""
    total_s = longest_s = 0.0
    steps = 0
    while True:
        began_s = clock.monotonic_s()
        more = cleaner.step()
        took_s = clock.monotonic_s() - began_s
        total_s, longest_s, steps = total_s + took_s, max(longest_s, took_s), steps + 1
        if not more:
            return total_s, longest_s, steps


def main() -> None:
    """Make, walk, look, delete a hundred."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    folder = Path(tempfile.mkdtemp(dir=sys.argv[2] if len(sys.argv) > 2 else "/tmp"))
    try:
        (folder / ".state").mkdir()
        make(folder, count)
        now_s = [0.0]
        keep = Retention(max_age_s=86400.0 * 36500, max_size_bytes=count * BYTES, protected_too=False)
        most = count * BYTES
        results: dict[str, object] = {"recordings": count}
        for what, limit in (("walk and nothing to do", most), ("walk and 100 to delete", most - 100 * BYTES)):
            rules = Rules(replace(keep, max_size_bytes=limit), {"mic": keep})
            disks = Disks(folder, folder / ".state", ["mic"])
            cleaner = Cleaner(
                folder,
                rules,
                Sidecars(folder, lambda _: None),
                disks,
                utc_now=clock.utc_now,
                now_s=lambda: now_s[0],
                synchronized=lambda: True,
                forget_gaps=lambda *_: False,
            )
            total_s, longest_s, steps = timed(cleaner)
            results[what] = f"{total_s:.2f} s in {steps} steps, the longest {longest_s * 1000:.0f} ms"
            now_s[0] += 61
            total_s, longest_s, steps = timed(cleaner)
            results[f"{what}: each minute after"] = f"{total_s * 1000:.0f} ms in {steps} steps"
            now_s[0] += 3601
            total_s, longest_s, steps = timed(cleaner)
            results[f"{what}: each hour after"] = f"{total_s:.2f} s in {steps} steps, longest {longest_s * 1000:.0f} ms"
        results["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(results, indent=1))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
