"""What comes of a request: an answer, a failure, and what is kept of a picture's way here."""

import datetime
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from multidict import CIMultiDictProxy

from filters.reasons import Drop
from pipeline.fetch.gate import Sign

MAX_FACT_CHARS = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """The final answer of a URL."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An answer that did not come."""

    drop: Drop
    passing: bool = False
    """Whether another try may help."""
    pause_s: float | None = None
    """The pause that the host asks for."""
    backoff_s: float = 1.0
    """The pause before a second try where it asks for none; it doubles with each further one."""
    is_hosts: bool = False
    """Whether it says that the host is down, rather than something about this URL."""
    sign: Sign = Sign.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """The bytes of a picture and the facts about their way here that stand in its row; none for one that was
    on this machine."""

    body: bytes
    http_status: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    final_url: str | None = None
    """Where redirects led; None where there was none."""
    robots: str | None = None
    """What robots.txt said: "allowed" or "no rules"."""
    opt_out: str | None = None
    """The headers and rules about opting out that were seen, also those that allow or are for others."""
    fetched_at: datetime.datetime | None = None
    """When its last byte was here; UTC, to the millisecond."""

    def facts(self) -> dict[str, Any]:
        """Return the columns of a row, bytes aside."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "body"}


def now() -> datetime.datetime:
    """Return the time as it is kept of a picture: UTC, to the millisecond."""
    exact = datetime.datetime.now(datetime.UTC)
    return exact.replace(microsecond=exact.microsecond // 1000 * 1000)


def fact(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header for a row: cut where it is long, with what is no text replaced."""
    value = headers.get(name)
    return plain(value) if value else None


def plain(text: str) -> str:
    """Return a text from a header as it can be written to a table."""
    return text[:MAX_FACT_CHARS].encode("utf-8", "replace").decode()


def retry_after_s(value: str | None) -> float:
    """Read a Retry-After header (seconds or a date); 1 s where there is none or it cannot be read.

    >>> retry_after_s("2"), retry_after_s(None), retry_after_s("soon")
    (2.0, 1.0, 1.0)
    """
    if value is None:
        return 1.0
    try:
        seconds = float(value)
        return 1.0 if math.isnan(seconds) else max(0.0, seconds)
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            return 1.0
