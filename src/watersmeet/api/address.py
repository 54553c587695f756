"""Who is calling, behind proxies: the nearest address that no trusted proxy has.

    client ── proxy A ── proxy B ── here       X-Forwarded-For, as it comes: client, A       peer: B

The header is read from the right, where it was written last, and only as far as its writers are trusted: the peer,
then each address that a trusted one named. What stands left of the first that is not trusted is its own claim, and is
never looked at. So nobody can choose the address it is known by.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
UNKNOWN = "unknown"
"""A caller that a trusted proxy did not name: one bucket for all of them, and never this machine."""


def networks(trusted: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks, such as ``"10.0.0.7"`` and ``"10.0.0.0/8"``; `ValueError` for anything else."""
    return tuple(ipaddress.ip_network(each, strict=False) for each in trusted)


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address of the caller.

    Args:
        peer: the address at the other end of the connection.
        forwarded: every X-Forwarded-For header, in the order in which they came.
        trusted: proxies whose header is believed.

    Returns:
        an address; `UNKNOWN` where all that is named are proxies, or a proxy named no address; the peer as it is where
        that is no address.

    >>> client_address("10.0.0.1", ["6.6.6.6, 203.0.113.9"], networks(["10.0.0.1"]))
    '203.0.113.9'
    """
    nearest = parse(peer)
    if nearest is None:
        return peer
    if not _is_in(nearest, trusted):
        return str(nearest)
    for hop in reversed(",".join(forwarded).split(",")):
        found = parse(hop.strip())
        if found is None:
            return UNKNOWN
        if not _is_in(found, trusted):
            return str(found)
    return UNKNOWN


def is_loopback(address: str) -> bool:
    """Whether it is an address of this machine alone."""
    found = parse(address)
    return found is not None and found.is_loopback


def parse(text: str) -> Address | None:
    """An address, also with a port, in brackets, with a zone, or an IPv4 address written as IPv6."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_in(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
