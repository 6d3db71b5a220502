"""Proxies: the address of the client that a request comes from through a proxy of the operator's."""

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

FORWARDED = ("x-forwarded-for", "forwarded")
"""The headers by which a proxy says that it passes on another's request."""
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """The operator's proxies, whose `X-Forwarded-For` is believed; nobody else's is."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self.networks = tuple(networks)

    def find_sender(self, peer: str | None, forwarded: Sequence[str]) -> str | None:
        """The address that the request comes from; `peer` is that of the connection, None for a local socket.

        It is the peer's, or from a proxy the last that is none. Where a peer that is no proxy passes on a
        request, it is marked, so that it does not count as this machine's: `127.0.0.1 (forwarded)`.
        `forwarded` has the values of the headers FORWARDED, in their order.
        """
        if not forwarded:
            return peer
        if not self.has(peer):
            return f"{peer or 'this machine'} (forwarded)"
        sender = peer
        for text in reversed(",".join(forwarded).split(",")):
            sender = text.strip()
            if not self.has(sender):
                break
        return sender

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
