"""Shards of datasets of ours, and plain tars, as units of an index."""

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.schema import Shard
from manifests.storage import is_local, read_ranges
from manifests.store import Dataset
from train.search.unit import COLUMNS, Picture
from train.search.unsafe import is_unsafe

_BATCH = 256
_TEXTS = ("url", "page_url", "source", "licence", "author")
_MAX_RECORD_BYTES, _MAX_TEXT = 1 << 20, 2_000  # of what strangers' tars say


@dataclass(frozen=True, kw_only=True)
class ShardUnit:
    """A shard, of a dataset of ours or a plain tar."""

    dataset: Dataset
    shard: Shard

    @property
    def place(self) -> str:
        root = self.dataset.root
        return str(root.resolve()) if is_local(root) else str(root)

    @property
    def name(self) -> str:
        return self.shard.tar.path

    @property
    def identity(self) -> str:
        # The index changes without the tar when a score is added.
        return f"{self.shard.tar.sha256} {self.shard.index.sha256}"

    def pictures(self) -> Iterator[Picture]:
        """Yield the shard's pictures in the order of its tar."""
        table = self.dataset.read_index(self.shard)
        tar = self.dataset.tar_path(self.shard)
        told = _records(tar) if "url" not in table.column_names else {}
        for start in range(0, len(table), _BATCH):
            rows = table.slice(start, _BATCH).to_pylist(maps_as_pydicts="lossy")
            places = [(tar, row["offset"], row["offset"] + row["num_bytes"]) for row in rows]
            for number, (row, data) in enumerate(zip(rows, read_ranges(places), strict=True), start):
                facts = told.get(row["key"], {})
                known = {name: row.get(name, _text_of(facts, name)) for name in COLUMNS}
                place = {"file": self.name, "number": number}
                yield Picture(data=data, row=known | place | {"unsafe": is_unsafe(facts | row)})


def _text_of(facts: Mapping[str, Any], name: str) -> str | None:
    """Return a text of a plain tar's record; what is no text is not what the name says."""
    found = facts.get(name) if name in _TEXTS else None
    return found[:_MAX_TEXT] if isinstance(found, str) else None


def _records(tar: Path) -> dict[str, dict[str, Any]]:
    """Return what the .json members of a plain tar say, by key, as img2dataset writes it."""
    found = {}
    with tar.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as members:
        for member in members:
            if not member.name.endswith(".json") or not member.isfile() or member.size > _MAX_RECORD_BYTES:
                continue
            content = members.extractfile(member)
            assert content is not None, member.name
            try:
                facts = json.loads(content.read())
            except (ValueError, RecursionError):
                continue
            if isinstance(facts, dict):
                found[f"{tar.stem}/{member.name.removesuffix('.json')}"] = facts
    return found
