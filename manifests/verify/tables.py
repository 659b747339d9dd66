"""The tables beside the shards: do they say what the manifest and the indexes say?"""

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from manifests.schema import QUERY_SCHEMA, REJECTION_SCHEMA, SAMPLE_SCHEMA, Manifest
from manifests.storage import read_bytes, read_schema, read_table
from manifests.verify.pairs import BROKEN
from manifests.versions import is_of, read_coverage, read_queries

# Counted are rows of rejections by (stage, reason).
Reasons = Counter[tuple[str, str]]
Hits = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # terms, and pairs that have each
OTHER_COLUMNS = "has other columns than the format's"
# What reading a table or a tar raises that is none, or a broken one.
UNREADABLE = (OSError, ValueError, LookupError, pa.ArrowException, tarfile.TarError)


def reasons_in(path: Path) -> tuple[Reasons, str | None]:
    """Return how many rows of a table of rejections have each stage and reason, and what is wrong with it."""
    if not is_of(REJECTION_SCHEMA, read_schema(path)):
        return Reasons(), OTHER_COLUMNS
    table = read_table(path, ["stage", "reason"])
    rows = table.group_by(["stage", "reason"]).aggregate([([], "count_all")]).to_pylist()
    return Reasons({(row["stage"], row["reason"]): row["count_all"] for row in rows}), None


def funnel_problems(manifest: Manifest, found: Reasons) -> Iterator[str]:
    """Yield where the funnel counts other drops than there are rejections."""
    told = Reasons(
        {(stage.stage, reason): n for stage in manifest.funnel for reason, n in stage.dropped.items()}
    )
    for stage, reason in sorted(told.keys() | found.keys(), key=str):
        if told[stage, reason] != (there := found[stage, reason]):
            yield f"stage {stage} drops {told[stage, reason]} for {reason}, there are {there} rejections"


def sizes_problems(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield how sizes.json differs from the shards."""
    told = json.loads(read_bytes(root / "shards" / "sizes.json"))
    if told != {Path(shard.tar.path).name: shard.num_pairs for shard in manifest.shards}:
        yield "does not give each tar its number of pairs, as the manifest does"


def query_problems(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield how the search terms differ from what the manifest says of them."""
    if not is_of(QUERY_SCHEMA, read_schema(root / "queries.parquet")):
        yield OTHER_COLUMNS
        return
    queries = read_queries(root)
    if len(queries) != manifest.num_queries:
        yield f"has {len(queries)} rows, num_queries of the manifest is {manifest.num_queries}"
    if queries["query_id"].to_pylist() != list(range(len(queries))):
        yield "its numbers are not 0, 1, 2, ..."
    text = "".join(f"{query}\n" for query in queries["text"].to_pylist())
    if sha256(text.encode()).hexdigest() != manifest.queries_sha256:
        yield "its terms are not those that queries_sha256 of the manifest covers"


def hits_problems(root: Path, hits: npt.NDArray[np.int64], extended: bool) -> Iterator[str]:
    """Yield the terms that have another number of pairs in the indexes, `hits` (number of terms,), than
    queries.parquet says. In a dataset that was extended, terms that came later may have more: those in
    captions of pairs whose index was written before them."""
    queries = read_queries(root)
    kept = queries["num_kept"].to_numpy()
    wrong = np.flatnonzero((hits > kept) if extended else (hits != kept))
    for place in wrong:
        term = queries["text"][int(place)].as_py()
        yield f"num_kept of {term!r} is {kept[place]}, {hits[place]} pairs in the indexes have it"


def coverage_problems(root: Path) -> Iterator[str]:
    """Yield the origins of which coverage.parquet and queries.parquet count another number of hits; none
    where it has no rows, as in what was made of the first version's datasets, which had none."""
    if not len(read_coverage(root)):
        return
    coverage, queries = (_kept_by_origin(table) for table in (read_coverage(root), read_queries(root)))
    for origin in sorted(coverage.keys() | queries.keys()):
        if coverage[origin] != queries[origin]:
            yield f"num_kept of {origin} sums to {coverage[origin]}, in queries.parquet to {queries[origin]}"


def _kept_by_origin(table: pa.Table) -> Counter[str]:
    sums = table.group_by("origin").aggregate([("num_kept", "sum")]).to_pylist()
    return Counter({row["origin"]: row["num_kept_sum"] for row in sums if row["num_kept_sum"]})


def sample_problems(root: Path, rejected: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Yield what is wrong with the samples: columns, more of a kind than were rejected, pictures."""
    table = read_table(root / "samples.parquet")
    if not is_of(SAMPLE_SCHEMA, table.schema):
        yield OTHER_COLUMNS
        return
    kinds = Counter(zip(table["stage"].to_pylist(), table["reason"].to_pylist(), strict=True))
    for (stage, reason), count in kinds.items():
        if count > rejected.get((stage, reason), 0):
            yield f"has {count} samples of {stage}, {reason}, of which there are fewer rejections"
    for place, data in enumerate(table["thumbnail"].to_pylist()):
        if data is not None and not _decodes(data):
            yield f"the thumbnail of row {place} does not decode"


def _decodes(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            picture.load()
    except BROKEN:
        return False
    return True


def count_hits(index: pa.Table, num_queries: int) -> Hits | None:
    """Return what terms the pairs of an index have, and how many have each; None where one is none of the
    dataset's."""
    terms, counts = np.unique(pc.list_flatten(index["query_ids"]).to_numpy(), return_counts=True)
    if len(terms) and not 0 <= terms[0] <= terms[-1] < num_queries:
        return None
    return terms.astype(np.int64), counts.astype(np.int64)
