"""How many wrong passwords an address may send."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from archive_api.attempts import BURST, MOST_PEERS, REFILL_S, Attempts

PAUSES = st.lists(st.floats(0, 5), min_size=1, max_size=100)


@given(PAUSES)
def test_no_more_than_a_burst_and_then_one_at_a_time(pauses: list[float]) -> None:
    """Whatever the pattern, in every span of time no more are looked at than the burst and what was refilled."""
    attempts, looked_at = Attempts(), []
    for now_s in itertools.accumulate(pauses):
        if attempts.wait_s("192.0.2.1", now_s) == 0:
            attempts.failed("192.0.2.1", now_s)
            looked_at.append(now_s)
        assert attempts.wait_s("192.0.2.2", now_s) == 0
    for first, last in itertools.combinations(range(len(looked_at)), 2):
        span_s = looked_at[last] - looked_at[first]
        assert last - first + 1 <= BURST + span_s / REFILL_S + 1e-6


@given(PAUSES)
def test_who_waits_as_told_is_looked_at(pauses: list[float]) -> None:
    attempts = Attempts()
    for now_s in itertools.accumulate(pauses):
        attempts.failed("192.0.2.1", now_s)
        wait_s = attempts.wait_s("192.0.2.1", now_s)
        assert attempts.wait_s("192.0.2.1", now_s + wait_s + 1e-6) == 0


def test_memory_has_an_end_and_the_oldest_are_forgotten() -> None:
    attempts = Attempts()
    for number in range(MOST_PEERS + 500):
        for _ in range(BURST):
            attempts.failed(f"10.0.{number // 256}.{number % 256}", 0)
    assert len(attempts) == MOST_PEERS
    assert attempts.wait_s("10.0.0.1", 0) == 0
    assert attempts.wait_s(f"10.0.{(MOST_PEERS + 499) // 256}.{(MOST_PEERS + 499) % 256}", 0) > 0


def test_one_who_has_many_addresses_of_ipv6_is_one() -> None:
    attempts = Attempts()
    for number in range(BURST):
        attempts.failed(f"2001:db8::{number:x}", 0)
        attempts.failed(f"::ffff:192.0.2.{number}", 0)
    assert attempts.wait_s("2001:db8::ffff:1", 0) > 0
    assert attempts.wait_s("2001:db8:0:1::1", 0) == 0
    assert attempts.wait_s("192.0.2.1", 0) == 0
    assert attempts.wait_s("fe80::1%eth0", 0) == 0
    assert attempts.wait_s("no address", 0) == 0
