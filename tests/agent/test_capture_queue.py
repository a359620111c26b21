import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from agent.capture_queue import CaptureQueue
from agent.model import Block, GapCause, Instant, Loss, RunEnded, SourceItem, Title
from tests.agent.build import at, block


def drained(queue: CaptureQueue) -> list[SourceItem]:
    found = []
    while (item := queue.get(0.0)) is not None:
        found.append(item)
    return found


def test_an_empty_queue_gives_nothing_in_time() -> None:
    assert CaptureQueue().get(0.0) is None


def test_thirty_seconds_wait_and_what_does_not_fit_leaves_one_loss_in_its_place() -> None:
    queue = CaptureQueue()
    for second in range(40):
        queue.put(block(b"x", second))
    queue.put(Title("song", at(40)))
    items = drained(queue)
    assert [type(item) for item in items] == [Block] * 31 + [Loss, Title]
    lost = items[31]
    assert isinstance(lost, Loss)
    assert (lost.cause, lost.at) == (GapCause.QUEUE_OVERFLOW, at(31))
    assert queue.dropped_blocks == 9


def test_once_there_is_room_again_blocks_are_taken_and_a_second_overflow_is_a_second_loss() -> None:
    queue = CaptureQueue()
    for second in range(33):
        queue.put(block(b"x", second))
    for _ in range(20):
        queue.get(0.0)
    for second in range(33, 60):
        queue.put(block(b"x", second))
    items = drained(queue)
    assert [item.at for item in items if isinstance(item, Loss)] == [at(31), at(51)]
    assert queue.dropped_blocks == 2 + 9


def test_while_the_box_sleeps_nothing_waits() -> None:
    """Boottime goes on for an hour, monotonic does not: what was put before is a moment old."""
    queue = CaptureQueue()
    queue.put(block(b"x", 0))
    asleep = at(3600.1)
    queue.put(Block(b"y", Instant(asleep.wall_ns, asleep.boottime_ns, at(0.1).monotonic_ns)))
    assert [type(item) for item in drained(queue)] == [Block, Block]


def test_what_is_no_audio_always_fits() -> None:
    queue = CaptureQueue()
    for second in range(100):
        queue.put(block(b"x", second))
        queue.put(RunEnded(GapCause.STALL, None, at(second)))
    assert sum(isinstance(item, RunEnded) for item in drained(queue)) == 100


def got_within_s(queue: CaptureQueue, timeout_s: float, *, put_meanwhile: SourceItem | None = None) -> float:
    """How long it takes until the queue gives something."""
    putting = threading.Timer(0.05, queue.put, [put_meanwhile])
    began_s = time.monotonic()
    if put_meanwhile is not None:
        putting.start()
    assert queue.get(timeout_s) is not None
    return time.monotonic() - began_s


def test_audio_is_taken_when_the_time_is_up_and_anything_else_ends_the_wait() -> None:
    queue = CaptureQueue()
    assert got_within_s(queue, 0.3, put_meanwhile=block(b"x")) >= 0.3
    assert got_within_s(queue, 30, put_meanwhile=RunEnded(GapCause.STALL, None, at(1))) < 30
    queue.put(block(b"y"))
    assert got_within_s(queue, 30) < 30


def test_audio_wakes_who_waits_when_the_oldest_has_waited_for_a_fifth_of_a_second() -> None:
    queue = CaptureQueue()
    putting = [threading.Timer(0.1 + n / 10, queue.put, [block(b"x", n / 10)]) for n in range(3)]
    began_s = time.monotonic()
    for one in putting:
        one.start()
    assert queue.get(30) == block(b"x", 0.0)
    assert 0.3 <= time.monotonic() - began_s < 30
    assert [type(item) for item in drained(queue)] == [Block, Block]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=60))
def test_order_is_kept_and_each_drop_has_a_loss_before_what_follows(steps: list[tuple[int, int]]) -> None:
    queue, now_s, put, got = CaptureQueue(), 0, [], []
    for number, (pause_s, taken) in enumerate(steps):
        now_s += pause_s
        item = block(number.to_bytes(4, "big"), now_s)
        put.append(item)
        queue.put(item)
        got += [queue.get(0.0) for _ in range(taken)]
    items = [item for item in (*got, *drained(queue)) if item is not None]
    kept = [item for item in items if isinstance(item, Block)]
    assert kept == [item for item in put if item in kept]
    assert len(put) - len(kept) == queue.dropped_blocks
    # Wherever blocks are missing, and nowhere else, there is a loss.
    before = -1
    lost = False
    for found in items:
        if isinstance(found, Loss):
            lost = True
        elif isinstance(found, Block):
            number = int.from_bytes(found.data, "big")
            assert lost == (number > before + 1)
            before, lost = number, False
