"""Captions that stand at very many addresses say nothing of any picture: counted over the whole dataset."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa

from filters.reasons import Drop, Reason
from filters.sampling import priority
from filters.words import words_of
from manifests.storage import Anywhere
from manifests.store import write_table
from pipeline.blocks import GroupBlocks, split, unpack
from pipeline.parts import REJECTIONS, Part
from pipeline.records import reject, rejections_table

OWN = -1


class DropCommonCaptions(beam.PTransform):
    """Names of the written parts of a folder -> the same names, the parts without captions at too many URLs.

    The pairs in the parts have distinct URLs. Captions are compared by their words.
    """

    def __init__(
        self, folder: Path, max_urls: int, stage: str, num_buckets: int, before: Sequence[Part] = ()
    ) -> None:
        """`before`: pairs of an earlier build, whose captions count, too."""
        super().__init__()
        self.folder, self.max_urls, self.stage, self.num_buckets = folder, max_urls, stage, num_buckets
        self.before = before

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        written = names | "each part" >> beam.Map(lambda name, folder: Part(folder, name), self.folder)
        before = names.pipeline | "each part of an earlier build" >> beam.Create(self.before)
        common = (
            (written, before)
            | "all parts" >> beam.Flatten()
            | "count captions" >> beam.FlatMap(count_captions, self.num_buckets)
            | "by caption" >> GroupBlocks()
            | "find common ones" >> beam.FlatMap(find_common, self.max_urls)
        )
        return names | "drop common ones" >> beam.Map(
            drop_common, beam.pvalue.AsDict(common), self.folder, self.max_urls, self.stage
        )


def caption_hash(caption: str) -> int:
    """Return 63 bits, which is what a key may have, of a caption's words, case and signs aside."""
    return priority(words_of(caption)) >> 1


def hashes_of(part: Part) -> np.ndarray:
    """Return int64 (N,): the hash of each row's caption; OWN where the picture is one of this machine, whose
    captions are its owner's choice ("a photo of a cat." for a folder of cats)."""
    rows = part.rows(["url", "caption"]).to_pylist()
    hashes = (caption_hash(row["caption"]) if row["url"].startswith("http") else OWN for row in rows)
    return np.fromiter(hashes, dtype=np.int64, count=len(rows))


def count_captions(part: Part, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Yield (bucket, block) of a part's distinct captions, as hashes, and how often each stands there."""
    hashes = hashes_of(part)
    hashes, counts = np.unique(hashes[hashes != OWN], return_counts=True)
    yield from split(pa.table({"hash": hashes, "count": counts}), hashes % num_buckets)


def find_common(group: tuple[int, Iterable[bytes]], max_urls: int) -> Iterator[tuple[int, int]]:
    """Yield (hash, count) of the captions of a bucket that stand more often than they may."""
    table = unpack(group[1], sort_by="hash")
    hashes, which = np.unique(table["hash"].to_numpy(), return_inverse=True)
    counts = np.zeros(len(hashes), dtype=np.int64)
    np.add.at(counts, which, table["count"].to_numpy())
    for place in np.flatnonzero(counts > max_urls):
        yield int(hashes[place]), int(counts[place])


def drop_common(name: str, common: dict[int, int], folder: Anywhere, max_urls: int, stage: str) -> str:
    """Rewrite a part without common captions, and say why they are gone; leave a part without them alone.

    What a killed run has rewritten has none left, and is not touched again.
    """
    part = Part(folder, name)
    hashes = hashes_of(part) if common else np.zeros(0, dtype=np.int64)
    is_common = np.isin(hashes, np.fromiter(common, dtype=np.int64, count=len(common)))
    if is_common.any():
        rows = part.rows()
        rejections = [
            reject(stage, _too_common(common[int(hash_)], max_urls), row)
            for hash_, row in zip(
                hashes[is_common], rows.filter(pa.array(is_common)).to_pylist(), strict=True
            )
        ]
        # The reasons first: once the rows are gone, no one could tell them.
        write_table(folder / f"common-{name}{REJECTIONS}", rejections_table(rejections))
        write_table(part.path, rows.filter(pa.array(~is_common)))
    return name


def _too_common(count: int, max_urls: int) -> Drop:
    return Drop(Reason.CAPTION_COMMON, f"stands at {count} URLs > {max_urls}")
