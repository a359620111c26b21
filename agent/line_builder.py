"""Builds the line of one source, after finishing what an earlier one has left."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

from agent import clock
from agent.archive_format.times import to_ms
from agent.config import IcecastSettings, Settings, SourceSettings
from agent.filler import Filler
from agent.gaps import GapAccount
from agent.loudness.meter import Meter
from agent.model import Desired, FinishedSegment, Gap, GapCause, GapLine, Level, Segment, SoundEvent
from agent.recorder import Recorder
from agent.segmenter import Segmenter
from agent.source_watch import SourceWatch
from agent.status import StatusBoard
from agent.storage.forgotten import forgotten_before
from agent.storage.history import last_end, newest, recorded_in
from agent.storage.ledger import Ledger
from agent.storage.salvage import salvage_source
from agent.storage.tail import read_tail
from agent.storage.writer import Origin, SegmentWriter
from agent.timeline import Timeline

_LOOKED_AT = 16
"""So many of the newest files may have gaps that the ledger has not been told of."""

News: TypeAlias = FinishedSegment | SoundEvent | Level | GapLine
Sink: TypeAlias = Callable[[News], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One start of the agent."""

    settings: Settings
    boot: str
    id: str
    uid: str
    started: str


def build_line(run: Run, source: SourceSettings, board: StatusBoard, tell: Sink, left_by: GapCause) -> Recorder:
    """A fresh line for a source, after finishing what an earlier one left; called in the recording thread.

    `left_by` is why the earlier one did not finish it itself. Raises StorageError where the disk takes nothing.
    """
    settings, recordings = run.settings, run.settings.recordings
    zone = settings.agent.timezone
    url = source.shown_url if isinstance(source, IcecastSettings) else None
    origin = Origin(settings.agent.id, source.id, run.boot, run.id, zone, url)
    salvaged = salvage_source(recordings, origin)
    for segment in salvaged:
        tell(segment)
    ledger = Ledger(recordings, source.id, tell)
    # A filled gap is told once it is safe; a crash or a full disk may have come between the two.
    known_last = [*(finished.segment for finished in salvaged), *newest(recordings, source.id, _LOOKED_AT)]
    ledger.complete(_to_be_told(recordings / source.id, known_last))
    known = ledger.open_gap()
    known_end = _audio_ended(recordings, source.id, ledger)
    ended = salvaged[-1].segment.end if salvaged else known_end
    account = GapAccount(source.id, zone, open_gap=known, told_until=ledger.told_until())
    writer = SegmentWriter(
        recordings,
        origin,
        pcm_container=source.recording.format,
        sync_interval_s=source.recording.sync_interval_s,
        synchronized=clock.synchronized,
    )
    watch = SourceWatch(
        source.id,
        board,
        open_segment=lambda: writer.open_segment,
        hears=source.hearing.loud is not None,
        now=lambda: to_ms(clock.utc_now()),
    )
    tail = read_tail(recordings, source.id, clock.now(), run.boot) if isinstance(source, IcecastSettings) else None
    recorder = Recorder(
        Timeline(latency_ns=round(source.latency_s * 1e9), tail=tail),
        Filler(up_to_ns=round(source.recording.fill_gaps_up_to_s * 1e9)),
        Segmenter(
            period_s=source.recording.period_s,
            zone=zone,
            ended=known_end,
            recorded_in=partial(recorded_in, recordings, source.id),
        ),
        account,
        Meter(source.id, source.hearing),
        writer,
        ledger,
        watch=watch,
        sinks=(tell,),
        tail=tail,
    )
    if known is not None:
        board.change(source.id, gap=known)
    elif ended is not None:
        # No gap was left open, so nobody stopped the last line: the audio ended where its newest segment does.
        recorder.missing_since(account.begin(left_by, ended))
    elif board.of(source.id).desired is Desired.RECORD:
        recorder.missing_since(account.begin(GapCause.STARTING, to_ms(clock.utc_now())))
    return recorder


def _to_be_told(folder: Path, segments: list[Segment]) -> Iterator[Gap]:
    """The gaps in files that belong into the ledger: not what was forgotten there on purpose. What a clock has dated
    that was not right may only seem that old."""
    forgotten = forgotten_before(folder)
    for segment in segments:
        for gap in segment.gaps:
            is_old = forgotten is not None and gap.end is not None and gap.end < forgotten
            if not is_old or segment.clock.synchronized is False:
                yield gap


def _audio_ended(recordings: Path, source: str, ledger: Ledger) -> datetime | None:
    """When the last known audio of a source ended: with its newest segment, or where its last gap gave way to audio
    of which nothing is left; None where there is neither."""
    return max((end for end in (last_end(recordings, source), ledger.last_end()) if end is not None), default=None)
