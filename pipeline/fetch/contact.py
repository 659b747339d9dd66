"""Who asks must be findable: a fetch from many addresses needs a contact in the name that hosts see."""

from collections.abc import Iterable

from filters.urls import host_of
from pipeline.config import BuildConfig
from pipeline.fetch.guard import ConnectTo
from pipeline.limits import Network
from pipeline.parts import Part

MAX_URLS_WITHOUT_CONTACT = 1_000


def check_contact(parts: Iterable[Part], config: BuildConfig, network: Network) -> None:
    """Raise ValueError where these parts hold more URLs of other people's hosts than may be fetched without a
    contact. Pictures on this machine and hosts that connect_to names are nobody else's."""
    if network.contact.strip():
        return
    connect_to = ConnectTo.parse(network.connect_to)
    num_urls = 0
    for part in parts:
        for url in part.rows(["url"])["url"].to_pylist():
            ours = config.sources.owner_of(url) is not None or connect_to.find(host_of(url)) is not None
            num_urls += not ours
        if num_urls > MAX_URLS_WITHOUT_CONTACT:
            raise ValueError(
                f"fetch.contact is {network.contact!r}: who fetches more than {MAX_URLS_WITHOUT_CONTACT:,} "
                "URLs must say where site owners find them: run again with --fetch.contact ADDRESS-OR-PAGE"
            )
