"""The command line of takedowns."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from manifests.do_not_fetch import LIST_NAME
from manifests.places import Place
from manifests.takedown import take_down
from manifests.takedown.entries import KINDS, read_owner_list
from manifests.takedown.receipt import Signed
from manifests.takedown.request import Request


@dataclass(frozen=True, kw_only=True)
class Takedown:
    """Remove pairs for good: python -m manifests takedown runs/demo/dataset --domain example.com
    --reason 'asked for by the owner' --signed-by 'A. Person'
    """

    dataset: tyro.conf.Positional[Place]
    reason: str = ""
    """Why; stands in the receipt and in the manifest."""
    signed_by: str = ""
    """Who signs for it; the same."""
    url: tuple[str, ...] = ()
    """URLs of pictures, in any spelling."""
    domain: tuple[str, ...] = ()
    """Domains, of pictures and of pages, with everything under them."""
    page: tuple[str, ...] = ()
    """URLs of pages on which pictures were found."""
    sha256: tuple[str, ...] = ()
    """Hashes of pictures' bytes as they were fetched."""
    phash: tuple[str, ...] = ()
    """Perceptual hashes of pictures, 16 hex digits."""
    max_distance: int = 4
    """Bits in which a picture's perceptual hash may differ from one of --phash."""
    caption: tuple[str, ...] = ()
    """Whole captions, in any case and spacing."""
    owner_list: Path | None = None
    """A file with any of these, one a line, or a .csv with columns url, domain, page and so on."""
    do_not_fetch: Place | None = None
    """Your own list, for other builds' --fetch.do-not-fetch: gets digests of what was taken down, too."""
    work: Place | None = None
    """The folder in which the dataset was built, where that was not in it: what is left there is removed."""
    dry_run: bool = False
    """Only say how much would be taken down."""

    def run(self) -> int:
        """Take down, and say what was done and where the receipt is."""
        signed = Signed(by=self.signed_by, reason=self.reason)
        outcome = take_down(
            self.dataset, self.request(), signed, self.do_not_fetch, self.work, dry_run=self.dry_run
        )
        found, word = outcome.found, "would be " if self.dry_run else ""
        shards = len({*found.rows, *found.amended})
        print(
            f"{found.num_pairs:,} pairs {word}taken down, {shards} shards {word}written anew, "
            f"{found.num_rejections:,} rejections {word}made blank, "
            f"{found.num_amended:,} pairs {word}cleared of what they said of copies"
        )
        for receipt in outcome.receipts:
            print(f"receipt {self.dataset / receipt}, do-not-fetch list {self.dataset / LIST_NAME}")
        return 0

    def request(self) -> Request:
        """Return what is asked for."""
        entries = [(kind, text) for kind in KINDS for text in getattr(self, kind)]
        if self.owner_list:
            entries += read_owner_list(self.owner_list)
        return Request.of(entries, self.max_distance)
