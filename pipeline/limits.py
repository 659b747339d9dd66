"""Limits of the fetch: of downloads, manners towards hosts, and how pictures are stored."""

from dataclasses import dataclass
from pathlib import Path


def require(holds: bool, value: object, rule: str) -> None:
    """Raise ValueError naming the value and the rule that it breaks."""
    if not holds:
        raise ValueError(f"{rule}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Limits of a download and manners towards hosts."""

    contact: str = ""
    """An address or page where a site's owner finds you; it goes into the User-Agent."""
    timeout_s: float = 20.0
    """Deadline of one download, redirects included."""
    connect_timeout_s: float = 5.0
    max_bytes: int = 30_000_000
    """A larger picture is given up while it streams."""
    max_redirects: int = 5
    max_tries: int = 3
    """Tries of one URL when the host is busy (429, 5xx) or drops the connection."""
    max_retry_after_s: float = 60.0
    """A host that asks for a longer pause is given up for that URL."""
    concurrency: int = 64
    """Downloads in flight in one worker."""
    per_host_concurrency: int = 4
    per_host_interval_s: float = 0.1
    """Least time between two requests to one host."""
    respect_opt_out: bool = True
    """Keep out pictures whose X-Robots-Tag says noai, noimageai, noindex, noimageindex, noml or none."""
    pairs_per_unit: int = 1_000
    """Pairs in one work unit: what is lost, at most, when a worker dies."""

    def __post_init__(self) -> None:
        for name in ("timeout_s", "connect_timeout_s"):
            require(
                getattr(self, name) > 0, getattr(self, name), f"fetch.{name.replace('_', '-')} must be > 0"
            )
        for name in ("max_bytes", "max_tries", "concurrency", "per_host_concurrency", "pairs_per_unit"):
            require(
                getattr(self, name) >= 1, getattr(self, name), f"fetch.{name.replace('_', '-')} must be >= 1"
            )
        for name in ("max_redirects", "per_host_interval_s", "max_retry_after_s"):
            require(
                getattr(self, name) >= 0, getattr(self, name), f"fetch.{name.replace('_', '-')} must be >= 0"
            )


@dataclass(frozen=True, kw_only=True)
class Encode:
    """How a picture is stored."""

    shorter_side_px: int = 256
    """Larger pictures are scaled down to this shorter side, their ratio kept; smaller ones stay."""
    jpeg_quality: int = 95

    def __post_init__(self) -> None:
        require(self.shorter_side_px >= 1, self.shorter_side_px, "encode.shorter-side-px must be >= 1")
        require(1 <= self.jpeg_quality <= 100, self.jpeg_quality, "encode.jpeg-quality must be 1 to 100")


@dataclass(frozen=True, kw_only=True)
class Network:
    """How this run reaches hosts."""

    connect_to: tuple[str, ...] = ()
    contact: str = ""
    journal: Path | None = None
    """Where a search source writes down each answer as it comes, and finds those that a killed run had."""
