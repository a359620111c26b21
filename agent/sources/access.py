"""Why a card cannot be opened: arecord says the same of one that is away and of one that this user may not use."""

import errno
from dataclasses import dataclass

from agent.sources.sysfs import SoundTree


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What is in the way, in words, and what to do."""

    message: str
    hint: str


def obstacle(tree: SoundTree) -> Obstacle | None:
    """What keeps this process from every card that there is; None where there is none, or one that can be opened."""
    errors = [tree.open_error(tree.control(card)) for card in tree.cards()]
    if not errors or None in errors:
        return None
    if all(error in (errno.ENOENT, errno.ENOTDIR) for error in errors):
        return Obstacle(
            f"the box has {_cards(len(errors))}, but {tree.dev} does not show it here",
            f"a container needs the folder {tree.dev} as a bind mount: docs/docker.md",
        )
    if errno.EPERM in errors:
        return Obstacle(
            "this container may not use the sound cards",
            'it needs device_cgroup_rules: ["c 116:* rmw"]: docs/docker.md',
        )
    return Obstacle(
        "this user may not use the sound cards",
        "add the user to the group audio and log in again; a container needs group_add: docs/docker.md",
    )


def _cards(count: int) -> str:
    return "a sound card" if count == 1 else f"{count} sound cards"
