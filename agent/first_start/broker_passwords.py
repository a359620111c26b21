"""The password file of mosquitto, written where its own tool is not at hand. Pure but for the salt.

Layout of mosquitto 2: `user:$7$iterations$salt$hash`, PBKDF2 with HMAC-SHA-512 (RFC 8018), 64 bytes, both in base64.
mosquitto_passwd takes 101 iterations; the passwords here have 192 random bits, so that is no weakness.
"""

import hashlib
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping

_ITERATIONS, _SALT_BYTES, _HASH_BYTES = 101, 12, 64


def password_lines(passwords: Mapping[str, str], known: str) -> str:
    """The file for these users; lines of `known` that still hold are taken over as they are."""
    old = dict(line.split(":", 1) for line in known.splitlines() if ":" in line)
    return "\n".join(
        f"{user}:{old[user] if is_hash_of(password, old.get(user, '')) else hashed(password)}"
        for user, password in passwords.items()
    )


def hashed(password: str, salt: bytes | None = None, iterations: int = _ITERATIONS) -> str:
    """What stands behind the user's name."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, _HASH_BYTES)
    return f"$7${iterations}${b64encode(salt).decode()}${b64encode(key).decode()}"


def is_hash_of(password: str, line: str) -> bool:
    """Whether a line of this kind is of this password."""
    parts = line.split("$")
    if len(parts) != 5 or parts[1] != "7" or not parts[2].isdigit() or int(parts[2]) > 1_000_000:
        return False
    try:
        salt = b64decode(parts[3], validate=True)
    except ValueError:
        return False
    return secrets.compare_digest(hashed(password, salt, int(parts[2])), line)
