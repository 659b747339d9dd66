"""What a finished dataset knows: the URLs that were asked for, and the captions that stood at them.

An addition must ask for none of them again. They are looked up by 64-bit hashes, 8 bytes a URL, in as many
buckets as its own pairs: a bucket of each is in memory, never all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.reasons import Reason
from filters.sampling import priority
from filters.urls import canonical_url
from manifests.schema import Manifest
from manifests.storage import Anywhere, read_table
from manifests.store import write_table
from pipeline.blocks import GroupBlocks, split, unpack
from pipeline.parts import IndexPart, Part, index_parts

# Rejections of these stages were not asked for: what a stage after them drops had been fetched, or tried.
NEVER_ASKED = ("crawl", "match", "text", "distinct", "cap")
KNOWN_SCHEMA = pa.schema([("hash", pa.uint64())])


@dataclass(frozen=True, slots=True)
class AskedPart(Part):
    """A table of rejections, read as the pairs in it that were asked for."""

    and_common: bool = False
    """Also those whose captions stood at too many URLs."""

    def rows(self, columns: list[str] | None = None) -> pa.Table:
        """Return its rows that count."""
        table = read_table(self.path, columns and [*{*columns, "stage", "reason"}])
        chosen = pc.invert(pc.is_in(table["stage"], pa.array(NEVER_ASKED)))
        if self.and_common:
            chosen = pc.or_(chosen, pc.equal(table["reason"], str(Reason.CAPTION_COMMON)))
        return table.filter(chosen).select(columns or table.column_names)


def asked_of(dataset: Path, manifest: Manifest, and_common: bool = False) -> list[Part]:
    """Return the pairs of a dataset that were asked for, kept or not: parts with at least url and caption."""
    tables = sorted(file.path for file in manifest.files if file.path.startswith("rejections/"))
    return [
        *index_parts(dataset),
        *(AskedPart(dataset / "rejections", Path(name).stem, and_common) for name in tables),
    ]


def num_asked(manifest: Manifest) -> int:
    """Return how many pairs were asked for, as the funnel says."""
    asked = (stage for stage in manifest.funnel if stage.stage not in NEVER_ASKED)
    return manifest.num_pairs + sum(sum(stage.dropped.values()) for stage in asked)


@dataclass(frozen=True)
class Known:
    """The hashes of known URLs by bucket, as `FindKnown` has written them, and the captions beside them."""

    folder: Path
    num_buckets: int
    captions: tuple[Part, ...] = ()

    def has(self, bucket: int, urls: list[str]) -> np.ndarray:
        """Return bool (N,): which of the URLs of a bucket are known. Two URLs in 1.8e19 are taken for one."""
        path = _path(self.folder, bucket)
        hashes = np.fromiter(map(priority, urls), dtype=np.uint64, count=len(urls))
        if not path.exists():
            return np.zeros(len(urls), dtype=bool)
        known = read_table(path)["hash"].to_numpy()
        found: np.ndarray = known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes
        return found


class FindKnown(beam.PTransform):
    """Parts of pairs that were asked for -> the sorted hashes of their URLs in `out`, a table a bucket."""

    def __init__(self, parts: list[Part], num_buckets: int, out: Path) -> None:
        super().__init__()
        self.parts, self.num_buckets, self.out = parts, num_buckets, out

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return (
            begin
            | "each part that was asked for" >> beam.Create(self.parts)
            | "hashes" >> beam.FlatMap(_hashes, num_buckets=self.num_buckets)
            | "by hash" >> GroupBlocks()
            | "sort" >> beam.Map(_write_hashes, out=self.out)
        )


def _hashes(part: Part, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Yield the hashes of a part's URLs, and of the addresses to which redirects led, by bucket."""
    columns = ["url", "final_url"] if isinstance(part, IndexPart) else ["url"]
    table = part.rows(columns)
    urls = table["url"].to_pylist()
    if "final_url" in columns:
        urls += filter(None, map(canonical_url, table["final_url"].drop_null().to_pylist()))
    hashes = np.fromiter(map(priority, urls), dtype=np.uint64, count=len(urls))
    buckets = (hashes % np.uint64(num_buckets)).astype(np.int64)
    yield from split(pa.table([hashes], schema=KNOWN_SCHEMA), buckets)


def _write_hashes(group: tuple[int, Iterable[bytes]], out: Anywhere) -> str:
    bucket, blocks = group
    hashes = np.unique(unpack(blocks, sort_by="hash")["hash"].to_numpy())
    write_table(_path(out, bucket), pa.table([hashes], schema=KNOWN_SCHEMA))
    return f"{bucket:05d}"


def _path(folder: Path, bucket: int) -> Path:
    return folder / f"{bucket:05d}.parquet"
