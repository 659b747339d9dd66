"""URLs: one spelling for each address, its host, and the rules that refuse some. No network, no DNS."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit, urlunsplit

from filters.reasons import Drop, Reason

_DEFAULT_PORTS = {"http": 80, "https": 443}
# What browsers drop from a URL wherever it stands; spaces inside are percent-encoded instead.
_DROPPED = dict.fromkeys(map(ord, "\t\n\r"))
_NOT_IN_HOST = re.compile(r"[\x00-\x20\x7f#%/:<>?@\[\\\]^|]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# RFC 3986: the characters that mean something in a path or query are kept as they were written.
_KEPT_IN_PATH = "!$&'()*+,;=:@/%"
_KEPT_IN_QUERY = _KEPT_IN_PATH + "?"


def canonical_url(url: str) -> str | None:
    """Return the one spelling of an http or https URL; None where `url` is no such thing.

    Scheme and host in lower case, the host in punycode, no default port, no fragment, "/" for an empty path,
    dot segments resolved, percent-encoding normalised (RFC 3986, sec. 6.2.2). A URL that carries credentials
    is refused. Idempotent; never raises.

    >>> canonical_url(" HTTPS://Bücher.Example:443/a%7eb/../c d.jpg?q=é#top ")
    'https://xn--bcher-kva.example/c%20d.jpg?q=%C3%A9'
    >>> canonical_url("https://user:secret@example.com/") is None
    True
    """
    try:
        parts = urlsplit(url.strip().translate(_DROPPED))
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or "@" in parts.netloc:
        return None
    host = _canonical_host(parts)
    if host is None or port == 0:
        return None
    netloc = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    path = _without_dot_segments(_encoded(parts.path, _KEPT_IN_PATH)) or "/"
    return urlunsplit((scheme, netloc, path, _encoded(parts.query, _KEPT_IN_QUERY), ""))


def host_of(url: str) -> str:
    """Return the host of a canonical URL, without its port; "" where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def blocked_domain(host: str, domains: frozenset[str]) -> str:
    """Return which of `domains` a host is or lies under; "" where it is none.

    >>> blocked_domain("img.example.com", frozenset({"example.com"}))
    'example.com'
    """
    while host and host not in domains:
        host = host.partition(".")[2]
    return host


def _canonical_host(parts: SplitResult) -> str | None:
    host = parts.hostname
    if not host:
        return None
    if ":" in host:  # an IPv6 address; urlsplit has checked it
        return f"[{host}]" if "%" not in host else None
    host = host.rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii").lower().rstrip(".")
        except UnicodeError:
            return None
    labels = host.split(".")
    if _NOT_IN_HOST.search(host) or len(host) > 253 or any(not 1 <= len(label) <= 63 for label in labels):
        return None
    return host


def _encoded(text: str, kept: str) -> str:
    """Encode what must be encoded, decode what need not be, write escapes in upper case."""
    text = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    text = _ESCAPE.sub(_canonical_escape, text)
    return quote(text, safe=kept, errors="replace")


def _canonical_escape(escape: re.Match[str]) -> str:
    (byte,) = unquote_to_bytes(escape[0])
    return chr(byte) if byte in _UNRESERVED else escape[0].upper()


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)


def _shipped_domains() -> tuple[str, ...]:
    lines = (Path(__file__).parent / "data" / "unsafe_domains.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True, kw_only=True)
class UrlRules:
    """Addresses that are never asked for: takedowns, and sites whose owners said no."""

    use_shipped_list: bool = True
    """Leave alone the pornographic sites of filters/data/unsafe_domains.txt."""
    blocked_domains: tuple[str, ...] = ()
    """Domains to leave alone, with everything under them: "example.com" covers "img.example.com"."""
    blocked_urls: tuple[str, ...] = ()
    """Single addresses to leave alone, in any spelling."""

    def __post_init__(self) -> None:
        """Raise ValueError at a domain or URL that could never match."""
        for domain in self.blocked_domains:
            if host_of(canonical_url(f"http://{domain.removeprefix('.')}/") or "") == "" or "/" in domain:
                raise ValueError(f"blocked domain {domain!r} is no host name: write it as example.com")
        for url in self.blocked_urls:
            if canonical_url(url) is None:
                raise ValueError(f"blocked URL {url!r} is no http or https URL: write it in full")

    @cached_property
    def _domains(self) -> frozenset[str]:
        domains = self.blocked_domains + (_shipped_domains() if self.use_shipped_list else ())
        hosts = (canonical_url(f"http://{domain.removeprefix('.')}/") for domain in domains)
        return frozenset(host_of(host or "") for host in hosts)

    @cached_property
    def _urls(self) -> frozenset[str | None]:
        return frozenset(map(canonical_url, self.blocked_urls))

    def check(self, url: str) -> Drop | None:
        """Return why a canonical URL may not be asked for; None allows it."""
        if url in self._urls:
            return Drop(Reason.URL_BLOCKED, "this URL is on the block list")
        if domain := blocked_domain(host_of(url), self._domains):
            return Drop(Reason.URL_BLOCKED, f"domain {domain} is on the block list")
        return None
