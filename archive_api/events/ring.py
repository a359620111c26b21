"""Numbers the events and keeps the last of them for who was away for a moment. Pure."""

import json
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

KEPT_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. One that is not `kept` is not told again to who has missed it: it is soon outdated."""

    type: str
    data: Json
    kept: bool = True


class Reset(StrEnum):
    """Why events cannot be told again: another run of the watcher has numbered them, or there were too many since."""

    RESTARTED = "restarted"
    EXPIRED = "expired"


class Ring:
    """Ids are `<epoch>-<number>`; the epoch is that of this ring alone. Numbers grow by one, kept or not."""

    def __init__(self, epoch: str, most: int = KEPT_EVENTS) -> None:
        self._epoch = epoch
        self._most = most
        self._number = 0
        self._forgotten = 0
        self._kept: deque[tuple[int, bytes]] = deque()

    @property
    def last_id(self) -> str:
        """The id of the newest event; that of none where there has been none."""
        return f"{self._epoch}-{self._number}"

    def add(self, event: Event) -> bytes:
        """Number an event; it comes back as it goes over the wire."""
        self._number += 1
        wire = encode(event.type, event.data, self.last_id)
        if event.kept:
            self._kept.append((self._number, wire))
            if len(self._kept) > self._most:
                self._forgotten, _ = self._kept.popleft()
        return wire

    def since(self, last_id: str) -> list[bytes] | Reset:
        """The kept events after the one of this id, oldest first, or why they are not known any more."""
        epoch, _, digits = last_id.rpartition("-")
        if epoch != self._epoch or not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            return Reset.RESTARTED
        if int(digits) > self._number:
            return Reset.RESTARTED
        if int(digits) < self._forgotten:
            return Reset.EXPIRED
        return [wire for number, wire in self._kept if number > int(digits)]


def encode(kind: str, data: Json, event_id: str) -> bytes:
    """One event as text/event-stream has it (WHATWG HTML, 9.2). JSON has no line ends of its own."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {kind}\nid: {event_id}\ndata: {text}\n\n".encode("utf-8", "replace")
