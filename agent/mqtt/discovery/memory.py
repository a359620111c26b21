"""Remembers which devices were announced to Home Assistant, so that what is removed can be taken back."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from agent.archive_format.sidecar import encode
from agent.mqtt.discovery.ownership import Announced
from agent.storage.files import sync_folder, write_whole

_log = logging.getLogger(__name__)


class Memory:
    """`discovery.json` in the state folder. A fault of the disk is logged: the broker remembers as well."""

    def __init__(self, state_directory: Path) -> None:
        self._path = state_directory / "discovery.json"
        self._devices: dict[str, Announced] = {}
        try:
            devices = json.loads(self._path.read_bytes())["devices"]
            self._devices = {str(topic): _announced(device) for topic, device in devices.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.error("%s cannot be read, so it is made anew: %s", self._path, error)

    @property
    def devices(self) -> Mapping[str, Announced]:
        """What was announced, by discovery topic."""
        return self._devices

    def keep(self, devices: Mapping[str, Announced]) -> None:
        """Remember these devices and no others."""
        if devices == self._devices:
            return
        self._devices = dict(devices)
        body = {
            topic: {"components": dict(device.components), "retained": list(device.retained)}
            for topic, device in devices.items()
        }
        try:
            write_whole(self._path, encode({"v": 1, "devices": body}))
            sync_folder(self._path.parent)
        except OSError as error:
            _log.error("%s cannot be written: %s", self._path, error.strerror)


def _announced(device: dict[str, dict[str, str]]) -> Announced:
    components = {str(key): str(platform) for key, platform in device["components"].items()}
    return Announced(components, tuple(str(topic) for topic in device["retained"]))
