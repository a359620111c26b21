"""The Host allow-list against DNS rebinding: a page of another site cannot make a browser name us by its name. Pure."""

import ipaddress
import re

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,255})(?::([0-9]{0,5}))?")


def own_names(hostname: str) -> frozenset[str]:
    """The names by which a machine of this hostname may be called, besides its addresses."""
    full = hostname.lower().rstrip(".")
    short = full.partition(".")[0]
    return frozenset({"localhost", full, short, f"{short}.local"}) - {"", ".local"}


def host_of(field: str) -> str | None:
    """The host in a Host field, in lower case and without port; None where the field is malformed (RFC 9110, 7.2)."""
    match = _HOST.fullmatch(field)
    return None if match is None else match[1].lower().removesuffix(".")


def is_allowed(host: str, names: frozenset[str]) -> bool:
    """Whether the host is one of the names, or an address: addresses cannot be rebound."""
    return host in names or _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
