"""Protects segments from retention, and gives them free again: what a command has asked for, one sidecar a step."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from agent.model import Choice, Kept, Outcome, Segment
from agent.storage.beneath import NotOursError
from agent.storage.sidecars import Sidecars
from agent.storage.stock import Stock

_log = logging.getLogger(__name__)
_LONGEST = timedelta(hours=25)
"""No segment is longer than the longest period, and an hour that comes twice."""
_EARLIEST = datetime(2, 1, 1, tzinfo=UTC)
_AROUND = timedelta(milliseconds=2)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Protection:
    """One command. `outcome` is None until it is done."""

    def __init__(self, choice: Choice, *, on: bool) -> None:
        self._choice, self._on = choice, on
        self.outcome: Outcome | None = None

    def work(self, stock: Stock, sidecars: Sidecars) -> Iterator[None]:
        """Do it, a sidecar a step."""
        found: set[str] = set()
        changed = 0
        fault: str | None = None
        try:
            for kept in _candidates(self._choice, stock):
                try:
                    if (segment := _chosen(kept, self._choice, sidecars)) is not None:
                        now = sidecars.change(kept.file, lambda known: replace(known, protected=self._on))
                        found.add(segment.id)
                        changed += now.rev > segment.rev
                        stock.put(replace(kept, protected=self._on))
                except NotOursError as error:
                    fault = str(error)
                yield
        except OSError as error:
            self.outcome = Outcome(len(found), changed, error.strerror or str(error))
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the command gets its answer
            _log.error("protection: %s", error, exc_info=error)
            self.outcome = Outcome(len(found), changed, f"internal fault: {type(error).__name__}: {error}", "internal")
            return
        missing = next((one for one in self._choice.ids if one not in found), None)
        if fault is not None:
            self.outcome = Outcome(len(found), changed, fault, "internal")
        elif missing is not None:
            self.outcome = Outcome(len(found), changed, f"there is no finished segment {missing}", "bad_args")
        else:
            self.outcome = Outcome(len(found), changed)


def _candidates(choice: Choice, stock: Stock) -> list[Kept]:
    """Those that may be meant, by their names."""
    if choice.start is not None and choice.end is not None:
        near = stock.between(max(choice.start, _EARLIEST) - _LONGEST, choice.end)
        return [kept for kept in near if kept.source == choice.source]
    found: list[Kept] = []
    for one in choice.ids:
        try:
            # The id of a segment begins with the millisecond in its name.
            start = _EPOCH + timedelta(milliseconds=UUID(one).int >> 80)
            found += stock.named(start - _AROUND, start + _AROUND)
        except (ValueError, OverflowError):
            continue
    return list(dict.fromkeys(found))


def _chosen(kept: Kept, choice: Choice, sidecars: Sidecars) -> Segment | None:
    try:
        segment = sidecars.read(kept.file)
    except NotOursError as error:
        _log.warning("%s", error)
        return None
    if segment.deleted is not None:
        return None
    if choice.start is not None and choice.end is not None:
        return segment if segment.start < choice.end and segment.end > choice.start else None
    return segment if segment.id in choice.ids else None
