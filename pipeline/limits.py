"""Limits of the fetch: of downloads, manners towards hosts, and how pictures are stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


def require(holds: bool, value: object, rule: str) -> None:
    """Raise ValueError naming the value and the rule that it breaks."""
    if not holds:
        raise ValueError(f"{rule}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Limits of a download and manners towards hosts."""

    engine: Literal["openwit", "img2dataset"] = "openwit"
    """img2dataset: the package itself downloads, decodes and resizes, for those who come from it. It asks no
    robots.txt, has no limits per host, and none of a download's time and bytes."""
    img2dataset_python: str = ""
    """The Python that has img2dataset (pip install img2dataset==1.47.0), if not this one."""
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
    """Downloads in flight in one worker at first; their number then follows what names and sockets bear."""
    min_concurrency: int = 4
    max_concurrency: int = 512
    max_buffered_mb: int = 128
    """Bytes of pictures that are coming in at once, in one worker; others wait in their hosts' hands."""
    per_host_concurrency: int = 4
    per_host_interval_s: float = 0.1
    """Least time between two requests to one host."""
    hosts_per_address: int = 4
    """All names on one address together are asked as much as so many hosts may be."""
    host_down_after: int = 5
    """Downloads in a row that a host must fail (no connection, no answer, or always busy) to be given up: its
    other pictures are then rejected as host_down without a request."""
    allowed_ports: tuple[int, ...] = (80, 443)
    """Ports that may be asked; hosts that connect-to names are asked at any."""
    respect_opt_out: bool = True
    """Keep out pictures whose X-Robots-Tag says noai, noimageai, noindex, noimageindex, noml or none, or
    whose site reserves the rights to mine them (TDM-Reservation)."""
    read_tdm_file: bool = True
    """Ask each host once for /.well-known/tdmrep.json, where such reservations stand, and respect it."""
    do_not_fetch: str = ""
    """File of what must never be asked for or kept (or several, with commas between), one per line:
    example.com, https://example.com/private/, https://*.example.com/*/me/*, sha256:HASH, md5:HASH,
    phash:HASH, pdq:HASH (needs the extra pdq), and what `manifests takedown` writes."""
    pairs_per_unit: int = 1_000
    """Pairs in one work unit: what is lost, at most, when a worker dies."""

    def __post_init__(self) -> None:
        for name in ("timeout_s", "connect_timeout_s"):
            require(
                getattr(self, name) > 0, getattr(self, name), f"fetch.{name.replace('_', '-')} must be > 0"
            )
        for name in (
            *("max_bytes", "max_tries", "min_concurrency", "per_host_concurrency", "hosts_per_address"),
            *("host_down_after", "max_buffered_mb", "pairs_per_unit"),
        ):
            require(
                getattr(self, name) >= 1, getattr(self, name), f"fetch.{name.replace('_', '-')} must be >= 1"
            )
        for name in ("max_redirects", "per_host_interval_s", "max_retry_after_s"):
            require(
                getattr(self, name) >= 0, getattr(self, name), f"fetch.{name.replace('_', '-')} must be >= 0"
            )
        between = self.min_concurrency <= self.concurrency <= self.max_concurrency
        require(
            between, self.concurrency, "fetch.concurrency must be from min-concurrency to max-concurrency"
        )


@dataclass(frozen=True, kw_only=True)
class Decode:
    """What decoding one picture may cost; a picture that costs more is dropped, and no other with it."""

    max_memory_mb: int = 1_000
    """Beyond what the decoder needs for itself. 100 million pixels take 700 to 900, those of a WebP 1,200."""
    max_cpu_s: float = 10.0
    """Seconds of processor time; a photo takes 0.005. Seconds in which nothing is done count a sixth."""

    def __post_init__(self) -> None:
        require(self.max_memory_mb >= 16, self.max_memory_mb, "decode.max-memory-mb must be >= 16")
        require(self.max_cpu_s > 0, self.max_cpu_s, "decode.max-cpu-s must be > 0")


ResizeMode = Literal["no", "border", "keep_ratio", "keep_ratio_largest", "center_crop"]
Format = Literal["jpeg", "png", "webp"]


@dataclass(frozen=True, kw_only=True)
class Encode:
    """How a picture is stored."""

    resize: ResizeMode = "keep_ratio"
    """keep_ratio: the shorter side becomes side-px. keep_ratio_largest: the longer one. center_crop: the
    shorter, and the rest is cut off. border: the longer, and white fills a square. no: sizes stay."""
    side_px: int = 256
    only_if_bigger: bool = True
    """Leave smaller pictures as they are in every mode: neither enlarged nor cropped nor padded."""
    format: Format = "jpeg"
    quality: int = 95
    """Of jpeg and webp, 1 to 100; png loses nothing."""
    pass_through: bool = True
    """Keep the compressed data of JPEGs that need no change (upright, sRGB, of the right size), without their
    metadata, when the format is jpeg."""

    def __post_init__(self) -> None:
        require(self.side_px >= 1, self.side_px, "encode.side-px must be >= 1")
        require(1 <= self.quality <= 100, self.quality, "encode.quality must be 1 to 100")


@dataclass(frozen=True, kw_only=True)
class Network:
    """How this run reaches hosts."""

    connect_to: tuple[str, ...] = ()
    contact: str = ""
    journal: Path | None = None
    """Where a search source writes down each answer as it comes, and finds those that a killed run had."""
