"""`type: alsa`: a sound card, through an arecord child."""

import logging
from collections import deque

from agent import clock
from agent.config import AlsaSettings
from agent.errors import SourceFault
from agent.model import AudioFormat, Block, GapCause, RunStarted
from agent.outages import OutageLog
from agent.sources.access import obstacle
from agent.sources.arecord import AWAY, RETRY_AWAY_S, explain, is_overrun, wrong_rate
from agent.sources.base import Emit
from agent.sources.child import Child
from agent.sources.devices import find
from agent.sources.overruns import OverrunCheck
from agent.sources.pace import Pace
from agent.sources.sysfs import SoundTree
from agent.supervisor import Backoff, StopSignal

_log = logging.getLogger(__name__)
_STALL_S = 2.0
_FIRST_DATA_MAX_S = 8.0
_HUNG_ENDS_WITHIN_S = 0.2
_STOP_WITHIN_S = 1.0
_LOOK_S = 0.5
"""How often a silent child is looked at: a wish to stop is heard by then, even where the child is deaf to it."""
_STDERR_LINES = 8
_GREETING = "Recording raw data"
_PULSE_MS = "50"
"""Left to itself a sound server may give the first 2 s of a monitor all at once (measured: 1.8 to 2.0 s; so 0.05 s)."""
_PERIOD_US, _BUFFER_US = 50_000, 2_000_000
"""Short periods, because the clock is found from the smallest lateness; a long buffer, because the box may be busy."""


class AlsaSource:
    """One arecord at a time. `tree` is where the kernel shows its cards."""

    backoff = Backoff(first_s=0.5, most_s=30.0)

    def __init__(self, settings: AlsaSettings, tree: SoundTree = SoundTree()) -> None:  # noqa: B008 - frozen
        self._settings = settings
        self._tree = tree
        self._format = AudioFormat.pcm(settings.sample_rate_hz, settings.channels, settings.sample_format)
        self._first_data_s = _STALL_S
        self._overruns = OutageLog(_log, settings.id)

    def run(self, emit: Emit, stop: StopSignal) -> None:
        """Record until stopped; SourceFault when arecord ends, says something alarming or falls silent."""
        device = find(self._settings.device, self._tree)
        try:
            child = Child(self._command(device), PULSE_LATENCY_MSEC=_PULSE_MS)
        except FileNotFoundError as error:
            raise SourceFault(
                GapCause.DEVICE_LOST,
                "the program setpriv is not installed",
                hint="install the Debian package util-linux",
                permanent=True,
            ) from error
        run = _Run(device, self._format, child, self._first_data_s, self._tree, self._overruns)
        with child, stop.calling(child.terminate):
            try:
                run.read_all(emit, stop)
            finally:
                # A card that takes its time before its first sample gets more of it at the next try.
                longer_s = min(_FIRST_DATA_MAX_S, 2 * self._first_data_s)
                self._first_data_s = _STALL_S if run.had_audio else longer_s

    def _command(self, device: str) -> list[str]:
        settings = self._settings
        return [
            "arecord",  # not --quiet: that would keep the warning of a wrong rate from us
            f"--device={device}",
            "--file-type=raw",
            f"--format={settings.sample_format}",
            f"--rate={settings.sample_rate_hz}",
            f"--channels={settings.channels}",
            f"--period-time={_PERIOD_US}",
            f"--buffer-time={_BUFFER_US}",
        ]


class _Run:
    """What one arecord says, from its first byte to its end."""

    def __init__(
        self,
        device: str,
        audio_format: AudioFormat,
        child: Child,
        first_data_s: float,
        tree: SoundTree,
        overruns: OutageLog,
    ) -> None:
        self._device = device
        self._format = audio_format
        self._width = audio_format.bytes_per_sample or 1
        self._child = child
        self._first_data_s = first_data_s
        self._tree = tree
        self._rest = b""
        self._stderr = ""
        self._last_lines: deque[str] = deque(maxlen=_STDERR_LINES)
        self.had_audio = False
        self._heard_at_s = clock.monotonic_s()
        self._pace = Pace(child.pipe_bytes / (self._width * audio_format.sample_rate_hz))
        self._check = OverrunCheck(audio_format.sample_rate_hz, self._width)
        self._overruns = overruns

    def read_all(self, emit: Emit, stop: StopSignal) -> None:
        """Emit until arecord ends; then return if that was asked for, else raise SourceFault."""
        try:
            self._read_all(emit, stop)
        finally:
            for item in self._check.end():
                emit(item)
        if not stop.is_set:
            if self._stderr:
                self._last_lines.append(self._stderr)
            silent_s = clock.monotonic_s() - self._heard_at_s
            lines = list(self._last_lines)
            raise explain(self._device, lines, had_audio=self.had_audio, silent_s=silent_s, away=self._away)

    def _read_all(self, emit: Emit, stop: StopSignal) -> None:
        stop_by_s: float | None = None
        while True:
            left_s = self._heard_at_s + self._patience_s - clock.monotonic_s()
            said = self._child.read(_LOOK_S if stop.is_set else max(0.0, min(_LOOK_S, left_s)))
            if said == (b"", b""):
                return
            audio, words = said or (b"", b"")
            if words and not self.had_audio:
                self._listen(words, emit)  # what is wrong from the beginning is said before there is audio
                words = b""
            if audio:
                self._take(audio, emit)
            if words:
                self._listen(words, emit)  # lost is what would have come behind the audio that waited
            if stop.is_set:
                stop_by_s = stop_by_s or clock.monotonic_s() + _STOP_WITHIN_S
                if clock.monotonic_s() >= stop_by_s:
                    return  # it does not listen
            elif audio:
                self._child.await_words(0.0 if self._check.checking else self._pace.pause_s())
            elif clock.monotonic_s() - self._heard_at_s >= self._patience_s:
                raise self._silent()

    @property
    def _patience_s(self) -> float:
        return _STALL_S if self.had_audio else self._first_data_s

    def _take(self, audio: bytes, emit: Emit) -> None:
        received_at = clock.now()
        self._heard_at_s = clock.monotonic_s()
        if not self.had_audio:
            self.had_audio = True
            emit(RunStarted(self._format, received_at))
        # Only whole samples travel, so that a block which is dropped on the way shifts no channel.
        data = self._rest + audio
        whole = len(data) - len(data) % self._width
        self._rest = data[whole:]
        if whole:
            for item in self._check.push(Block(data[:whole], received_at)):
                emit(item)

    def _listen(self, words: bytes, emit: Emit) -> None:
        *lines, self._stderr = (self._stderr + words.decode(errors="replace")).split("\n")
        for line in lines:
            if line.startswith(_GREETING):
                continue
            if is_overrun(line):
                self._overruns.fault("arecord speaks of an overrun; what is missing is in the ledger", self._heard_at_s)
                for item in self._check.reported():
                    emit(item)
                continue
            self._last_lines.append(line)
            fault = wrong_rate(line)
            if fault is not None:
                raise fault

    def _silent(self) -> SourceFault:
        self._child.end(_HUNG_ENDS_WITHIN_S)
        return SourceFault(
            GapCause.STALL,
            f"{self._device}: no audio for {_STALL_S:g} s or more although arecord runs",
            retry_within_s=RETRY_AWAY_S,
        )

    def _away(self) -> tuple[str, str]:
        wall = obstacle(self._tree)
        return (wall.message, wall.hint) if wall is not None else AWAY
