"""Which addresses may be reached: public ones on allowed ports, and those that connect_to names.

Addresses are checked where names become addresses (see `names`), so that the address which was checked is
the one connected to, also behind a redirect or a name that changes its mind. Proxies that the environment
names are not used: a proxy would resolve names itself, and reach for us what must not be reached.
"""

import ipaddress
from dataclasses import dataclass

from yarl import URL

from filters.reasons import Drop, Reason

# IPv6 addresses that routers turn into IPv4 ones (RFC 6052), and all that are given out as public (RFC 4291).
NAT64 = ipaddress.ip_network("64:ff9b::/96")
PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
# What Python 3.11 calls global and yet is no server's own: protocol assignments (RFC 6890), relays of 6to4
# (RFC 7526) and every 6to4 address, which leads through them, documentation (RFC 9637).
NOT_SERVED = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "3fff::/20")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefusedError(OSError):
    """A name without an address that may be reached; the Drop says why."""

    def __init__(self, drop: Drop) -> None:
        super().__init__(str(drop))
        self.drop = drop


def check_address(address: str) -> Drop | None:
    """Refuse an IP address that is private, loopback, link-local, reserved or otherwise not public.

    >>> str(check_address("10.0.0.1"))
    'address_not_public: 10.0.0.1 is not a public address'
    >>> str(check_address("::ffff:127.0.0.1"))
    'address_not_public: ::ffff:127.0.0.1 is not a public address'
    """
    if _is_public(ipaddress.ip_address(address)):
        return None
    return Drop(Reason.ADDRESS_NOT_PUBLIC, f"{address} is not a public address")


def _is_public(ip: Address) -> bool:
    if any(ip.version == block.version and ip in block for block in NOT_SERVED):
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    nat64 = ipaddress.IPv4Address(ip.packed[12:]) if ip in NAT64 else None
    if carried := ip.ipv4_mapped or nat64:
        return _is_public(carried)
    return ip in PUBLIC_IPV6 and ip.is_global


def check_url(url: URL, allowed_ports: tuple[int, ...] | None) -> Drop | None:
    """Check what a URL itself says: credentials, an address in the place of a name, the port.

    `allowed_ports` None allows all, for services whose address the operator gave.
    """
    if "@" in url.raw_authority:
        return Drop(Reason.URL_INVALID, "a URL with credentials")
    host = url.raw_host or ""
    # Only what can be an address is parsed as one: an IPv4 address ends with a digit, an IPv6 one has colons.
    if host and (host[-1].isdigit() or ":" in host):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            if drop := check_address(host):
                return drop
    if allowed_ports is not None and url.port not in allowed_ports:
        return Drop(
            Reason.PORT_REFUSED, f"port {url.port} is not one of {', '.join(map(str, allowed_ports))}"
        )
    return None


@dataclass(frozen=True)
class ConnectTo:
    """Where names are really served; a key *.HOST stands for every name below HOST."""

    addresses: dict[str, tuple[str, int]]

    @classmethod
    def parse(cls, entries: tuple[str, ...]) -> "ConnectTo":
        """Read entries of the form HOST=ADDRESS:PORT."""
        addresses = {}
        for entry in entries:
            host, _, address = entry.partition("=")
            ip, _, port = address.rpartition(":")
            addresses[host.lower()] = (ip, int(port))
        return cls(addresses)

    def find(self, host: str) -> tuple[str, int] | None:
        """Return the address and port for a name, the exact entry before the domain's."""
        if not self.addresses:
            return None
        host = host.lower()
        domain = host.partition(".")[2]
        return self.addresses.get(host) or self.addresses.get(f"*.{domain}")
