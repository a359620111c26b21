"""Remembers what each source has been asked to do, through restarts and crashes."""

import json
import logging
import threading
from pathlib import Path

from agent.archive_format.sidecar import encode
from agent.model import Desired
from agent.storage.files import sync_folder, write_whole

_log = logging.getLogger(__name__)


class DesiredStore:
    """`desired.json` in the state folder; a source that it does not name is to record."""

    def __init__(self, state_directory: Path) -> None:
        self._path = state_directory / "desired.json"
        self._lock = threading.Lock()
        self._stopped: set[str] = set()
        try:
            self._stopped = {str(source) for source in json.loads(self._path.read_bytes())["stopped"]}
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError) as error:
            _log.error("%s cannot be read, so every source records: %s", self._path, error)

    def of(self, source: str) -> Desired:
        """What the source is to do."""
        with self._lock:
            return Desired.STOP if source in self._stopped else Desired.RECORD

    def put(self, source: str, desired: Desired) -> None:
        """Remember, durably. OSError where the state folder cannot be written."""
        with self._lock:
            wanted = self._stopped - {source} if desired is Desired.RECORD else self._stopped | {source}
            if wanted == self._stopped:
                return
            write_whole(self._path, encode({"v": 1, "stopped": sorted(wanted)}))
            sync_folder(self._path.parent)
            self._stopped = wanted
