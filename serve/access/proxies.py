"""Proxies: the address of the client that a request comes from through a proxy of the operator's."""

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

FORWARDED_FOR = "x-forwarded-for"
FORWARDED = (FORWARDED_FOR, "forwarded")
"""The headers by which a proxy says that it passes on another's request; the second is not read."""
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """The operator's proxies, whose `X-Forwarded-For` is believed; nobody else's is."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self.networks = tuple(networks)

    def find_sender(self, peer: str | None, forwarded: Sequence[tuple[str, str]]) -> str | None:
        """The address that the request comes from; `peer` is that of the connection, None for a local socket.

        It is the peer's, or from a proxy the last that is none. An address that is not believed, and this
        machine's own, which is another's where a proxy names it, are marked: `127.0.0.1 (forwarded)`.
        `forwarded` has the headers FORWARDED and their values, in their order.
        """
        if not forwarded:
            return peer
        unknown = f"{peer or 'this machine'} (forwarded)"
        if not self.has(peer):
            return unknown
        # Clients may send `Forwarded` through a proxy that only writes the other.
        addresses = ",".join(value for name, value in forwarded if name == FORWARDED_FOR).split(",")
        others = (text for text in map(str.strip, reversed(addresses)) if not self.has(text))
        sender = parse_address(next(others, ""))
        return unknown if sender is None or sender.is_loopback else str(sender)

    def has(self, address: str | None) -> bool:
        """Whether the address is one of the proxies'."""
        ip = None if address is None else parse_address(address)
        return ip is not None and any(ip in network for network in self.networks)


def parse_proxies(text: str) -> Proxies:
    """The proxies of addresses and networks, such as `10.0.0.0/8, 192.0.2.7`; raises ValueError."""
    return Proxies([ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()])


def parse_address(text: str) -> Address | None:
    """The IP address, IPv4 where a dual-stack socket mapped it into IPv6; None for another text."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip
