"""Wrong passwords are counted for each address they come from, so that trying many takes long. Pure."""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

BURST = 10
"""So many wrong passwords an address may send at once."""
REFILL_S = 1.0
"""After each such time one more."""
MOST_PEERS = 1024
"""So many addresses are remembered; those that were longest without a wrong password are forgotten first."""


@dataclass(slots=True)
class _Account:
    spent: float
    at_s: float


class Attempts:
    """The wrong passwords of the last seconds. Times are seconds on a clock that never steps."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def wait_s(self, peer: str, now_s: float) -> float:
        """How long this address has to wait before a password of it is looked at; 0 is not at all."""
        account = self._accounts.get(_network(peer))
        return 0.0 if account is None else max(0.0, (_left(account, now_s) + 1 - BURST) * REFILL_S)

    def failed(self, peer: str, now_s: float) -> None:
        """Note a wrong password."""
        network = _network(peer)
        account = self._accounts.setdefault(network, _Account(0, now_s))
        account.spent, account.at_s = _left(account, now_s) + 1, now_s
        self._accounts.move_to_end(network)
        if len(self._accounts) > MOST_PEERS:
            self._accounts.popitem(last=False)

    def __len__(self) -> int:
        return len(self._accounts)


def _left(account: _Account, now_s: float) -> float:
    """What is still held against an address."""
    return max(0.0, account.spent - (now_s - account.at_s) / REFILL_S)


def _network(peer: str) -> str:
    """The address; for IPv6 its /64, because who has one address there has them all."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
