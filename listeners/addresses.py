"""Which addresses of the network a listener may connect to.

A feed's address is typed in by a person and redirects are the server's choice, so either may point at this machine or
its private network. The name is resolved here, once, and the connection made to the very address that was checked: a
name that resolves differently the second time changes nothing.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from listeners.base import Terminal

_NAT64 = IPv6Network("64:ff9b::/96")


def addresses_of(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The addresses of `host` that may be connected to, in the resolver's order. Never empty.

    Raises Terminal where there are only private ones and those are not allowed; OSError where the name is unknown.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is too long or empty
        raise socket.gaierror(socket.EAI_NONAME, f"{host} is no host name") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if allow_private:
        return addresses
    public = [address for address in addresses if is_public(address)]
    if not public:
        raise Terminal(
            f"{host} is an address of this machine or of a private network, which Samtal does not ask.",
            "Use a public address, or set ALLOW_PRIVATE_HOSTS if this server is yours and meant to be read.",
        )
    return public


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet; False for what is no IP address."""
    try:
        ip = _unwrapped(ip_address(address.split("%", 1)[0]))
    except ValueError:
        return False
    return ip.is_global and not ip.is_multicast


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one: mapped, 6to4 and NAT64 all lead to it."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
