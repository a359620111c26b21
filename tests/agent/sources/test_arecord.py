import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import GapCause
from agent.sources.arecord import RETRY_AWAY_S, explain, is_overrun, wrong_rate

AT_LENGTH = ("set_params", "Unknown PCM", "setpriv")
"""What no card's return will mend is tried at growing distances."""
OVERRUN = "overrun!!! (at least 1593.112 ms long)"


def test_an_overrun_is_heard() -> None:
    assert is_overrun(OVERRUN)
    assert is_overrun("overrun!!! (at least -1700000.000 ms long)"), "a number that cannot be right is one all the same"
    assert not is_overrun("Recording raw data 'stdin'")


def test_a_rate_that_is_only_near_is_a_fault_that_names_the_right_one() -> None:
    fault = wrong_rate("Warning: rate is not accurate (requested = 44100Hz, got = 48000Hz)")
    assert fault is not None
    assert fault.permanent
    assert "44100" in fault.message
    assert fault.hint is not None
    assert "sample_rate: 48000" in fault.hint
    assert wrong_rate("Warning: something else") is None


@pytest.mark.parametrize(
    ("said", "message", "permanent"),
    [
        ("arecord: main:831: audio open error: Device or resource busy", "busy", False),
        ("arecord: main:831: audio open error: Permission denied", "this user may not use the device", True),
        ("Aborted by signal Terminated...", "somebody ended arecord", False),
        ("setpriv: failed to execute arecord: No such file or directory", "arecord is not installed", True),
        ("arecord: set_params:1352: Sample format non available", "sample_format", True),
        ("arecord: set_params:1360: Channels count non available", "channels", True),
        ("arecord: set_params:1380: bad speed value 1", "sample_rate", True),
        ("ALSA lib pcm.c:2664:(snd_pcm_open_noupdate) Unknown PCM foo", "no PCM of this name", True),
        ("ALSA lib pulse.c: PulseAudio: Unable to create stream: No such entity", "no such source", True),
        ("ALSA lib pulse.c: PulseAudio: Unable to connect: Connection refused", "does not answer", False),
        ("arecord: main:831: audio open error: No such file or directory", "", True),
        ("arecord: pcm_read:2221: read error: No such device", "went away", False),
        ("arecord: xrun:1707: xrun: prepare error: No such device", "went away", False),
    ],
)
def test_what_it_says_in_the_words_of_an_operator(said: str, message: str, *, permanent: bool) -> None:
    fault = explain("hw:1,0", ["", said], had_audio=False)
    assert fault.cause is GapCause.DEVICE_LOST
    assert fault.message.startswith("hw:1,0: ")
    assert message in fault.message
    assert said in fault.message
    assert fault.permanent is permanent
    assert fault.retry_within_s == (None if any(word in said for word in AT_LENGTH) else RETRY_AWAY_S)
    assert not explain("hw:1,0", [said], had_audio=True).permanent, "what has worked may work again"


def test_a_card_that_dries_up_is_a_stall_and_one_that_is_away_has_its_reason() -> None:
    lines = ["arecord: pcm_read:2221: read error: Input/output error"]
    assert explain("hw:1,0", lines, had_audio=True, silent_s=2.0).cause is GapCause.STALL
    assert explain("hw:1,0", lines, had_audio=True, silent_s=0.1).cause is GapCause.DEVICE_LOST
    said = ["arecord: main:831: audio open error: No such device"]
    away = explain("hw:1,0", said, had_audio=False, away=lambda: ("this user may not", "join the group"))
    assert away.message.startswith("hw:1,0: this user may not. arecord: ")
    assert away.hint == "join the group"


def test_silence_and_the_unknown_are_passed_on() -> None:
    assert "it said nothing" in explain("default", ["", "  "], had_audio=True).message
    assert "strange words" in explain("default", ["strange words"], had_audio=True).message


@given(st.lists(st.text(max_size=30), max_size=8), st.booleans())
def test_any_lines_have_an_explanation(lines: list[str], had_audio: bool) -> None:
    for line in lines:
        is_overrun(line)
        wrong_rate(line)
    assert explain("default", lines, had_audio=had_audio).message
