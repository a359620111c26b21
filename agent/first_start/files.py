"""Files that only their owner may read: made once, never overwritten, whole or not there."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.config import Secret
from agent.config.values import secret_file
from agent.errors import ConfigError
from agent.first_start.render import options_with, render_options, render_passwords

OPERATOR, VIEWER, HEALTHCHECK = "operator", "viewer", "healthcheck"
# Users of the shipped broker besides the agent itself; each has its lines in mosquitto/acl.
BROKER_USERS = (OPERATOR, VIEWER, "homeassistant", "archive", HEALTHCHECK)
# Those of them who are people at a shell.
_PEOPLE = (OPERATOR, VIEWER)
# Programs of mosquitto-clients; each reads its options from a file of its own name below $XDG_CONFIG_HOME.
CLIENTS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr")


def secret_path(directory: Path, user: str) -> Path:
    """Where the password of a broker user is kept."""
    return directory / "secrets" / f"mqtt-{user}"


def page_password_path(directory: Path) -> Path:
    """Where the password of the page is kept that scripts/run --lan asks for."""
    return directory / "secrets" / "archive"


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


def replace_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step, whether it is there or not."""
    _written_beside(path, text).replace(path)


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


def read_or_make_page_password(directory: Path, tell: Callable[[str], None]) -> Secret:
    """The password of the page for scripts/run --lan; a new one is told, this once."""
    path = page_password_path(directory)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    word = secrets.token_urlsafe(12)
    if write_new(path, word + "\n"):
        tell(word)
    try:
        return secret_file(directory)(str(path))
    except ValueError as error:
        raise ConfigError(str(error), hint="remove the file, and the next start makes a new password") from error


def write_broker_files(directory: Path, passwords: Mapping[str, str], port: int) -> None:
    """The options files of people, with what counts now, and `.run/passwd.new` as input for mosquitto_passwd."""
    for user in _PEOPLE:
        write_options(directory, user, passwords[user], port)
    run = directory / ".run"
    run.mkdir(mode=0o700, exist_ok=True)
    (run / "passwd.new").unlink(missing_ok=True)
    write_new(run / "passwd.new", render_passwords(passwords))


def write_options(directory: Path, user: str, password: str, port: int) -> None:
    """What mosquitto's own programs read with XDG_CONFIG_HOME=secrets/<user>; lines of others in it stay."""
    folder = directory / "secrets" / user
    folder.mkdir(mode=0o700, exist_ok=True)
    for client in CLIENTS:
        path = folder / client
        write_new(path, render_options(user, password, port))
        options = path.read_text(encoding="utf-8")
        if (changed := options_with(options, password, port)) != options:
            rewrite(path, changed)
