"""Waiting for a condition, with a deadline and a name for what did not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout_s: float, what: str, *, poll_s: float = 0.01) -> T:
    """Poll until the condition is true and hand back its value; raise AssertionError naming `what` otherwise.

    The condition is asked once more after the deadline: on a busy machine the test may have been off the
    processor for the whole time, and then only the wait was late, not the thing waited for.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        last_try = time.monotonic() >= deadline
        value = condition()
        if value:
            return value
        if last_try:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what} (last answer: {value!r})")
        time.sleep(poll_s)
