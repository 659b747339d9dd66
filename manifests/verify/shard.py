"""One file or one shard of a dataset, checked by itself: what a worker does."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.fetch_times import fetch_times_path, fetch_times_problem
from manifests.schema import INDEX_SCHEMA, FileRecord, Shard
from manifests.storage import read_bytes
from manifests.store import sha256_of_file
from manifests.verify.found import Found, Plan
from manifests.verify.headers import Layout
from manifests.verify.keys import key_hashes
from manifests.verify.pairs import key_problems, pair_problems
from manifests.verify.tables import OTHER_COLUMNS, UNREADABLE, count_hits, reasons_in
from manifests.verify.tar import TarRead, picture_ending, read_tar, tar_problems
from manifests.versions import is_of

PLACES = ["key", "offset", "num_bytes", "caption"]  # what says where members lie
KEY = "^[0-9a-f]{32}$"


def check_file(plan: Plan, record: FileRecord, known: bool) -> Found:
    """Check a file that is no shard's; one that is `known` to be as recorded is not hashed again."""
    found = Found()
    if not known:
        found.add(record.path, file_problems(plan.root, record))
    if record.path.startswith("rejections/"):
        try:
            found.reasons, problem = reasons_in(plan.root / record.path)
        except FileNotFoundError:
            return found  # which was said
        except UNREADABLE as error:
            problem = unreadable(error)
        found.add(record.path, filter(None, [problem]))
    return found


def file_problems(root: Path, record: FileRecord) -> Iterator[str]:
    """Yield how a file differs from its record."""
    path = root / record.path
    try:
        if (size := path.stat().st_size) != record.num_bytes:
            yield other_size(size, record)
        elif (digest := sha256_of_file(path)) != record.sha256:
            yield other_hash(digest, record)
    except OSError as error:
        yield unreadable(error)


def check_shard(plan: Plan, shard: Shard, known: bool) -> Found:
    """Check a shard: its index, its tar, what lies beside them. Of one that is `known` to be right only what
    is compared with others is read."""
    found = Found()
    index = read_index(plan, shard, found, known)
    if known:
        return found
    agrees = check_tar(plan, shard, index, found)
    if index is None:
        return found
    check_times(plan, shard, index, found)
    if plan.deep:
        found.add(shard.index.path, key_problems(index))
    if plan.deep and agrees and len(index):
        tar = plan.root / shard.tar.path
        found.add(shard.tar.path, pair_problems(tar, index, picture_ending(tar), plan.keeps_ratio))
    return found


def read_index(plan: Plan, shard: Shard, found: Found, known: bool) -> pa.Table | None:
    """Return the index of a shard, all of it for a deep look; None where it cannot be relied on."""
    record = shard.index
    try:
        data = read_bytes(plan.root / record.path)
        if not known:
            found.add(record.path, bytes_problems(data, record))
        file = pq.ParquetFile(pa.BufferReader(data))
        if not is_of(INDEX_SCHEMA, file.schema_arrow):
            found.add(record.path, [OTHER_COLUMNS])
            return None
        columns = ["key", "query_ids"] if known else None if plan.deep else PLACES
        index = file.read(columns)
        problems = list(index_problems(index, shard))
        found.add(record.path, problems)
        if unreliable(index):
            return None
        if plan.deep:
            index.validate(full=True)
            found.hits = count_hits(index, plan.num_queries)
            found.add(record.path, [] if found.hits else ["query_ids names terms that queries.parquet lacks"])
    except UNREADABLE as error:
        found.add(record.path, [unreadable(error)])
        return None
    found.keys = key_hashes(index["key"])
    return index


def bytes_problems(data: bytes, record: FileRecord) -> Iterator[str]:
    """Yield how the bytes of a file differ from its record."""
    if len(data) != record.num_bytes:
        yield other_size(len(data), record)
    elif (digest := hashlib.sha256(data).hexdigest()) != record.sha256:
        yield other_hash(digest, record)


def index_problems(index: pa.Table, shard: Shard) -> Iterator[str]:
    """Yield what is wrong with the rows of an index."""
    if len(index) != shard.num_pairs:
        yield f"has {len(index)} rows, the manifest says {shard.num_pairs}"
    for name in PLACES:
        if name in index.column_names and (count := index[name].null_count):
            yield f"{name} is null in {count} rows"
    others = pc.sum(pc.invert(pc.match_substring_regex(index["key"], KEY))).as_py()
    if others:
        yield f"{others} keys are not 32 hex digits"


def unreliable(index: pa.Table) -> bool:
    """Return whether nothing can be compared with an index: values are missing, or keys are none."""
    nulls = any(index[name].null_count for name in PLACES if name in index.column_names)
    return nulls or pc.all(pc.match_substring_regex(index["key"], KEY)).as_py() is False


def check_tar(plan: Plan, shard: Shard, index: pa.Table | None, found: Found) -> bool:
    """Check a tar; return whether its members are those of its index, as far as there is one."""
    record, path = shard.tar, plan.root / shard.tar.path
    try:
        read = read_tar(path, Layout.of(index) if index is not None else None)
        found.add(record.path, read_problems(read, record))
        if index is None or read.agrees:
            return read.agrees
        problems = list(tar_problems(path, index))
    except UNREADABLE as error:
        found.add(record.path, [unreadable(error)])
        return False
    found.add(record.path, problems)
    return not problems


def read_problems(read: TarRead, record: FileRecord) -> Iterator[str]:
    """Yield how a tar that was read differs from its record."""
    if read.num_bytes != record.num_bytes:
        yield other_size(read.num_bytes, record)
    elif read.sha256 != record.sha256:
        yield other_hash(read.sha256, record)


def check_times(plan: Plan, shard: Shard, index: pa.Table, found: Found) -> None:
    """Check the fetch times beside an index, where there are any."""
    path = fetch_times_path(plan.root, shard)
    try:
        problem = fetch_times_problem(plan.root, shard, index["key"])
    except UNREADABLE as error:
        problem = unreadable(error)
    found.add(path.relative_to(plan.root).as_posix(), filter(None, [problem]))


def unreadable(error: Exception) -> str:
    """Return what an error says of a file."""
    return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {type(error).__name__}"


def other_size(size: int, record: FileRecord) -> str:
    """Return what is said of a file of another size."""
    return f"has {size} bytes, the manifest says {record.num_bytes}"


def other_hash(digest: str, record: FileRecord) -> str:
    """Return what is said of a file of another hash."""
    return f"has sha256 {digest[:12]}..., the manifest says {record.sha256[:12]}..."
