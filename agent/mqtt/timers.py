"""When a `start` with `for_s` ends by itself, through restarts and crashes: `stop-at.json` in the state folder."""

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from agent.archive_format.sidecar import encode
from agent.archive_format.times import parse, rfc3339
from agent.storage.files import sync_folder, write_whole

_log = logging.getLogger(__name__)


class StopTimers:
    """Used by one thread. Within a run the monotonic clock counts; the wall clock only bridges a restart."""

    def __init__(self, state_directory: Path, *, utc_now: Callable[[], datetime], now_s: Callable[[], float]) -> None:
        self._path = state_directory / "stop-at.json"
        self._utc_now, self._now_s = utc_now, now_s
        self._due_s: dict[str, float] = {}
        try:
            known = json.loads(self._path.read_bytes())["stop_at"]
            for source, at in known.items():
                left_s = (parse(at) - utc_now()).total_seconds()
                self._due_s[str(source)] = now_s() + max(0.0, left_s)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.error("%s cannot be read, so nothing stops by itself: %s", self._path, error)

    def set(self, source: str, for_s: float | None) -> None:
        """From now on for so long; None: nothing stops by itself. OSError where the state folder cannot be written."""
        due_s = {one: at_s for one, at_s in self._due_s.items() if one != source}
        if for_s is not None:
            due_s[source] = self._now_s() + for_s
        if due_s != self._due_s:
            self._save(due_s)
            self._due_s = due_s

    def due(self) -> list[str]:
        """The sources that are to stop now."""
        now_s = self._now_s()
        return [source for source, at_s in self._due_s.items() if at_s <= now_s]

    def _save(self, due_s: dict[str, float]) -> None:
        utc_now, now_s = self._utc_now(), self._now_s()
        stop_at = {one: rfc3339(utc_now + timedelta(seconds=at_s - now_s)) for one, at_s in due_s.items()}
        write_whole(self._path, encode({"v": 1, "stop_at": stop_at}))
        sync_folder(self._path.parent)
