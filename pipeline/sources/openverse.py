"""Openverse: openly licensed pictures of many collections, by search over its API (version 1).

Without a token a client may make 20 requests a minute and 200 a day, of 20 results each; the defaults keep to
that, and a pause that the server asks for is waited out, if it be a day. Registered clients get more: put
OPENVERSE_CLIENT_ID and OPENVERSE_CLIENT_SECRET into the environment, or a token as OPENVERSE_TOKEN. Its terms
of use forbid to copy the catalogue as a whole: ask for what you need. Protocol: api.openverse.org/v1,
docs.openverse.org (authentication and throttling).
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode, urljoin

import aiohttp
import orjson

from pipeline.fetch.answers import Answer
from pipeline.fetch.client import open_client
from pipeline.limits import Fetch, Network, require
from pipeline.records import Candidate
from pipeline.sources.journal import Page
from pipeline.sources.search import OF_EACH, Refusal, Service

DAY_S = 86_400.0
TOKEN_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Openverse(Service):
    """Pictures found by a search for each term."""

    endpoint: str = ""
    """The address of its image search, https://api.openverse.org/v1/images/."""
    max_results_per_query: int = 240
    page_size: int = 20
    """Results per request: at most 20 without a token, 500 with one."""
    interval_s: float = 3.0
    """Least time between two requests: 20 a minute are allowed without a token."""
    max_retry_after_s: float = DAY_S

    name: ClassVar[str] = "openverse"
    licence: ClassVar[str] = OF_EACH

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.page_size <= 500, self.page_size, "openverse.page-size must be 1 to 500")

    def token(self, network: Network) -> str | None:
        """Return the environment's token, or a new one for its credentials. Raises OSError where the server
        does not take them."""
        return super().token(network) or asyncio.run(_new_token(self.endpoint, network))

    def request_url(self, term: str, position: Mapping[str, str]) -> str:
        """Return the address of one page of results."""
        parameters = {"q": term, "page_size": str(self.page_size), "page": "1"} | dict(position)
        return f"{self.endpoint}?{urlencode(parameters)}"

    def read_content(
        self, content: Any, term: str, position: Mapping[str, str], answer: Answer
    ) -> Page | Refusal:
        """Return the page; its number of pages says whether there is a next one."""
        page, num_pages = int(position.get("page", "1")), int(content["page_count"])
        records = [_to_candidate(result, term) for result in content["results"] if result.get("url")]
        return Page(records, {"page": str(page + 1)} if page < num_pages else {})

    def explain(self, answer: Answer) -> str:
        """Return the status and what the server says to it, such as that a page is too large."""
        try:
            detail = orjson.loads(answer.body)["detail"]
        except (orjson.JSONDecodeError, TypeError, LookupError):
            return f"status {answer.status}"
        return f"status {answer.status}: {str(detail)[:200]}"


def _to_candidate(result: dict[str, Any], term: str) -> Candidate:
    landing, author = result.get("foreign_landing_url"), result.get("creator")
    return Candidate(
        url=str(result["url"]),
        caption=str(result.get("title") or ""),
        source=Openverse.name,
        page_url=str(landing) if landing else None,
        found_by=term,
        licence=_licence(result),
        author=str(author) if author else None,
        caption_origin="title",
    )


def _licence(result: dict[str, Any]) -> str | None:
    """Return the licence as it is usually written: CC BY-SA 4.0, CC0 1.0, PDM 1.0."""
    code = str(result.get("license") or "").upper()
    if not code:
        return None
    name = f"CC {code}" if code.startswith("BY") else code
    return f"{name} {result.get('license_version') or ''}".strip()


async def _new_token(endpoint: str, network: Network) -> str | None:
    """Return a token for the environment's credentials, None without any (OAuth 2, RFC 6749, 4.4)."""
    client_id, secret = os.environ.get("OPENVERSE_CLIENT_ID"), os.environ.get("OPENVERSE_CLIENT_SECRET")
    if not client_id or not secret:
        return None
    url = urljoin(endpoint, "/v1/auth_tokens/token/")
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    try:
        async with (
            asyncio.timeout(TOKEN_TIMEOUT_S),
            open_client(network, Fetch()) as client,
            client.session.post(url, data=form, allow_redirects=False) as response,
        ):
            body = await response.read()
            return str(orjson.loads(body)["access_token"])
    except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError, TypeError, LookupError) as error:
        raise OSError(
            f"openverse gave no token for OPENVERSE_CLIENT_ID ({type(error).__name__}): check it and its "
            "secret, or unset both to ask without"
        ) from None
