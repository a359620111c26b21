"""Writes and forgets rows as fast as it can until it is killed; says on stdout what was safe."""

import sys
from pathlib import Path

from agent.mqtt.outbox import Outbox
from agent.mqtt.rows import Draft, Kind
from tests.agent.build import utc


def main(path: str, name: str) -> None:
    outbox, contents = Outbox.open(Path(path), "boot", list)
    waiting = [row.seq for row in contents.rows]
    number = 0
    while True:
        drafts = [
            Draft(Kind.EVENT, "mic", f"{name}-{number + k}", 1, utc(0), f"{name}-{number + k}".encode(), 0.0, utc(0))
            for k in range(3)
        ]
        number += 3
        done, waiting = waiting[:2], waiting[2:]
        rows = outbox.write(drafts, done=done)
        waiting += [row.seq for row in rows]
        print(" ".join(f"+{row.seq}={row.id}" for row in rows), " ".join(f"-{seq}" for seq in done), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
