"""`isr-agent repair`: arguments in, lines and an exit code out."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from agent import clock
from agent.archive_format.names import AUDIO_SUFFIXES, PART
from agent.progress import Progress, counted
from agent.repair.alone import alone
from agent.repair.repair import Deed, Repair
from agent.verify.places import Group, groups

DONE, NOT_ALL_HELPED, INTERRUPTED = 0, 1, 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `repair` takes."""
    parser.add_argument("path", nargs="+", type=Path, metavar="PATH", help="folders or files of recordings, or a copy")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def repair(options: argparse.Namespace) -> int:
    """Repair what the options name. Raises ConfigError, and LockedError where an agent uses the folder."""
    chosen = list(dict.fromkeys(group for path in options.path for group in groups(path)))
    progress = Progress(sys.stderr, sys.stderr.isatty(), clock.monotonic_s)
    sizes = [_bytes(group) for group in chosen]
    # Of a folder by itself the ledger is elsewhere.
    whole = (group for group in chosen if group.is_in_place and not group.is_alone)
    ledgers = sorted({(group.recordings, group.source) for group in whole})
    total, done, told = sum(sizes), 0, Counter[bool]()

    def tell(deed: Deed) -> None:
        progress.clear()
        sys.stdout.write(f"{deed}\n")
        sys.stdout.flush()
        told[deed.helped] += 1

    work = Repair(clock.boot_id(), clock.utc_now, dry_run=options.dry_run)
    try:
        with alone(sorted({group.recordings for group in chosen}), clock.utc_now()):
            for group, size in zip(chosen, sizes, strict=True):
                progress(done, total)
                for deed in work.group(group):
                    tell(deed)
                done += size
            progress(total, total)
            for recordings, source in ledgers:
                for deed in work.ledger(recordings, source):
                    tell(deed)
    except KeyboardInterrupt:
        progress.end()
        sys.stdout.write("Interrupted; the next repair, or the next start of an agent, completes what was begun.\n")
        return INTERRUPTED
    progress.end()
    stays = f"{told[False]} could not be helped" if told[False] else "nothing is left to repair"
    helped = f"{told[True]} to repair" if options.dry_run else counted(told[True], "repair")
    sys.stdout.write(f"{counted(len(chosen), 'segment')}: {helped}, {stays}.\n")
    return NOT_ALL_HELPED if told[False] else DONE


def _bytes(group: Group) -> int:
    paths = (group.path(suffix + tail) for suffix in AUDIO_SUFFIXES for tail in ("", PART))
    return sum(path.stat().st_size for path in paths if path.is_file())
