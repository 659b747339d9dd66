"""The receipt of a takedown: who, when, why, what was done to which files; nothing of what was taken down."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.dates import now
from manifests.do_not_fetch import LIST_NAME, RECEIPTS
from manifests.schema import FileRecord, Shard
from manifests.store import Dataset, record_file, sha256_of_file, write_bytes
from manifests.takedown.find import Found
from manifests.takedown.request import Request


@dataclass(frozen=True, kw_only=True)
class Signed:
    """Who takes down, and why. Both stand in the dataset for good."""

    by: str
    reason: str

    def __post_init__(self) -> None:
        """Raise ValueError where either is missing."""
        for flag, text in (("signed-by", self.by), ("reason", self.reason)):
            if not text.strip():
                raise ValueError(f"{flag} is empty: say who signs for the takedown and why, for its receipt")

    def check(self, request: Request) -> None:
        """Raise ValueError where the reason repeats what is to be taken down."""
        said = f"{self.by} {self.reason}".casefold()
        if any(entry.casefold() in said for found in request.entries.values() for entry in found):
            raise ValueError("--reason repeats what is taken down, and stays in the dataset: word it without")


def write_receipt(
    dataset: Dataset,
    request: Request,
    found: Found,
    signed: Signed,
    touched: Sequence[tuple[Shard, Shard | None]],
    staged: Path,
) -> FileRecord:
    """Write takedowns/<number>.json, with its own checksum as its last field; return its record."""
    earlier = [file for file in dataset.manifest.files if file.path.startswith(f"{RECEIPTS}/")]
    path = staged / RECEIPTS / f"{len(earlier) + 1:05d}.json"
    said = {
        "at": now(),
        "signed_by": signed.by,
        "reason": signed.reason,
        "asked": request.counts,
        "max_distance": request.max_distance,
        "request_sha256": request.digest,
        "num_pairs": found.num_pairs,
        "num_pairs_amended": found.num_amended,
        "num_rejections": found.num_rejections,
        "content_hash_before": dataset.manifest.content_hash,
        "do_not_fetch_sha256": sha256_of_file(staged / LIST_NAME),
        "shards": [{"before": _of(old), "after": _of(new)} for old, new in touched],
    }
    write_bytes(path, receipt_bytes(said))
    return record_file(staged, path)


def receipt_bytes(said: dict[str, Any]) -> bytes:
    """Return a receipt as it is written; `checksum` covers every byte before it, as in a manifest."""
    body = json.dumps(said, indent=1, ensure_ascii=False)
    return f'{body[:-2]},\n "checksum": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'.encode()


def _of(shard: Shard | None) -> dict[str, Any] | None:
    """Return what is said of a shard."""
    if shard is None:
        return None
    return {
        "tar": shard.tar.path,
        "tar_sha256": shard.tar.sha256,
        "index": shard.index.path,
        "index_sha256": shard.index.sha256,
        "num_pairs": shard.num_pairs,
    }
