from hypothesis import given
from hypothesis import strategies as st

from agent.capture_queue import CaptureQueue
from agent.model import Block, GapCause, Loss, RunEnded, SourceItem, Title
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


def test_what_is_no_audio_always_fits() -> None:
    queue = CaptureQueue()
    for second in range(100):
        queue.put(block(b"x", second))
        queue.put(RunEnded(GapCause.STALL, None, at(second)))
    assert sum(isinstance(item, RunEnded) for item in drained(queue)) == 100


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
