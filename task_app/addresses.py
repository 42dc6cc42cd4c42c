"""Network addresses: which never leave this machine, which belong together."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def is_loopback(address: str | None) -> bool:
    """Say whether an address, or the word localhost, never leaves this machine."""
    found = _read(address)
    return address == "localhost" if found is None else found.is_loopback


def neighbourhood(address: str | None) -> str:
    """Return the address; of IPv6, the network of which one customer has all addresses."""
    found = _read(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return str(found or address)


def _read(address: str | None) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address or "")
    except ValueError:
        return None
    # A socket for both families shows addresses of the older one like this.
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
