"""Where the service may go: which URLs, which addresses.

The URL says little: a name may lead anywhere. What counts is the address that is connected to, see `network`.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Annotated

import httpx
from marshmallow import ValidationError
from marshmallow.validate import Length, Validator

from ..errors import AddressRefused

#: Ports below the ephemeral ones where HTTP is spoken; on the others are services that HTTP may harm, such as mail.
LOW_PORTS = (80, 443)
FIRST_HIGH_PORT = 1024

#: A name as it is asked for, after IDNA, or an address. httpx would let anything pass, percent-encoded.
HOST = re.compile(rb"[A-Za-z0-9._:-]+")

#: Where clouds answer machines with their secrets. Some look public, or like an intranet.
METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
)
#: Python counts these as global, or does so in some versions.
NOT_PUBLIC = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.88.99.0/24"),  # relays to IPv6, given up
    IPv6Network("2001::/23"),  # protocol assignments, with Teredo
    IPv6Network("3fff::/20"),  # documentation
)
#: All of IPv6 that is given out to hosts.
PUBLIC_IPV6 = IPv6Network("2000::/3")
#: IPv6 addresses that end in an IPv4 address, which is where the connection goes.
TRANSLATED = IPv6Network("64:ff9b::/96")


def problem_with_url(url: httpx.URL | str) -> str | None:
    """Say why the service doesn't go to a URL, wherever its name leads; None if it does."""
    try:
        parts = httpx.URL(url)
        port = parts.port
    except (httpx.InvalidURL, ValueError):
        return "Not a URL."
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.raw_host):
        return "Must be a URL that begins with http:// or https:// and names a host."
    if parts.userinfo:
        return "Must name no user and no password."
    if port is not None and not is_open_port(port):
        return "The port must be 80, 443 or one from 1024 on."
    return None


def is_open_port(port: int) -> bool:
    """Say whether the service connects to a port."""
    return port in LOW_PORTS or FIRST_HIGH_PORT <= port < 65536


class OnTheWeb(Validator):
    """Lets URLs pass that the service may go to, as far as the URL tells."""

    def __call__(self, value: str) -> str:
        """Return the URL, or raise ValidationError."""
        problem = problem_with_url(value)
        if problem is not None:
            raise ValidationError(problem)
        return value


#: The hint for a task's argument that is a URL.
WebAddress = Annotated[str, OnTheWeb(), Length(max=2000)]


def check_url(url: httpx.URL | str) -> None:
    """Raise AddressRefused for a URL that the service doesn't go to."""
    problem = problem_with_url(url)
    if problem is not None:
        raise AddressRefused(f"{str(url)[:200]}: {problem}")


def is_allowed(address: str, *, private: bool = False) -> bool:
    """Say whether the service may connect to an address; `private` allows those of intranets and of this machine.

    Never allowed are addresses of no host, of many hosts, and those that only mean the link they are used on.
    """
    found = _innermost(ip_address(address))
    if found in METADATA or found.is_multicast or found.is_unspecified or found.is_link_local:
        return False
    return _is_public(found) or (private and _is_private(found))


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return where a connection really goes: to the IPv4 address that an IPv6 address may hold."""
    if not isinstance(address, IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address not in PUBLIC_IPV6:
        return False
    return address.is_global and not address.is_reserved and not any(address in network for network in NOT_PUBLIC)


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    """Say whether it belongs to this machine or an intranet; the last are what providers give their customers."""
    return (
        address.is_loopback
        or (address.is_private and not address.is_reserved)
        or (isinstance(address, IPv4Address) and address in IPv4Network("100.64.0.0/10"))
    )
