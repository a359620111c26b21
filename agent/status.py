"""The latest word on every source; whoever is interested is told of each change."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from agent.model import Level, SourceState, SourceStatus

Listener: TypeAlias = Callable[[SourceStatus], None]


class StatusBoard:
    """Immutable statuses by source. Listeners are called from the thread that changed something, and only enqueue."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._sources: dict[str, SourceStatus] = {}
        self._levels: dict[str, Level] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of every change from now on, in order."""
        with self._lock:
            self._listeners.append(listener)

    def put(self, status: SourceStatus) -> None:
        """The status of a source, as a whole."""
        with self._lock:
            if self._sources.get(status.id) == status:
                return
            self._sources[status.id] = status
            for listener in self._listeners:
                listener(status)

    def change(self, source: str, **changes: Any) -> None:  # noqa: ANN401 - fields of SourceStatus, checked by it
        """Some fields of a source's status; what another thread changes meanwhile stays."""
        with self._lock:
            known = self._sources[source]
            # Most packets bring nothing new, and a copy only to compare it would cost more than the packet.
            if any(getattr(known, field) != value for field, value in changes.items()):
                self.put(replace(known, **changes))

    def put_level(self, level: Level) -> None:
        """The newest level of a source. Nobody is told: levels have their own way to those who want each of them."""
        with self._lock:
            self._levels[level.source] = level

    def levels(self) -> dict[str, Level]:
        """The newest level of each source that delivers audio."""
        with self._lock:
            return {source: level for source, level in self._levels.items() if self._is_heard(source)}

    def of(self, source: str) -> SourceStatus:
        """One source; KeyError where there is none of that id."""
        with self._lock:
            return self._sources[source]

    def all(self) -> tuple[SourceStatus, ...]:
        """Every source, in the order of the configuration."""
        with self._lock:
            return tuple(self._sources.values())

    def _is_heard(self, source: str) -> bool:
        return self._sources[source].state is SourceState.RECORDING
