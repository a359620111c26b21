"""Whether the agent does its work, for a health check: `python -m agent.healthy`, with $ISR_RECORDINGS.

Healthy is an agent whose status is fresh, and each of whose sources does what it was asked to or says why not. A
microphone that is unplugged is told of by its source, and does not make the agent unhealthy: a restart would not help.
Imports next to nothing, because it runs every minute on a small box.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from agent import clock

_FRESH_S = 15.0
_SAID_BY = ("recording", "stopped", "starting")


def complaints(status: dict[str, Any], age_s: float) -> list[str]:
    """What is wrong with a status.json of this age, in words; nothing where all is well."""
    if age_s > _FRESH_S:
        return [f"status.json is {age_s:.0f} s old: the agent does not run, or hangs"]
    return [
        f"{source['id']} is {source['state']} and does not say why"
        for source in status["sources"]
        if source["desired"] == "record" and source["state"] not in _SAID_BY and not source["last_error"]
    ]


def main() -> int:
    """The health check: 0 where all is well, else 1 and the reasons."""
    path = Path(os.environ.get("ISR_RECORDINGS", "recordings")) / "status.json"
    try:
        found = complaints(json.loads(path.read_bytes()), clock.utc_now().timestamp() - path.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = [f"{path} cannot be read: {error}"]
    sys.stdout.write(("\n".join(found) or "healthy") + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
