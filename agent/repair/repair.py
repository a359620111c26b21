"""Repairs the files of one segment: an unfinished recording, a lost sidecar, a wrong level series."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from agent.archive_format.ledger import ledger_line, open_gap, read_ledger
from agent.archive_format.levels import load_levels, row_start, row_type
from agent.archive_format.names import AUDIO_SUFFIXES, LEDGER, LEVELS, PART, SIDECAR, SegmentName
from agent.archive_format.sidecar import Json, encode, segment_json
from agent.archive_format.times import rfc3339, to_ns
from agent.codecs import CONTAINERS
from agent.codecs.base import Whole
from agent.errors import CodecError
from agent.ids import uuid7
from agent.model import Gap, GapCause, GapLine, Segment
from agent.repair.alone import may_be_recorded_now
from agent.repair.anew import carried_over, is_newer, told_by
from agent.repair.origin import UNKNOWN, gap_before, joined_end, origin_of
from agent.repair.rest import keep, rest_bytes
from agent.storage.broken import as_told, listed_to, with_broken
from agent.storage.files import append_durably, rename_new, sync_folder, write_whole
from agent.storage.finish import sha256_of
from agent.storage.history import last_end, read_sidecar
from agent.storage.ledger import Ledger
from agent.storage.plain import LEDGER_BYTES, NotPlainError, is_plain, open_plain, read_plain
from agent.storage.relevel import relevel
from agent.storage.salvage import completed, from_name, measure, salvage
from agent.verify.facts import Told, told
from agent.verify.judge import row_count
from agent.verify.places import Group

_BROKEN, _REST = ".broken", ".rest"
_NEWER = "a later version has written its sidecar; repair it with that one"
_WRONG = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What comes of a sidecar around it that tells what cannot be."""
_TORN_BYTES = 64 << 10
"""So much may be cut off the end of a file without a word: a packet that was being written."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done about one file, or would be. `helped` is False where it stays as it is."""

    file: str
    text: str
    helped: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


