"""Which card a USB identity means, and which identity a card has. Pure.

Numbers of cards change with the order of plugging, and so do the names of two cards of one model. What stays is the
port that a card is plugged into, and its serial number where it has one of its own.
"""

from collections.abc import Sequence

from agent.config.device import USB, USB_PORT
from agent.errors import SourceFault
from agent.model import GapCause
from agent.sources.sysfs import Card

AWAY_POLL_S = 1.0
_LIST = "isr-agent list-devices shows what can be recorded"


def is_identity(wanted: str) -> bool:
    """Whether a configured device is a USB identity or a USB port."""
    return USB.fullmatch(wanted) is not None or USB_PORT.fullmatch(wanted) is not None


def card_of(wanted: str, cards: Sequence[Card]) -> Card:
    """The one card that a USB identity or port means. Raises SourceFault where there is none, or more than one."""
    fitting = [card for card in cards if _fits(wanted, card)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        what = "in the USB port" if USB_PORT.fullmatch(wanted) else "with the USB identity"
        raise SourceFault(
            GapCause.DEVICE_LOST,
            f"there is no sound card {what} {wanted!r}; found: {_named(cards)}",
            hint=_LIST,
            permanent=True,
            retry_within_s=AWAY_POLL_S,
        )
    raise SourceFault(
        GapCause.DEVICE_LOST,
        f"{wanted!r} fits {len(fitting)} sound cards: {_named(fitting)}",
        hint="put the usb-port: of one of them into the configuration",
        permanent=True,
        retry_within_s=AWAY_POLL_S,
    )


def usb_name(card: Card, cards: Sequence[Card]) -> str | None:
    """`usb:VENDOR:PRODUCT[:SERIAL]` of a card where that means no other card, else None."""
    if card.usb is None:
        return None
    name = f"usb:{card.usb.vendor}:{card.usb.product}"
    if card.usb.serial:
        name += f":{card.usb.serial}"
    return name if sum(_fits(name, other) for other in cards) == 1 else None


def port_name(card: Card) -> str | None:
    """`usb-port:…` of a card; None for one that is not on USB."""
    return f"usb-port:{card.usb.port}" if card.usb else None


def _fits(wanted: str, card: Card) -> bool:
    if card.usb is None:
        return False
    if port := USB_PORT.fullmatch(wanted):
        return port[1] == card.usb.port
    usb = USB.fullmatch(wanted)
    return (
        usb is not None
        and (usb[1].lower(), usb[2].lower()) == (card.usb.vendor, card.usb.product)
        and usb[3] in (None, card.usb.serial)
    )


def _named(cards: Sequence[Card]) -> str:
    return "; ".join(_words(card) for card in cards) or "no sound card at all"


def _words(card: Card) -> str:
    if card.usb is None:
        return f"{card.id} (not on USB)"
    serial = f", serial {card.usb.serial}" if card.usb.serial else ", no serial"
    return f"{card.usb.name} in usb-port:{card.usb.port} (usb:{card.usb.vendor}:{card.usb.product}{serial})"
