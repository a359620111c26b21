"""Builds the parts, starts them in order, stops them in reverse."""

import logging
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent import __version__, clock
from agent.archive_format.names import STATE_DIRECTORY, STATUS
from agent.archive_format.sidecar import encode
from agent.archive_format.status import status_json
from agent.archive_format.times import rfc3339, to_ms, to_ns
from agent.config import IcecastSettings, Settings, SourceSettings
from agent.errors import IsrError, StorageError
from agent.gaps import GapAccount
from agent.ids import uuid7
from agent.model import AgentStatus, Desired, FinishedSegment, GapCause, SourceState, SourceStatus
from agent.mqtt import payloads
from agent.mqtt.client import MqttClient
from agent.mqtt.delivery import Delivery
from agent.mqtt.desk import CommandDesk
from agent.mqtt.topics import Topics
from agent.outages import OutageLog
from agent.recorder import Recorder
from agent.segmenter import Segmenter
from agent.source_control import SourceControl
from agent.source_watch import SourceWatch
from agent.sources import source_for
from agent.status import StatusBoard
from agent.storage.checksums import Checksums
from agent.storage.desired import DesiredStore
from agent.storage.files import FolderLock, write_whole
from agent.storage.history import last_end
from agent.storage.ledger import Ledger
from agent.storage.salvage import salvage_source
from agent.storage.writer import Origin, SegmentWriter
from agent.supervisor import Backoff, StopSignal, Worker
from agent.timeline import Timeline

_log = logging.getLogger(__name__)
_STATUS_EVERY_S = 1.0
_BETWEEN_STEPS_S = 0.02
_CAPTURES_WITHIN_S, _RECORDERS_WITHIN_S, _DELIVERY_WITHIN_S, _REST_WITHIN_S = 6.0, 6.0, 3.0, 2.0

