"""Builds the parts, starts them in order, stops them in reverse."""

import logging
import os
import re
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from agent import __version__, clock
from agent.archive_format.names import STATE_DIRECTORY, STATUS
from agent.archive_format.sidecar import encode
from agent.archive_format.status import status_json
from agent.archive_format.times import rfc3339, to_ms, to_ns
from agent.completeness import Completeness
from agent.config import Settings, SourceSettings
from agent.errors import IsrError, StorageError
from agent.housekeeping import Housekeeping
from agent.ids import uuid7
from agent.line_builder import News, Run, build_line
from agent.model import (
    AgentStatus,
    Desired,
    FinishedSegment,
    GapLine,
    Notice,
    NoticeCode,
    Severity,
    SourceState,
    SourceStatus,
)
from agent.mqtt import payloads
from agent.mqtt.assembly import assemble
from agent.mqtt.delivery import Delivery
from agent.outages import OutageLog
from agent.source_control import SourceControl
from agent.sources import source_for
from agent.status import StatusBoard
from agent.storage.boots import Boots
from agent.storage.corrections import Corrections
from agent.storage.desired import DesiredStore
from agent.storage.files import FolderLock, HeldFolder, write_whole
from agent.storage.reserve import Disks
from agent.storage.sidecars import Sidecars
from agent.supervisor import Backoff, StopSignal, Worker

_log = logging.getLogger(__name__)
_STATUS_EVERY_S = 1.0
_BETWEEN_STEPS_S = 0.02
_NO_ZONE = "this box names no time zone: UTC is used"
_ZONE_HINT = "set agent.timezone to be sure of the file times"
_CAPTURES_WITHIN_S, _RECORDERS_WITHIN_S, _DELIVERY_WITHIN_S, _REST_WITHIN_S = 6.0, 6.0, 3.0, 2.0


