"""An overrun is believed only as far as the clock bears it out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Block, GapCause, Loss
from agent.sources.overruns import OverrunCheck
from tests.agent.build import at

RATE, WIDTH = 48000, 4
PERIOD = RATE // 20


class Card:
    """A card that is read every 50 ms; `late_s` is how long after its last sample each block is read."""

    def __init__(self) -> None:
        self.check = OverrunCheck(RATE, WIDTH)
        self.made = 0
        self.out: list[Block | Loss] = []

    def hear(self, periods: int, late_s: float = 0.005, ppm: float = 0.0) -> None:
        for _ in range(periods):
            self.made += PERIOD
            seconds = self.made / RATE / (1 + ppm * 1e-6) + late_s
            self.out += self.check.push(Block(bytes(PERIOD * WIDTH), at(seconds)))

    def overrun(self, lost_s: float) -> None:
        self.out += self.check.reported()
        self.made += round(lost_s * RATE)

    @property
    def losses(self) -> list[float]:
        return [item.samples / RATE for item in self.out if isinstance(item, Loss) and item.samples is not None]

    @property
    def passed(self) -> int:
        return sum(len(item.data) // WIDTH for item in self.out if isinstance(item, Block))


@given(lost_s=st.floats(0.02, 60), ppm=st.floats(-200, 200), late=st.lists(st.floats(0, 0.004), min_size=1, max_size=5))
def test_a_loss_with_a_message_has_its_true_length_and_place(lost_s: float, ppm: float, late: list[float]) -> None:
    card = Card()
    for number in range(400):
        card.hear(1, late[number % len(late)], ppm)
    before = card.passed
    card.overrun(lost_s)
    card.hear(60, late[0], ppm)
    assert card.losses == [pytest.approx(lost_s, abs=0.02)]
    where = next(number for number, item in enumerate(card.out) if isinstance(item, Loss))
    assert sum(len(item.data) // WIDTH for item in card.out[:where] if isinstance(item, Block)) == before
    assert card.passed == 460 * PERIOD, "no sample is kept back"
    assert not card.check.checking


@pytest.mark.parametrize("ppm", [-200, 200])
def test_drift_is_no_loss(ppm: float) -> None:
    card = Card()
    for _ in range(30):
        card.hear(300, ppm=ppm)
        card.overrun(0)
    card.hear(20, ppm=ppm)
    assert card.losses == []
    assert card.passed == card.made


@given(late_s=st.floats(0, 0.3), after=st.integers(0, 30))
def test_a_message_without_a_loss_changes_nothing(late_s: float, after: int) -> None:
    """Not even where the reads that follow are late for a while."""
    card = Card()
    card.hear(100)
    card.overrun(0)
    card.hear(min(after, 9), late_s + 0.005)
    card.hear(1)
    assert card.losses == []
    assert not card.check.checking
    assert card.passed == card.made


@given(lost_s=st.floats(0.06, 60), late=st.lists(st.floats(0, 0.004), min_size=1, max_size=5))
def test_a_loss_without_a_word_has_its_true_length_and_place_too(lost_s: float, late: list[float]) -> None:
    card = Card()
    for number in range(100):
        card.hear(1, late[number % len(late)])
    card.made += round(lost_s * RATE)
    for number in range(100):
        card.hear(1, late[number % len(late)])
    assert card.losses == [pytest.approx(lost_s, abs=0.006)]
    where = next(number for number, item in enumerate(card.out) if isinstance(item, Loss))
    assert sum(len(item.data) // WIDTH for item in card.out[:where] if isinstance(item, Block)) == 100 * PERIOD
    assert card.passed == 200 * PERIOD


@given(lost_s=st.floats(0.06, 20), share=st.floats(0.01, 0.99), reads=st.integers(1, 4))
def test_a_loss_without_a_word_that_is_read_in_its_midst_is_one_loss(lost_s: float, share: float, reads: int) -> None:
    """What is left in the buffer comes late by a part of what is being lost."""
    card = Card()
    card.hear(100)
    for number in range(reads):
        card.made += PERIOD // 4
        began_s = (card.made + (reads - 1 - number) * PERIOD // 4) / RATE
        into_s = min(share * lost_s, 0.3) * (number + 1) / reads
        card.out += card.check.push(Block(bytes(PERIOD // 4 * WIDTH), at(began_s + into_s)))
    before = card.made
    card.made += round(lost_s * RATE)
    card.hear(100)
    assert card.losses == [pytest.approx(lost_s, abs=0.006)]
    where = next(number for number, item in enumerate(card.out) if isinstance(item, Loss))
    assert sum(len(item.data) // WIDTH for item in card.out[:where] if isinstance(item, Block)) == before
    assert card.passed == 200 * PERIOD + reads * PERIOD // 4


@given(late_s=st.floats(0.05, 20), periods=st.integers(1, 40))
def test_a_reader_that_is_held_up_has_lost_nothing(late_s: float, periods: int) -> None:
    """It reads late for a while, at whatever distance, and catches up."""
    card = Card()
    card.hear(100)
    card.hear(periods, late_s)
    behind = card.made / RATE + late_s
    while card.made / RATE + PERIOD / RATE < behind:  # everything that has come together meanwhile, at once
        card.made += PERIOD
        card.out += card.check.push(Block(bytes(PERIOD * WIDTH), at(behind)))
    card.hear(3)
    assert card.losses == []
    assert card.passed == card.made


def test_several_messages_in_a_row_add_up() -> None:
    card = Card()
    card.hear(100)
    for lost_s in (0.5, 0.0, 1.25, 0.03):
        card.overrun(lost_s)
        card.hear(3)
    card.hear(60)
    assert sum(card.losses) == pytest.approx(1.78, abs=0.002)
    assert card.passed == 172 * PERIOD
    causes = {item.cause for item in card.out if isinstance(item, Loss)}
    assert causes == {GapCause.OVERRUN}


def test_the_clock_goes_on_behind_a_loss() -> None:
    """A second message after a loss that is known does not tell of the first once more."""
    card = Card()
    card.hear(100)
    card.overrun(2.0)
    card.hear(40)
    card.overrun(0)
    card.hear(40)
    assert card.losses == [pytest.approx(2.0, abs=0.001)]


def test_what_was_read_late_before_a_message_is_not_what_was_lost() -> None:
    """The agent stood still, the pipe was full, the card overran: the message comes behind what had waited."""
    card = Card()
    card.hear(100)
    waited, before = 60, card.passed
    for _ in range(waited):
        card.made += PERIOD
        card.out += card.check.push(Block(bytes(PERIOD * WIDTH), at(20.0)))
    card.overrun(20.0 - card.made / RATE)
    card.hear(60)
    assert card.losses == [pytest.approx(20.0 - (100 + waited) / 20, abs=0.001)]
    where = next(number for number, item in enumerate(card.out) if isinstance(item, Loss))
    passed = sum(len(item.data) // WIDTH for item in card.out[:where] if isinstance(item, Block))
    assert passed == before + waited * PERIOD


def test_an_end_lets_go_of_what_is_held() -> None:
    card = Card()
    card.hear(10)
    card.overrun(1.0)
    card.hear(2)
    assert card.check.checking
    card.out += card.check.end()
    assert card.losses == [pytest.approx(1.0, abs=0.001)]
    assert card.passed == 12 * PERIOD
    assert list(card.check.end()) == []


def test_a_message_before_the_first_sample_is_nothing() -> None:
    card = Card()
    card.overrun(1.0)
    card.hear(3)
    assert (card.losses, card.passed) == ([], 3 * PERIOD)


def test_a_second_message_while_a_read_is_late_costs_nothing_more() -> None:
    card = Card()
    card.hear(100)
    card.overrun(0.2)
    card.hear(1, 0.5)
    card.overrun(0)
    behind = card.made / RATE + 0.5
    for _ in range(9):  # it catches up in one burst
        card.made += PERIOD
        card.out += card.check.push(Block(bytes(PERIOD * WIDTH), at(behind)))
    card.hear(60)
    assert card.losses == [pytest.approx(0.2, abs=0.001)]
    assert card.passed == 170 * PERIOD


def test_one_late_read_before_the_end_proves_no_loss() -> None:
    card = Card()
    card.hear(100)
    card.overrun(0)
    card.hear(1, 0.4)
    card.out += card.check.end()
    assert card.losses == []
    assert card.passed == card.made


def test_a_card_that_overruns_without_end_is_heard_all_the_same() -> None:
    card = Card()
    card.hear(100)
    for _ in range(200):
        card.overrun(0.05)
        card.hear(4)
    assert card.passed > 700 * PERIOD
    card.hear(60)
    assert sum(card.losses) == pytest.approx(10.0, abs=0.1)
    assert card.passed == 960 * PERIOD
