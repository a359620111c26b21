"""The section `archive`: where the page is served, and who may see it."""

import os
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from agent.config import values
from agent.config.node import Section
from agent.config.settings import ArchiveSettings, Secret

LAN_USER = "isr"
"""Who is asked for where the page is served to the network and the configuration names nobody."""

_LAN_HOST = "0.0.0.0"  # noqa: S104 - every address of the box, and only with a password


def read_archive(section: Section, folder: Path, recordings: Path) -> ArchiveSettings:
    """The settings of the section; paths in it start at `folder`."""
    named = section.value("host", values.address, "127.0.0.1")
    settings = ArchiveSettings(
        host=_overridden(section, named),
        port=section.value("port", values.whole(1, 65535), 8080),
        # Where the word is wrong, nothing is said about what would follow from it.
        auth=section.value("auth", values.one_of("none", "basic"), "" if "auth" in section else "none"),
        username=section.value("username", values.user_name, "") or None,
        password=section.password(values.secret, values.secret_file(folder)),
        allow_unauthenticated=section.value("allow_unauthenticated", values.boolean, default=False),
        allowed_hosts=section.values("allowed_hosts", values.host_name),
        state_directory=_state_directory(section, folder, recordings),
    )
    if settings.auth == "basic":
        _check_credentials(section, settings)
    elif settings.auth == "none":
        _check_openness(section, settings)
    section.close()
    return settings


def _state_directory(section: Section, folder: Path, recordings: Path) -> Path:
    """The archive's own folder. In the recordings it would be told of its own writing, and in a container it may not
    even write there."""
    named = section.value("state_directory", values.text, "")
    directory = folder / named if named else recordings.parent / f".{recordings.name}-archive"
    if directory.resolve().is_relative_to(recordings.resolve()):
        section.problem(
            f"{named!r} lies in the recordings folder, which the archive never writes", key="state_directory"
        )
    return directory


def _overridden(section: Section, host: str) -> str:
    override = os.environ.get("ISR_ARCHIVE_HOST")
    if not override:
        return host
    try:
        return values.address(override)
    except ValueError as error:
        section.problem(f"the environment's ISR_ARCHIVE_HOST says {override!r}: {error}", key="host")
        return host


def _check_credentials(section: Section, settings: ArchiveSettings) -> None:
    """RFC 7617: both are needed, without control characters."""
    if "username" not in section:
        section.problem("is missing, but auth: basic needs it", key="username")
    key = "password_file" if "password_file" in section else "password"
    if "password" not in section and "password_file" not in section:
        section.problem("is missing, but auth: basic needs it; or give password_file", key="password")
    elif settings.password is not None and not settings.password.reveal():
        section.problem("is empty; choose one that nobody guesses", key=key)
    elif settings.password is not None and not settings.password.reveal().isprintable():
        section.problem("has characters in it that nobody can type", key=key)


def _check_openness(section: Section, settings: ArchiveSettings) -> None:
    """Nobody serves recordings to a network without a password by mistake."""
    for key in ("username", "password", "password_file"):
        if key in section:
            section.problem("is given, but nobody is asked for it; set auth: basic", key=key)
    if is_loopback(settings.host) or ("auth" in section and settings.allow_unauthenticated):
        return
    origin = " (of the environment's ISR_ARCHIVE_HOST)" if os.environ.get("ISR_ARCHIVE_HOST") else ""
    section.problem(
        f"{settings.host}{origin} can be reached from the network, and nobody would be asked for a password;"
        " set auth: basic with username and password_file, or, if everybody may hear everything, say it twice:"
        " auth: none and allow_unauthenticated: true",
        key="host",
    )


def is_loopback(host: str) -> bool:
    """Whether only this box itself can reach the host."""
    return host == "localhost" or ip_address(host).is_loopback


def on_the_network(settings: ArchiveSettings, password: Callable[[], Secret]) -> ArchiveSettings:
    """The same, served to the whole network and never without a password.

    An address and a user that the configuration names for that stay as they are; `password` is called only where it
    names none.
    """
    host = _LAN_HOST if is_loopback(settings.host) else settings.host
    if settings.auth == "basic":
        return replace(settings, host=host)
    return replace(settings, host=host, auth="basic", username=LAN_USER, password=password())
