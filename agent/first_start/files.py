"""Files that only their owner may read: made once, never overwritten, whole or not there."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from agent.first_start.render import options_with_port, render_options, render_passwords

OPERATOR = "operator"
# Users of the shipped broker besides the agent itself; each has its lines in mosquitto/acl.
BROKER_USERS = (OPERATOR,)
# Programs of mosquitto-clients; each reads its options from a file of its own name below $XDG_CONFIG_HOME.
CLIENTS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr")


def secret_path(directory: Path, user: str) -> Path:
    """Where the password of a broker user is kept."""
    return directory / "secrets" / f"mqtt-{user}"


def write_new(path: Path, text: str, *, mode: int = 0o600) -> bool:
    """Write a file that is not there yet, whole or not at all; False, and nothing done, where it is there.

    One caller at a time: scripts/run holds a lock. (A hard link would do without, but not on every file system.)
    """
    if os.path.lexists(path):
        return False
    temporary = _written_beside(path, text)
    temporary.chmod(mode)
    temporary.replace(path)
    return True


def rewrite(path: Path, text: str) -> None:
    """Replace the text of a file that is there in one step; its owner and mode stay."""
    target = path.resolve()
    temporary = _written_beside(target, text)
    shutil.copymode(target, temporary)
    os.chown(temporary, target.stat().st_uid, target.stat().st_gid)
    temporary.replace(target)


def _written_beside(path: Path, text: str) -> Path:
    """A new file of mode 0600 in the folder of `path`, synced."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    return Path(name)


def read_or_make_passwords(directory: Path, agent: str) -> dict[str, str]:
    """The password of each user of the shipped broker; those that are missing are made."""
    (directory / "secrets").mkdir(mode=0o700, exist_ok=True)
    passwords: dict[str, str] = {}
    for user in (agent, *BROKER_USERS):
        path = secret_path(directory, user)
        write_new(path, secrets.token_urlsafe(24) + "\n")
        passwords[user] = path.read_text(encoding="utf-8").strip()
    return passwords


def write_broker_files(directory: Path, passwords: Mapping[str, str], port: int) -> None:
    """The operator's options files, with the port of now, and `.run/passwd.new` as input for mosquitto_passwd."""
    folder = directory / "secrets" / OPERATOR
    folder.mkdir(mode=0o700, exist_ok=True)
    for client in CLIENTS:
        path = folder / client
        write_new(path, render_options(OPERATOR, passwords[OPERATOR], port))
        options = path.read_text(encoding="utf-8")
        if (changed := options_with_port(options, port)) != options:
            rewrite(path, changed)
    run = directory / ".run"
    run.mkdir(mode=0o700, exist_ok=True)
    (run / "passwd.new").unlink(missing_ok=True)
    write_new(run / "passwd.new", render_passwords(passwords))
