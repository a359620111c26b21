"""How `device` of a sound card may be written. Pure."""

import re

from agent.config.values import text

USB = re.compile(r"usb:([0-9a-f]{4}):([0-9a-f]{4})(?::(.+))?", re.IGNORECASE)
"""Vendor, product, and the serial number where one is given."""
USB_PORT = re.compile(r"(?:usb-port:)?([0-9]+-[0-9]+(?:\.[0-9]+)*)", re.IGNORECASE)
"""Bus and ports as the kernel names them: `1-1.2` is port 2 of the hub in port 1 of bus 1."""
NODE = "/dev/snd/"
MONITOR = "monitor"


def device(value: str) -> str:
    """What is to be recorded. Only what can be nothing else than a slip of the pen is refused; the rest ALSA knows."""
    lower = value.lower()
    if lower.startswith("usb:") and not USB.fullmatch(value):
        raise ValueError(
            "usb:VENDOR:PRODUCT or usb:VENDOR:PRODUCT:SERIAL is expected, the first two of four hexadecimal digits "
            "each, like usb:046d:0825; isr-agent list-devices shows them"
        )
    if lower.startswith("usb-port:") and not USB_PORT.fullmatch(value):
        raise ValueError("a USB port like usb-port:1-1.2 is expected; isr-agent list-devices shows them")
    if value.startswith("/") and not value.startswith(NODE):
        raise ValueError("a file is no sound card; of files only those below /dev/snd/by-path and by-id are allowed")
    return text(value)
