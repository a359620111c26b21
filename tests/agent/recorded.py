"""Recordings of every kind, made by the real line of a source from real streams, a second or two each."""

from pathlib import Path

from agent.model import AudioFormat, Block, GapCause, RunEnded, RunStarted, RunStarting, SampleFormat, SplitHere
from tests.agent.build import S16_MONO, at, noise
from tests.agent.codecs.test_contract import SECONDS, format_of, stream
from tests.agent.test_recorder import Line
from tests.parts.icecast import CODECS

PCM = {
    "card flac": ("flac", S16_MONO),
    "card flac 24": ("flac", AudioFormat.pcm(44100, 2, SampleFormat.S24_LE)),
    "card wav": ("wav", AudioFormat.pcm(44100, 1, SampleFormat.S24_3LE)),
}
KINDS = [*PCM, *CODECS]
BLOCKS_PER_S = 20


def material(kind: str) -> tuple[AudioFormat, bytes]:
    """Six seconds of it."""
    if kind in PCM:
        audio_format = PCM[kind][1]
        return audio_format, noise(SECONDS * audio_format.sample_rate_hz, audio_format)
    return format_of(kind), stream(kind)


def record(recordings: Path, kind: str, *, leave_open: bool = False, data: bytes | None = None) -> Line:
    """Three segments; with `leave_open` the last one is as a kill leaves it. `data` takes the place of the material."""
    audio_format, sound = material(kind)
    data = sound if data is None else data
    line = Line(recordings, period_s=3600, container=PCM[kind][0] if kind in PCM else "flac")
    line.steps([RunStarting(at()), RunStarted(audio_format, at())])
    blocks = SECONDS * BLOCKS_PER_S
    width = audio_format.bytes_per_sample or 1
    edges = [number * len(data) // width // blocks * width for number in range(blocks + 1)]
    for number, (low, high) in enumerate(zip(edges, edges[1:], strict=False), 1):
        line.steps([Block(data[low:high], at(number / BLOCKS_PER_S))])
        if number in (2 * BLOCKS_PER_S, 4 * BLOCKS_PER_S):
            line.steps([SplitHere(at(number / BLOCKS_PER_S))])
    if leave_open:
        line.recorder.abandon()
    else:
        line.steps([RunEnded(GapCause.AGENT_STOPPED, None, at(SECONDS))])
        line.recorder.abandon()
    return line
