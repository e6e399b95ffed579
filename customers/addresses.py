"""Where a request comes from, and whether a key may be used from there."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
MAPPED_PREFIX = 96


class NoNetwork(ValueError):
    """The text names no network; the message says what to write."""


def client_address(meta: Mapping[str, Any]) -> Address | None:
    """Return the address of the client, by a request's `META`; None if nobody can say.

    Behind `TRUSTED_PROXIES` proxies it is the entry of X-Forwarded-For that the outermost of them wrote: whatever
    stands before that, the client may have made up. Who came by fewer proxies than that, came from nowhere.
    """
    hops = settings.TRUSTED_PROXIES
    if not hops:
        return _parsed(meta.get("REMOTE_ADDR", ""))
    told = meta.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return _parsed(told[-hops]) if len(told) >= hops else None


def is_allowed(address: Address | None, networks: Sequence[str]) -> bool:
    """Say whether a key with these networks may be used from `address`; without networks it may from anywhere."""
    return not networks or (address is not None and any(address in ip_network(network) for network in networks))


def covers(networks: Sequence[str], others: Sequence[str]) -> bool:
    """Say whether whatever comes from `others` comes from `networks` too; without networks that is anywhere."""
    if not networks:
        return True
    return bool(others) and all(any(_contains(network, other) for network in networks) for other in others)


def read_network(text: str) -> str:
    """Return a network in its one form, such as 203.0.113.0/24; an address is a network of one. Raises NoNetwork."""
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise NoNetwork(_remedy(text)) from None
    return str(_plain_network(network))


def _contains(network: str, other: str) -> bool:
    outer, inner = ip_network(network), ip_network(other)
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)


def _parsed(text: str) -> Address | None:
    """Return the address in an entry, which may have a port, or brackets and a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _plain_network(network: Network) -> Network:
    """Return an IPv4 network for one that is written as IPv6: clients of it are known by their IPv4 addresses."""
    if isinstance(network, IPv4Network) or network.prefixlen < MAPPED_PREFIX:
        return network
    mapped = network.network_address.ipv4_mapped
    return network if mapped is None else IPv4Network((mapped, network.prefixlen - MAPPED_PREFIX))


def _remedy(text: str) -> str:
    try:
        return f"This is an address in a network. Write the network: {ip_network(text.strip(), strict=False)}."
    except ValueError:
        return "A network is written like 203.0.113.0/24 or 2001:db8::/32, a single address like 203.0.113.7."
