"""Which addresses may be reached: public ones, and those that connect_to names.

Checked where names become addresses, so that the address which was checked is the one connected to, also
behind a redirect or a name that changes its mind.
"""

import ipaddress
import socket
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from filters.reasons import Drop, Reason

# IPv6 addresses that routers turn into IPv4 ones (RFC 6052), and all that are given out as public (RFC 4291).
NAT64 = ipaddress.ip_network("64:ff9b::/96")
PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefusedError(OSError):
    """A name whose address is not public."""


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
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    nat64 = ipaddress.IPv4Address(ip.packed[12:]) if ip in NAT64 else None
    if carried := ip.ipv4_mapped or ip.sixtofour or nat64:
        return _is_public(carried)
    return ip in PUBLIC_IPV6 and ip.is_global


def check_literal(url: URL) -> Drop | None:
    """Check a URL whose host is an address itself: the client resolves no name for it."""
    host = url.host or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return check_address(host)


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
        domain = host.partition(".")[2]
        return self.addresses.get(host) or self.addresses.get(f"*.{domain}")


class GuardedResolver(AbstractResolver):
    """Resolve names for aiohttp, connect_to first; raise AddressRefusedError for what is not public."""

    def __init__(self, connect_to: ConnectTo) -> None:
        self._connect_to = connect_to
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses that `host` may be reached at."""
        if found := self._connect_to.find(host.lower()):
            return [
                ResolveResult(
                    hostname=host, host=found[0], port=found[1], family=socket.AF_INET, proto=0, flags=0
                )
            ]
        results = await self._names.resolve(host, port, family)
        allowed = [result for result in results if check_address(result["host"]) is None]
        if not allowed:
            raise AddressRefusedError(f"{host} is at {results[0]['host']}, which is not a public address")
        return allowed

    async def close(self) -> None:
        """Release the resolver."""
        await self._names.close()
