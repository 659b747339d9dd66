"""How the search page is served."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """How the search page is served."""

    index: tyro.conf.Positional[Path]
    port: int = 8080
    """0 takes a free one."""
    host: str = "127.0.0.1"
    """An address of this machine; any other than this lets others in."""
    name: tuple[str, ...] = ()
    """Names by which browsers may ask for the page, beside localhost and addresses."""
    exact: bool = False
    """Look at every picture, also where there is an approximate index."""
    show_unsafe: bool = False
    """Also what a score or a column calls unsafe."""
    max_upload_bytes: int = 10 << 20
    """Of a picture to search by."""
    max_queries: int = 2
    """At the same time; 32 more may wait, the others are told to come back."""
    queries_per_s: float = 5.0
    """Of one client, on average; 20 at once."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"--port is {self.port}. Next: a number from 0 to 65535")
        try:
            ipaddress.ip_address(self.host)
        except ValueError as error:
            raise ValueError(
                f"--host {self.host} is no address. Next: 127.0.0.1, or 0.0.0.0 for all"
            ) from error
        for field in ("max_upload_bytes", "max_queries", "queries_per_s"):
            if not getattr(self, field) > 0:
                flag = field.replace("_", "-")
                raise ValueError(f"--{flag} is {getattr(self, field)}, must be above 0. Next: leave it out")

    def warning(self) -> str | None:
        """Return what somebody should know who lets others than this machine in; None for who does not."""
        if ipaddress.ip_address(self.host).is_loopback:
            return None
        return (
            f"warning: --host {self.host} lets everybody who reaches this machine search and see these "
            "pictures; there is no password"
        )
