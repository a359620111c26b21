"""Log lines: for people on a terminal, JSON for programs."""

import json
import logging

from agent.archive_format.times import rfc3339
from agent.clock import utc_now


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "ts": rfc3339(utc_now()),
            "level": record.levelname.lower(),
            "module": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def set_up(kind: str) -> None:
    """Log to stderr from INFO on, as `text` or `json`."""
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(_Json() if kind == "json" else plain)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