class Repair:
    """Repairs one group after the other; with `dry_run` only says what it would do.

    `boot` is that of this moment, `now` the wall clock.
    """

    def __init__(self, boot: str, now: Callable[[], datetime], *, dry_run: bool = False) -> None:
        self._boot, self._now, self._dry_run = boot, now, dry_run

    def group(self, group: Group) -> Iterator[Deed]:
        """What is done about it; nothing for one that is as it should be."""
        # A link, or a pipe, of such a name is none of ours, and nothing is written beside it.
        foreign = [suffix for suffix in _names() if _is_foreign(group.path(suffix))]
        if foreign:
            yield Deed(group.shown(foreign[0]), "stays as it is: it is no regular file", helped=False)
            return
        parts = [kind for kind in CONTAINERS if group.path(f".{kind}{PART}").is_file()]
        for kind in parts:
            yield from self._guarded(group, f".{kind}{PART}", self._finish(group, kind))
        audio = [kind for kind in CONTAINERS if group.path(f".{kind}").is_file()]
        before = read_plain(group.path(SIDECAR)) if group.path(SIDECAR).is_file() else None
        sidecar = None if before is None else told(before)
        if parts or not audio or (sidecar is not None and sidecar.is_deleted):
            return
        if sidecar is None or sidecar.segment is None:
            yield from self._guarded(group, f".{audio[0]}", self._describe(group, audio[0], before))
        elif sidecar.segment.container in audio and not _has_levels(group, sidecar.segment):
            yield from self._guarded(group, LEVELS, self._measure(group, sidecar, sidecar.segment))

    def ledger(self, recordings: Path, source: str) -> Iterator[Deed]:
        """What is done about the lines of a ledger that power cuts have torn."""
        ledger, file = Ledger(recordings, source), f"{source}/{LEDGER}"
        would = "would be " if self._dry_run else ""
        try:
            for number, _, raw in ledger.torn() if self._dry_run else ledger.blank_torn():
                yield Deed(file, f"line {number}, which a power cut has torn, {would or 'is '}blanked; it was {raw!r}")
        except FileNotFoundError:
            return
        except (OSError, NotPlainError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            yield Deed(file, f"stays as it is: {reason}", helped=False)

    def _guarded(self, group: Group, suffix: str, deeds: Iterator[Deed]) -> Iterator[Deed]:
        file = group.shown(suffix)
        try:
            yield from deeds
        except (CodecError, OSError, *_WRONG) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            yield Deed(file, f"stays as it is: {reason}", helped=False)

    def _finish(self, group: Group, kind: str) -> Iterator[Deed]:
        """Finish a `.part`, as the next start of an agent would."""
        name = SegmentName(group.folder, group.stem, kind)
        part, file = group.path(f".{kind}{PART}"), group.shown(f".{kind}{PART}")
        if group.path(f".{kind}").exists():
            yield Deed(file, f"stays as it is: there is a finished {group.stem}.{kind} already", helped=False)
            return
        so_far = read_sidecar(group.path(SIDECAR + PART))
        safe_bytes = so_far.bytes if so_far is not None and so_far.reason is None else 0
        closing = group.path(SIDECAR)
        if closing.is_file() and is_newer(told_by(read_plain(closing))):
            raise ValueError(_NEWER)
        size, whole = part.stat().st_size, measure(part, kind, safe_bytes)
        if whole is None and size:
            text = f"stays as it is: of its {size} bytes not one packet at the beginning is whole"
            yield Deed(file, text, helped=False)
            return
        if group.is_in_place and _is_foreign(group.recordings / group.source / LEDGER):
            raise ValueError(f"{group.source}/{LEDGER} is no regular file")
        if may_be_recorded_now(group, part, self._now()):
            text = "stays as it is: it was written to less than 10 minutes ago, so an agent may be recording it; "
            yield Deed(file, text + "stop that agent, or try again later", helped=False)
            return
        known = "its name" if so_far is None else "the sidecar so far"
        would = "would be " if self._dry_run else ""
        if whole is not None:
            yield from self._rest(group, kind, whole.length)
        finished = None
        if not self._dry_run:
            self._move_broken_sidecar(group)
            finished = salvage(group.recordings, name, origin_of(group, self._boot), decoded_max_s=math.inf)
        if whole is None:
            yield Deed(file, f"{would}removed: it is empty")
        else:
            length_s = whole.samples / whole.format.sample_rate_hz
            yield Deed(file, f"{would}finished: {length_s:.3f} s; its start is known by {known}")
        if finished is not None and group.is_in_place:
            Ledger(group.recordings, group.source).complete(finished.segment.gaps)
            yield from self._crashed(group, finished.segment)

    def _rest(self, group: Group, kind: str, length: int) -> Iterator[Deed]:
        """Keep what is cut off, where that is more than a packet."""
        part = group.path(f".{kind}{PART}")
        rest = rest_bytes(part, length)
        if rest <= _TORN_BYTES:
            return
        kept = f".{kind}{_REST}"
        if not self._dry_run:
            keep(part, length, rest, group.path(kept))
        yield Deed(group.shown(kept), f"{rest} bytes from behind a damaged place are kept in it")

    def _crashed(self, group: Group, segment: Segment) -> Iterator[Deed]:
        """The gap that a crash began, as the next start of an agent would write it down."""
        ledger = group.recordings / group.source / LEDGER
        lines = read_ledger(read_plain(ledger, LEDGER_BYTES)) if ledger.exists() else {}
        ends = [line.gap.end for line in lines.values() if line.at == "end" and line.gap.end is not None]
        newest = last_end(group.recordings, group.source)
        if open_gap(lines) is not None or (newest is not None and max([newest, *ends]) > segment.end):
            return
        gap = Gap(uuid7(to_ns(segment.end) // 1_000_000), group.source, segment.end, None, GapCause.AGENT_CRASHED)
        append_durably(ledger, ledger_line(GapLine("begin", gap)))
        yield Deed(f"{group.source}/{LEDGER}", f"a gap ({gap.cause}) begins at {rfc3339(gap.start)}")

    def _describe(self, group: Group, kind: str, broken: bytes | None) -> Iterator[Deed]:
        """Write the sidecar of finished audio anew: from its name, its bytes, the ledger and the segments around, and
        what a broken one still tells."""
        before = {} if broken is None else told_by(broken)
        if is_newer(before):
            raise ValueError(_NEWER)
        whole = measure(group.path(f".{kind}"), kind)
        if whole is None:
            raise CodecError("not one packet of it is whole")
        text = "would be written anew" if self._dry_run else "written anew"
        known = "start by its name, length by its audio, the rest by what lies around it"
        if broken is not None:
            known = f"with what the one before still tells; that one is kept as {SIDECAR}{_BROKEN}"
        if not self._dry_run:
            self._move_broken_sidecar(group)
            self._write_sidecar(group, kind, whole, before)
        yield Deed(group.shown(SIDECAR), f"{text}: {known}")

    def _write_sidecar(self, group: Group, kind: str, whole: Whole, before: Json) -> None:
        name, audio = SegmentName(group.folder, group.stem, kind), group.path(f".{kind}")
        known = from_name(name, whole, origin_of(group, self._boot))
        heard = relevel(
            audio,
            group.path(LEVELS),
            CONTAINERS[kind],
            whole,
            decoded_max_s=math.inf,
            broken_from=listed_to(known, whole),
        )
        segment = as_told(with_broken(completed(known, whole), heard.broken), group.recordings)
        segment = replace(
            segment, boot=UNKNOWN, loudness=heard.loudness, sha256=sha256_of(audio), bytes=audio.stat().st_size
        )
        segment = replace(segment, gap_before=gap_before(group, segment) if group.is_in_place else None)
        after = joined_end(group, segment)
        if after is not None:
            end = after.start if after.gap_before is None else after.gap_before.start
            clock = replace(segment.clock, map=(segment.clock.map[0], (segment.samples, end)))
            segment = replace(segment, end=end, clock=clock)
        write_whole(group.path(SIDECAR), encode(carried_over(segment_json(segment), before)))
        sync_folder(audio.parent)

    def _measure(self, group: Group, sidecar: Told, segment: Segment) -> Iterator[Deed]:
        """Make the level series of sound audio anew; its loudness too, where the sidecar has none."""
        audio = group.path(f".{segment.container}")
        whole = measure(audio, segment.container)
        if whole is None or whole.samples != segment.samples:
            raise CodecError("the audio is not what its sidecar says (isr-agent verify tells more)")
        deed = Deed(group.shown(LEVELS), f"{'would be ' if self._dry_run else ''}made anew from the audio")
        if self._dry_run:
            yield deed
            return
        levels = group.path(LEVELS)
        loudness = relevel(audio, levels, CONTAINERS[segment.container], whole, decoded_max_s=math.inf).loudness
        if loudness is not None and segment.loudness is None:
            measured = segment_json(replace(segment, loudness=loudness))["loudness"]
            write_whole(group.path(SIDECAR), encode({**sidecar.data, "loudness": measured, "rev": segment.rev + 1}))
        sync_folder(audio.parent)
        yield deed

    def _move_broken_sidecar(self, group: Group) -> None:
        path = group.path(SIDECAR)
        if path.is_file() and told(path.read_bytes()).segment is None:
            rename_new(path, path.with_name(path.name + _BROKEN))


def _names() -> Iterator[str]:
    """What the files of a group may end with."""
    for suffix in (*AUDIO_SUFFIXES, SIDECAR, LEVELS):
        yield from (suffix, suffix + PART)


def _is_foreign(path: Path) -> bool:
    return os.path.lexists(path) and not is_plain(path)


def _has_levels(group: Group, segment: Segment) -> bool:
    """Whether the series is there, with all of its rows and no others."""
    rate = segment.format.sample_rate_hz
    try:
        with open_plain(group.path(LEVELS)) as file:
            rows = load_levels(file)
    except (OSError, ValueError):
        return False
    wanted = [row_start(row, rate) for row in range(row_count(segment.samples, rate))]
    return rows.dtype == row_type(segment.format.channels) and rows["sample"].tolist() == wanted
