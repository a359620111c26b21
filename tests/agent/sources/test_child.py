"""A child is ended for certain, and nobody waits for one that cannot be."""

import logging
import signal
import subprocess
import time
from pathlib import Path

import pytest

from agent.sources.child import Child


def test_what_it_says_on_both_is_read_until_both_end() -> None:
    with Child(["sh", "-c", "echo audio; echo words >&2"]) as child:
        out, err = b"", b""
        while (said := child.read(5)) != (b"", b""):
            assert said is not None
            out, err = out + said[0], err + said[1]
    assert (out, err) == (b"audio\n", b"words\n")


def test_an_environment_is_given_unless_ours_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "ours")
    monkeypatch.delenv("THEIRS", raising=False)
    with Child(["sh", "-c", "echo $OURS $THEIRS"], OURS="other", THEIRS="theirs") as child:
        assert child.read(5) == (b"ours theirs\n", b"")


def test_one_that_is_deaf_is_killed() -> None:
    with Child(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]) as child:
        assert child.read(5) == (b"ready\n", b"")
        began_s = time.monotonic()
        child.end(0.2)
        assert 0.2 <= time.monotonic() - began_s < 1.5
        assert child._process.returncode == -signal.SIGKILL


def test_one_that_hangs_in_the_kernel_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does that waits for a driver: not even SIGKILL ends it."""
    child = Child(["sleep", "60"])
    process = child._process
    wait = process.wait

    def never(timeout: float | None = None) -> int:
        raise subprocess.TimeoutExpired("sleep", timeout or 0)

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(process, "wait", never)
        with child:
            child.end(0.1)
    assert caplog.text.count("hangs in the kernel and cannot be ended") == 1
    assert wait(5) != 0
    assert not Path(f"/proc/{process.pid}").exists()
