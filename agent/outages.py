"""Logs a repeating fault once at its start, then at most every ten minutes, and once when it is over."""

import logging

_AGAIN_S = 600.0


class OutageLog:
    """The faults of one thing."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._log = logger
        self._what = what
        self._told: str | None = None
        self._told_at_s = 0.0
        self._quiet = 0

    def fault(self, text: str, now_s: float) -> None:
        """Something is wrong, maybe still."""
        if text == self._told and now_s - self._told_at_s < _AGAIN_S:
            self._quiet += 1
            return
        again = f" (and {self._quiet} times before)" if self._quiet and text == self._told else ""
        self._log.warning("%s: %s%s", self._what, text, again)
        self._told, self._told_at_s, self._quiet = text, now_s, 0

    def over(self, text: str) -> None:
        """It works; said only where a fault was said before."""
        if self._told is not None:
            self._log.info("%s: %s", self._what, text)
            self._told, self._quiet = None, 0