Sink = Callable[[FinishedSegment], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One start of the agent."""

    settings: Settings
    boot: str
    id: str
    uid: str
    started: str


class App:
    """The whole agent. Raises LockedError where another one uses its folders."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        state = settings.agent.state_directory
        own = settings.recordings / STATE_DIRECTORY
        self._locks = [FolderLock(folder) for folder in dict.fromkeys((own.resolve(), state.resolve()))]
        now = to_ms(clock.utc_now())
        self._run = Run(settings, clock.boot_id(), uuid7(to_ns(now) // 1_000_000), _uid(state), rfc3339(now))
        self._desired = DesiredStore(state)
        self._board = StatusBoard()
        self._delivery: Delivery | None = None
        self._checksums = Checksums(settings.recordings, self._tell)
        self._controls = {source.id: self._control(source) for source in settings.sources}
        self._workers: list[tuple[Worker, float]] = []
        self._status_file = settings.recordings / STATUS

    def start(self) -> None:
        """Start recording first, then tell the world."""
        if self._settings.agent.timezone_guessed:
            _log.warning("this box names no time zone: UTC is used; set agent.timezone to be sure of the file times")
        housekeeping = Worker(
            "housekeeping",
            self._keep_house,
            backoff=Backoff(1.0, 30.0),
            on_fault=_log_faults("status.json"),
        )
        housekeeping.start()
        if self._settings.mqtt is not None:
            self._start_mqtt()
        for control in self._controls.values():
            control.start()
        self._workers.append((housekeeping, _REST_WITHIN_S))

    def stop(self) -> None:
        """Close every segment, say goodbye, end. Within 20 s."""
        for control in self._controls.values():
            control.begin_end()
        # Two limits, so that a capture that hangs takes nothing from the closing of the other sources' files.
        deadline_s = clock.monotonic_s() + _CAPTURES_WITHIN_S
        for control in self._controls.values():
            control.end_capture(deadline_s)
        deadline_s = clock.monotonic_s() + _RECORDERS_WITHIN_S
        for control in self._controls.values():
            control.end_recording(deadline_s)
        for worker, within_s in self._workers:
            worker.stop()
            worker.join(within_s)
        try:
            self._status_file.unlink(missing_ok=True)
        except OSError as error:
            _log.error("status.json cannot be removed: %s", error)
        for lock in self._locks:
            lock.release()

    def _control(self, source: SourceSettings) -> SourceControl:
        desired = self._desired.of(source.id)
        state = SourceState.STARTING if desired is Desired.RECORD else SourceState.STOPPED
        since = to_ms(clock.utc_now())
        self._board.put(SourceStatus(source.id, source.name, source.type, state, desired, since))
        return SourceControl(
            source.id,
            source_for(source),
            lambda left_by: build_line(self._run, source, self._board, self._finished, left_by),
            desired=desired,
            remember=self._remember,
            line_failed=self._line_failed,
        )

    def _remember(self, source: str, desired: Desired) -> None:
        self._desired.put(source, desired)
        self._board.change(source, desired=desired)

    def _line_failed(self, source: str, error: Exception) -> None:
        state = SourceState.DISK_FULL if isinstance(error, StorageError) else SourceState.ERROR
        text = str(error) if isinstance(error, IsrError) else f"internal fault: {type(error).__name__}: {error}"
        status = self._board.of(source)
        since = status.since if status.state is state else to_ms(clock.utc_now())
        self._board.change(source, state=state, since=since, last_error=text, open_segment=None)

    def _finished(self, finished: FinishedSegment) -> None:
        segment = finished.segment
        _log.info("%s: closed %s, %.3f s (%s)", segment.source, segment.file, segment.duration_s, segment.reason)
        self._checksums.put(finished)
        self._tell(finished)

    def _tell(self, finished: FinishedSegment) -> None:
        if self._delivery is not None:
            self._delivery.put(finished)

    def _keep_house(self, stop: StopSignal) -> None:
        """The status every second; whatever else there is to do, a little at a time between two of them."""
        for source in self._controls:
            self._checksums.put_left_over(source)
        due_s = 0.0
        while not stop.is_set:
            if clock.monotonic_s() >= due_s:
                due_s = clock.monotonic_s() + _STATUS_EVERY_S
                self.write_status()
            more = self._checksums.step()
            stop.wait(_BETWEEN_STEPS_S if more else max(0.0, due_s - clock.monotonic_s()))

    def write_status(self) -> None:
        """Replace status.json. Not durable: it is worth nothing after a power cut."""
        settings, recordings = self._settings, self._settings.recordings
        status = AgentStatus(
            at=clock.utc_now(),
            agent=settings.agent.id,
            boot=self._run.boot,
            run=self._run.id,
            pid=os.getpid(),
            version=__version__,
            tz=settings.agent.timezone.key,
            free_bytes=shutil.disk_usage(recordings).free,
            sources=self._board.all(),
        )
        write_whole(self._status_file, encode(status_json(status)), durable=False)

    def _start_mqtt(self) -> None:
        mqtt = self._settings.mqtt
        assert mqtt is not None
        topics = Topics(mqtt.base_topic, self._settings.agent.id)
        desk = CommandDesk(self._controls, self._board.of, utc_now=clock.utc_now, now_s=clock.monotonic_s)
        self._delivery = Delivery(
            topics,
            desk,
            info=self._info,
            epoch=secrets.token_hex(4),
            utc_now=clock.utc_now,
            now_s=clock.monotonic_s,
        )
        client = MqttClient(
            mqtt,
            client_id=f"{mqtt.base_topic}-{self._settings.agent.id}-{self._run.uid[:8]}".replace("/", "-"),
            will_topic=topics.availability,
            filters=(*topics.commands, topics.availability),
            tell=self._delivery.put,
        )
        self._delivery.use(client.publish)
        for status in self._board.all():
            self._delivery.put(status)
        self._board.listen(self._delivery.put)
        delivery = Worker(
            "mqtt-delivery", self._delivery.run, backoff=Backoff(1.0, 30.0), on_fault=_log_faults("MQTT delivery")
        )
        network = Worker("mqtt-network", client.run, backoff=Backoff(1.0, 30.0), on_fault=_log_faults("broker"))
        delivery.start()
        network.start()
        self._workers += [(delivery, _DELIVERY_WITHIN_S), (network, _REST_WITHIN_S)]

    def _info(self) -> payloads.Json:
        settings = self._settings
        return {
            "v": 1,
            "ts": rfc3339(clock.utc_now()),
            "agent": settings.agent.id,
            "name": settings.agent.name,
            "uid": self._run.uid,
            "boot": self._run.boot,
            "run": self._run.id,
            "started": self._run.started,
            "version": __version__,
            "api": payloads.API,
            "host": socket.gethostname(),
            "tz": settings.agent.timezone.key,
            "sources": [{"id": source.id, "name": source.name, "type": source.type} for source in settings.sources],
            "limits": {"cmd_bytes": payloads.COMMAND_BYTES_MAX},
        }


def build_line(run: Run, source: SourceSettings, board: StatusBoard, finished: Sink, left_by: GapCause) -> Recorder:
    """A fresh line for a source, after finishing what an earlier one left; called in the recording thread.

    `left_by` is why the earlier one did not finish it itself. Raises StorageError where the disk takes nothing.
    """
    settings, recordings = run.settings, run.settings.recordings
    zone = settings.agent.timezone
    url = source.shown_url if isinstance(source, IcecastSettings) else None
    origin = Origin(settings.agent.id, source.id, run.boot, run.id, zone, url)
    salvaged = salvage_source(recordings, origin)
    for segment in salvaged:
        finished(segment)
    ledger = Ledger(recordings, source.id)
    known = ledger.open_gap()
    account = GapAccount(source.id, zone, open_gap=known)
    writer = SegmentWriter(
        recordings,
        origin,
        pcm_container=source.recording.format,
        sync_interval_s=source.recording.sync_interval_s,
        synchronized=clock.synchronized,
    )
    watch = SourceWatch(source.id, board, open_segment=lambda: writer.open_segment, now=lambda: to_ms(clock.utc_now()))
    recorder = Recorder(
        Timeline(latency_ns=round(source.latency_s * 1e9)),
        Segmenter(period_s=source.recording.period_s, zone=zone),
        account,
        writer,
        ledger,
        watch=watch,
        sinks=(finished,),
    )
    if known is not None:
        board.change(source.id, gap=known)
    elif (ended := salvaged[-1].segment.end if salvaged else _audio_ended(recordings, source.id, ledger)) is not None:
        # No gap was left open, so nobody stopped the last line: the audio ended where its newest segment does.
        recorder.missing_since(account.begin(left_by, ended))
    elif board.of(source.id).desired is Desired.RECORD:
        recorder.missing_since(account.begin(GapCause.STARTING, to_ms(clock.utc_now())))
    return recorder


def _audio_ended(recordings: Path, source: str, ledger: Ledger) -> datetime | None:
    """When the last known audio of a source ended: with its newest segment, or where its last gap gave way to audio
    of which nothing is left; None where there is neither."""
    return max((end for end in (last_end(recordings, source), ledger.last_end()) if end is not None), default=None)


def _log_faults(what: str) -> Callable[[Exception, float], None]:
    outage = OutageLog(_log, what)
    return lambda error, _delay_s: outage.fault(str(error) or type(error).__name__, clock.monotonic_s())


def _uid(state: Path) -> str:
    """The permanent random id of this box, made at its first start."""
    path = state / "uid"
    known = path.read_bytes().strip() if path.exists() else b""
    if not re.fullmatch(rb"[0-9a-f]{32}", known):
        known = secrets.token_hex(16).encode()
        write_whole(path, known + b"\n")
    return known.decode()