class App:
    """The whole agent. Raises LockedError where another one uses its folders."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        state = settings.agent.state_directory
        own = settings.recordings / STATE_DIRECTORY
        self._locks: list[FolderLock | HeldFolder] = []
        self._locks += [FolderLock(folder) for folder in dict.fromkeys((own.resolve(), state.resolve()))]
        self._locks.append(HeldFolder(settings.recordings, "start the agent again when that is done"))
        now = to_ms(clock.utc_now())
        self._run = Run(settings, clock.boot_id(), uuid7(to_ns(now) // 1_000_000), _uid(state), rfc3339(now))
        self._desired = DesiredStore(state)
        self._board = StatusBoard()
        self._delivery: Delivery | None = None
        sources = [source.id for source in settings.sources]
        self._disks = Disks(settings.recordings, own, sources)
        sidecars = Sidecars(settings.recordings, self._tell)
        boots = Boots(state, self._run.boot, settings.recordings, sources)
        self._house = Housekeeping(
            settings,
            self._run.id,
            self._disks,
            sidecars,
            notify=self._notify,
            room_again=self._room_again,
            forget_gaps=boots.forget_gaps,
        )
        self._corrections = Corrections(
            settings.recordings,
            boots,
            sidecars,
            sources,
            settings.agent.timezone,
            told=self._tell,
            notify=self._notify,
            utc_now=clock.utc_now,
            now_s=clock.monotonic_s,
        )
        self._corrections.look(clock.now(), clock.synchronized())
        self._completeness = Completeness(
            settings.recordings,
            settings.agent.timezone,
            self._board,
            now_ms=lambda: clock.now().wall_ns // 1_000_000,
            now_s=clock.monotonic_s,
        )
        self._controls = {source.id: self._control(source) for source in settings.sources}
        self._workers: list[tuple[Worker, float]] = []
        self._status_file = settings.recordings / STATUS

    def start(self) -> None:
        """Start recording first, then tell the world."""
        if self._settings.agent.timezone_guessed:
            _log.warning("%s; %s", _NO_ZONE, _ZONE_HINT)
        self._disks.look(may_take=False)
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
        self._completeness.add(source.id)
        return SourceControl(
            source.id,
            source_for(source),
            lambda left_by: build_line(self._run, source, self._board, self._news, left_by),
            desired=desired,
            remember=self._remember,
            line_failed=self._line_failed,
            check_disk=self._disks.of(source.id).check,
        )

    def _remember(self, source: str, desired: Desired) -> None:
        self._desired.put(source, desired)
        self._board.change(source, desired=desired)

    def _room_again(self) -> None:
        for control in self._controls.values():
            control.room_again()

    def _notify(self, notice: Notice) -> None:
        _log.log(logging.WARNING if notice.severity is Severity.WARNING else logging.ERROR, "%s", notice.text)
        if self._delivery is not None:
            self._delivery.put(notice)

    def _line_failed(self, source: str, error: Exception) -> None:
        self._disks.of(source).write_failed(error.__cause__)
        state = SourceState.DISK_FULL if isinstance(error, StorageError) else SourceState.ERROR
        text = str(error) if isinstance(error, IsrError) else f"internal fault: {type(error).__name__}: {error}"
        status = self._board.of(source)
        since = status.since if status.state is state else to_ms(clock.utc_now())
        self._board.change(source, state=state, since=since, last_error=text, open_segment=None, sound=None)

    def _news(self, news: News) -> None:
        """Something is to be told: by a recording thread, which must not wait."""
        if isinstance(news, FinishedSegment):
            self._finished(news)
        self._tell(news)

    def _finished(self, finished: FinishedSegment) -> None:
        segment = finished.segment
        _log.info("%s: closed %s, %.3f s (%s)", segment.source, segment.file, segment.duration_s, segment.reason)
        self._house.finished(finished)
        self._corrections.put(finished)

    def _tell(self, news: News) -> None:
        if isinstance(news, FinishedSegment | GapLine):
            self._completeness.put(news)
        if isinstance(news, FinishedSegment):
            self._house.cleaner.changed(news.segment)
        if self._delivery is not None and not isinstance(news, GapLine):
            self._delivery.put(news)

    def _keep_house(self, stop: StopSignal) -> None:
        """The status every second; whatever else there is to do, a little at a time between two of them."""
        self._house.begin()
        due_s = 0.0
        outage = OutageLog(_log, "status.json")
        while not stop.is_set:
            if clock.monotonic_s() >= due_s:
                due_s = clock.monotonic_s() + _STATUS_EVERY_S
                try:
                    self.write_status()
                    outage.over("it is written again")
                except OSError as error:  # the disk that is full is looked at all the same, each second
                    outage.fault(str(error), clock.monotonic_s())
                self._corrections.look(clock.now(), clock.synchronized())
            more = self._completeness.step() | self._house.step() | self._corrections.step()
            stop.wait(_BETWEEN_STEPS_S if more else max(0.0, due_s - clock.monotonic_s()))

    def write_status(self) -> None:
        """Replace status.json. Not durable: it is worth nothing after a power cut."""
        settings, sources = self._settings, self._board.all()
        status = AgentStatus(
            at=clock.utc_now(),
            agent=settings.agent.id,
            boot=self._run.boot,
            run=self._run.id,
            pid=os.getpid(),
            version=__version__,
            tz=settings.agent.timezone.key,
            disk=self._house.look(sources),
            sources=sources,
            levels=self._board.levels(),
        )
        write_whole(self._status_file, encode(status_json(status)), durable=False)

    def _start_mqtt(self) -> None:
        mqtt = self._settings.mqtt
        assert mqtt is not None
        unsaid = {one.id for one in self._settings.sources if one.hearing.level_interval_s is None}
        self._delivery, client = assemble(
            self._settings,
            mqtt,
            uid=self._run.uid,
            boot=self._run.boot,
            started=self._run.started,
            controls=self._controls,
            status_of=self._board.of,
            info=self._info,
            says_level=lambda source: source not in unsaid,
            disk=lambda: self._house.status,
            protect=self._house.cleaner.protect,
        )
        if self._settings.agent.timezone_guessed:
            self._delivery.put(Notice(NoticeCode.TIMEZONE_GUESSED, Severity.WARNING, _NO_ZONE, _ZONE_HINT))
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
