"""`type: alsa`: a sound card, through an arecord child."""

from collections import deque

from agent import clock
from agent.config import AlsaSettings
from agent.errors import SourceFault
from agent.model import AudioFormat, Block, GapCause, Loss, RunStarted
from agent.sources.arecord import RETRY_AWAY_S, explain, is_overrun, wrong_rate
from agent.sources.base import Emit
from agent.sources.child import Child
from agent.sources.devices import list_devices, list_pcms, resolve
from agent.supervisor import Backoff, StopSignal

_FIRST_DATA_S = 5.0
_STALL_S = 2.0
_STDERR_LINES = 8
_GREETING = "Recording raw data"
_PERIOD_US, _BUFFER_US = 50_000, 2_000_000
"""Short periods, because the clock is found from the smallest lateness; a long buffer, because the box may be busy."""


class AlsaSource:
    """One arecord at a time."""

    backoff = Backoff(first_s=0.5, most_s=30.0)

    def __init__(self, settings: AlsaSettings) -> None:
        self._settings = settings
        self._format = AudioFormat.pcm(settings.sample_rate_hz, settings.channels, settings.sample_format)

    def run(self, emit: Emit, stop: StopSignal) -> None:
        """Record until stopped; SourceFault when arecord ends, says something alarming or falls silent."""
        device = self._device()
        try:
            child = Child(self._command(device))
        except FileNotFoundError as error:
            raise SourceFault(
                GapCause.DEVICE_LOST,
                "the program setpriv is not installed",
                hint="install the Debian package util-linux",
                permanent=True,
            ) from error
        with child, stop.calling(child.terminate):
            _Run(device, self._format, child).read_all(emit, stop)

    def _device(self) -> str:
        wanted = self._settings.device
        if wanted == "default" or ":" in wanted:
            return wanted
        return resolve(wanted, list_devices(), list_pcms())

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

    def __init__(self, device: str, audio_format: AudioFormat, child: Child) -> None:
        self._device = device
        self._format = audio_format
        self._width = audio_format.bytes_per_sample or 1
        self._child = child
        self._rest = b""
        self._stderr = ""
        self._last_lines: deque[str] = deque(maxlen=_STDERR_LINES)
        self._had_audio = False
        self._heard_at_s = clock.monotonic_s()

    def read_all(self, emit: Emit, stop: StopSignal) -> None:
        """Emit until arecord ends; then return if that was asked for, else raise SourceFault."""
        while True:
            patience_s = _STALL_S if self._had_audio else _FIRST_DATA_S
            said = self._child.read(max(0.0, self._heard_at_s + patience_s - clock.monotonic_s()))
            if said == (b"", b""):
                break
            audio, words = said or (b"", b"")
            if words:
                self._listen(words.decode(errors="replace"), emit)
            if audio:
                self._take(audio, emit)
            elif clock.monotonic_s() - self._heard_at_s >= patience_s and not stop.is_set:
                raise self._silent(patience_s)
        if not stop.is_set:
            if self._stderr:
                self._last_lines.append(self._stderr)
            raise explain(self._device, list(self._last_lines), had_audio=self._had_audio)

    def _take(self, audio: bytes, emit: Emit) -> None:
        received_at = clock.now()
        self._heard_at_s = clock.monotonic_s()
        if not self._had_audio:
            self._had_audio = True
            emit(RunStarted(self._format, received_at))
        # Only whole samples travel, so that a block which is dropped on the way shifts no channel.
        data = self._rest + audio
        whole = len(data) - len(data) % self._width
        self._rest = data[whole:]
        if whole:
            emit(Block(data[:whole], received_at))

    def _listen(self, words: str, emit: Emit) -> None:
        *lines, self._stderr = (self._stderr + words).split("\n")
        for line in lines:
            if line.startswith(_GREETING):
                continue
            self._last_lines.append(line)
            if is_overrun(line):
                emit(Loss(GapCause.OVERRUN, line.strip(), clock.now()))
            fault = wrong_rate(line)
            if fault is not None:
                raise fault

    def _silent(self, patience_s: float) -> SourceFault:
        return SourceFault(
            GapCause.STALL if self._had_audio else GapCause.DEVICE_LOST,
            f"{self._device}: no audio for {patience_s:g} s although arecord runs",
            retry_within_s=RETRY_AWAY_S,
        )
