"""What a site's owner allows: robots.txt (RFC 9309) and the X-Robots-Tag of an answer."""

from collections.abc import Iterable

from protego import Protego

from filters.reasons import Drop, Reason

USER_AGENT_TOKEN = "openwit"
MAX_ROBOTS_BYTES = 500 * 1024  # RFC 9309, 2.5: parsers must read at least so much
OPT_OUTS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml", "none"})
# Rules that have a colon and a value; any other word before a colon names a crawler.
VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})


class RobotsRules:
    """The rules of one origin."""

    def __init__(self, status: int, body: bytes) -> None:
        """`status` and `body` are the final answer for /robots.txt: 2xx is parsed, 4xx allows all, any
        other forbids all (RFC 9309, 2.3.1)."""
        self._status = status
        self.absent = 400 <= status < 500
        self._parsed = Protego.parse(body.decode("utf-8-sig", "replace")) if 200 <= status < 300 else None

    def check(self, url: str) -> Drop | None:
        """Return why we may not fetch `url`, None where we may."""
        if self._parsed is not None:
            if self._parsed.can_fetch(url, USER_AGENT_TOKEN):
                return None
            return Drop(Reason.ROBOTS_DISALLOWED, f"robots.txt disallows {USER_AGENT_TOKEN}")
        if self.absent:
            return None
        return Drop(Reason.ROBOTS_DISALLOWED, f"robots.txt answered {self._status}")


def check_opt_out(tags: Iterable[str]) -> Drop | None:
    """Return the opt-out that X-Robots-Tag values hold for us: `noai`, or `openwit: noai` for us alone.

    >>> check_opt_out(["otherbot: noai", "max-snippet: 20"]) is None
    True
    >>> str(check_opt_out(["noarchive, NoAI"]))
    'opted_out: X-Robots-Tag: noai'
    """
    for tag in tags:
        agent = ""
        for part in tag.lower().split(","):
            before, colon, rule = part.strip().partition(":")
            if colon and before.strip() not in VALUED:
                agent = before.strip()
                part = rule
            if part.strip() in OPT_OUTS and agent in ("", USER_AGENT_TOKEN):
                return Drop(Reason.OPTED_OUT, f"X-Robots-Tag: {part.strip()}")
    return None
