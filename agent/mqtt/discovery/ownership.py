"""What was announced before, and whether a message that the broker kept is one of ours. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.mqtt.discovery.device import ORIGIN
from agent.mqtt.discovery.entity import Box
from agent.mqtt.payloads import Json


@dataclass(frozen=True, slots=True)
class Announced:
    """A device as it was announced: the platform of each component by its key, and the topics that go with it."""

    components: Mapping[str, str]
    retained: tuple[str, ...] = ()


def read_own(payload: bytes, box: Box) -> Json | None:
    """The message, if this agent sent it: our origin, and availability from our own topic. None otherwise.

    The uid is not asked: it is lost with the state folder, and then the old message is to be known all the same.
    """
    try:
        config = json.loads(payload)
        origin, availability = config["origin"]["name"], config["availability"][0]["topic"]
        _ = components_of(config), identifiers_of(config)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None
    is_ours = (origin, availability) == (ORIGIN, box.topics.availability)
    return config if is_ours else None


def components_of(config: Json) -> dict[str, str]:
    """The platform of each component by its key."""
    return {str(key): str(component["platform"]) for key, component in config["components"].items()}


def identifiers_of(config: Json) -> Any:  # noqa: ANN401 - only ever compared
    """What Home Assistant knows the device by."""
    return config["device"]["identifiers"]


def announced(config: Json, retained: tuple[str, ...]) -> Announced:
    """What is to be remembered of a message."""
    return Announced(components_of(config), retained)
