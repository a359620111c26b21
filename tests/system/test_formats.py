"""Every sample format through a real arecord: what the card gave is in the file, bit for bit."""

from pathlib import Path

import numpy as np
import soundfile

from tests.parts.pulse import PipeCard, counters
from tests.system.running import RunningAgent

# The card gives 16 bit; in a wider format arecord's sound server puts them into the upper bits.
FORMATS = [
    ("flac16", "S16_LE", "flac", "PCM_16"),
    ("flac24", "S24_LE", "flac", "PCM_24"),
    ("flac24p", "S24_3LE", "flac", "PCM_24"),
    ("wav16", "S16_LE", "wav", "PCM_16"),
    ("wav24", "S24_LE", "wav", "PCM_24"),
    ("wav24p", "S24_3LE", "wav", "PCM_24"),
    ("wav32", "S32_LE", "wav", "PCM_32"),
    ("float", "FLOAT_LE", "wav", "FLOAT"),
]


def test_each_sample_format_is_stored_bit_for_bit(tmp_path: Path) -> None:
    sources = "".join(
        f"  - {{id: {name}, type: alsa, device: formats, channels: 2, sample_format: {layout}, format: {container}}}\n"
        for name, layout, container, _ in FORMATS
    )
    config = f"agent: {{id: shed}}\nrecording: {{period: 5s}}\nsources:\n{sources}"
    with (
        PipeCard(tmp_path / "card", device="formats") as card,
        card.feed(),
        RunningAgent(tmp_path / "agent", config, env=card.env) as agent,
    ):
        for name, *_ in FORMATS:
            agent.wait_for_segments(name, 2, timeout_s=30)
        assert agent.stop() == 0
    for name, _, container, subtype in FORMATS:
        for segment in agent.segments(name):
            path = agent.path(segment)
            info = soundfile.info(path)
            assert (info.subtype, info.frames, info.channels) == (subtype, segment["samples"], 2)
            assert (segment["container"], path.suffix) == (container, f".{container}")
            samples, _ = soundfile.read(path, dtype="int32" if subtype != "FLOAT" else "float64", always_2d=True)
            scaled = samples >> 16 if subtype != "FLOAT" else np.round(samples * 32768).astype(np.int32)
            heard = counters(scaled.astype(np.int16)).astype(np.int64)
            assert np.array_equal(np.diff(heard), np.ones(len(heard) - 1)), name


def test_a_rate_that_the_card_does_not_have_is_refused(tmp_path: Path) -> None:
    """arecord itself would go on, at 384 kHz."""
    config = "agent: {id: shed}\nsources: [{id: fast, type: alsa, device: fast, sample_rate: 500000, channels: 2}]\n"
    with (
        PipeCard(tmp_path / "card", device="fast") as card,
        card.feed(),
        RunningAgent(tmp_path / "agent", config, env=card.env) as agent,
    ):
        status = agent.wait_for_state("fast", "error")
        assert "the card cannot run at 500000 Hz, only at 384000 Hz" in status["last_error"]
        assert "plughw:" in status["last_error"]
        assert agent.stop() == 0
    assert agent.segments("fast") == []
    assert agent.unfinished() == []
