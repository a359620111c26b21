import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import monotonic_s
from agent.errors import SourceFault
from agent.model import GapCause
from agent.supervisor import Backoff, StopSignal, Worker

SOON_S = 10.0


@given(st.integers(0, 1000), st.floats(0, 1, exclude_max=True))
def test_the_pause_doubles_up_to_its_cap_with_a_quarter_of_jitter(failures: int, luck: float) -> None:
    backoff = Backoff(first_s=0.5, most_s=30.0)
    full = min(30.0, 0.5 * 2 ** min(failures, 60))
    assert 0.75 * full <= backoff.delay_s(failures, luck) <= full
    assert backoff.delay_s(failures, 0.0) == full


def test_a_signal_calls_everybody_once_and_who_comes_late_at_once() -> None:
    called: list[str] = []
    stop = StopSignal()
    with stop.calling(lambda: called.append("first")), stop.calling(lambda: called.append("second")):
        stop.set()
        stop.set()
    with stop.calling(lambda: called.append("late")):
        assert called == ["first", "second", "late"]
    assert stop.is_set
    assert stop.wait(0.0)


def test_who_has_left_is_not_called() -> None:
    called: list[str] = []
    stop = StopSignal()
    with pytest.raises(KeyError), stop.calling(lambda: called.append("x")):
        raise KeyError
    assert not stop.wait(0.0)
    stop.set()
    assert not called


class Work:
    """Fails as often as it is told to, then waits to be stopped."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.runs = 0
        self.waiting = threading.Event()
        self.told: list[tuple[Exception, float]] = []
        self.failed = threading.Event()

    def __call__(self, stop: StopSignal) -> None:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        self.waiting.set()
        stop.wait(60)

    def on_fault(self, error: Exception, delay_s: float) -> None:
        self.told.append((error, delay_s))
        self.failed.set()


def test_work_is_done_again_after_each_fault_until_it_is_stopped() -> None:
    work = Work(ValueError("one"), OSError("two"))
    worker = Worker("w", work, backoff=Backoff(0.001, 0.002), on_fault=work.on_fault)
    worker.start()
    assert work.waiting.wait(SOON_S)
    worker.stop()
    assert worker.join(SOON_S)
    assert work.runs == 3
    assert [str(error) for error, _ in work.told] == ["one", "two"]
    assert all(delay_s <= 0.002 for _, delay_s in work.told)


def test_work_that_returns_is_done_again_without_a_pause() -> None:
    done = threading.Event()
    runs = 0

    def work(stop: StopSignal) -> None:
        nonlocal runs
        runs += 1
        if runs >= 5:
            done.set()
            stop.wait(60)

    worker = Worker("w", work, backoff=Backoff(60, 60), on_fault=lambda error, delay_s: None)
    worker.start()
    assert done.wait(SOON_S)
    worker.stop()
    assert worker.join(SOON_S)


@pytest.mark.parametrize("wake", [Worker.stop, Worker.poke])
def test_a_pause_is_cut_short(wake: Callable[[Worker], None]) -> None:
    work = Work(ValueError("x"))
    worker = Worker("w", work, backoff=Backoff(600, 600), on_fault=work.on_fault)
    worker.start()
    assert work.failed.wait(SOON_S)
    began_s = monotonic_s()
    wake(worker)
    if wake is Worker.poke:
        assert work.waiting.wait(SOON_S)
        worker.stop()
    assert worker.join(SOON_S)
    assert monotonic_s() - began_s < SOON_S


def test_a_fault_may_ask_to_be_tried_again_sooner() -> None:
    work = Work(SourceFault(GapCause.DEVICE_LOST, "away", retry_within_s=0.001))
    worker = Worker("w", work, backoff=Backoff(600, 600), on_fault=work.on_fault)
    worker.start()
    assert work.waiting.wait(SOON_S)
    worker.stop()
    assert worker.join(SOON_S)
    assert work.told[0][1] == 0.001


def test_who_does_not_end_is_named(caplog: pytest.LogCaptureFixture) -> None:
    held = threading.Event()

    def work(stop: StopSignal) -> None:
        held.wait(60)

    worker = Worker("stubborn", work, backoff=Backoff(1, 1), on_fault=lambda error, delay_s: None)
    worker.start()
    worker.stop()
    assert not worker.join(0.0)
    assert "stubborn" in caplog.text
    held.set()
    assert worker.join(SOON_S)
