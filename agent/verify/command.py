"""`isr-agent verify`: arguments in, lines and an exit code out."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from agent import clock
from agent.config import Settings
from agent.errors import ConfigError
from agent.progress import Progress, counted, in_bytes
from agent.verify.finding import Finding
from agent.verify.places import Group, groups
from agent.verify.run import Report, Verifier
from agent.verify.since import since

NOTHING_FOUND, SOMETHING_WRONG, INTERRUPTED = 0, 1, 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `verify` takes."""
    parser.add_argument(
        "path",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="folders or files; default: all recordings there are",
    )
    parser.add_argument("--since", metavar="WHEN", help="only what ended later: 7d, 2026-11-22, 2026-11-22T13:00:00Z")
    parser.add_argument("--source", action="append", metavar="ID", help="only this source; may be given more than once")
    parser.add_argument("--quick", action="store_true", help="check sizes and checksums, but decode nothing")
    parser.add_argument("--json", action="store_true", help="for programs")


def verify(options: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    """Check what the options name; `settings` is asked only where no path is given. Raises ConfigError."""
    zone = None
    if options.path:
        paths = list(options.path)
    else:
        known = settings()
        paths, zone = [known.recordings], known.agent.timezone
        if not known.recordings.is_dir():
            raise ConfigError(
                f"{known.recordings}: nothing has been recorded there", hint="name a PATH to look elsewhere"
            )
    batches = [_chosen(groups(path), options.source) for path in paths]
    out = _Output(sys.stdout, Progress(sys.stderr, sys.stderr.isatty(), clock.monotonic_s), is_json=options.json)
    verifier = Verifier(
        now=clock.utc_now,
        progress=out.progress,
        tell=out.finding,
        since=_since(options.since, zone),
        quick=options.quick,
    )
    try:
        verifier.check(batches)
    except KeyboardInterrupt:
        out.end(verifier.report, is_complete=False)
        return INTERRUPTED
    out.end(verifier.report, is_complete=True)
    return SOMETHING_WRONG if verifier.report.findings else NOTHING_FOUND


def _chosen(found: Iterable[Group], sources: list[str] | None) -> list[Group]:
    return [group for group in found if not sources or group.source in sources]


def _since(text: str | None, zone: ZoneInfo | None) -> datetime | None:
    if text is None:
        return None
    try:
        return since(text, clock.utc_now(), zone or ZoneInfo(clock.box_timezone() or "UTC"))
    except ValueError as error:
        raise ConfigError(f"--since: {error}") from error


@dataclass(slots=True)
class _Output:
    """Findings on one side, the bar on the other; on a terminal they share the screen."""

    out: TextIO
    progress: Progress
    is_json: bool

    def finding(self, finding: Finding) -> None:
        if not self.is_json:
            self.progress.clear()
            self.out.write(f"{finding}\n")
            self.out.flush()

    def end(self, report: Report, *, is_complete: bool) -> None:
        self.progress.end()
        if self.is_json:
            findings = [finding.json() for finding in report.findings]
            body = {
                "v": 1,
                "complete": is_complete,
                "segments": report.segments,
                "bytes": report.bytes,
                "without_checksum": report.without_checksum,
            }
            self.out.write(json.dumps({**body, "findings": findings}, ensure_ascii=False, indent=1) + "\n")
            return
        looked = f"{counted(report.segments, 'segment')}, {in_bytes(report.bytes)}"
        if report.without_checksum:
            looked += f", {report.without_checksum} of them without a checksum yet"
        count = len(report.findings)
        found = "nothing is wrong" if not count else counted(count, "finding")
        self.out.write(f"{looked}: {found}.\n" if is_complete else f"Interrupted after {looked}: {found} so far.\n")
