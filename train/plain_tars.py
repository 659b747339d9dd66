"""Plain webdataset tars, without a manifest, as a dataset that the reader takes. Each is indexed once:

index-of-tars/NAME-SIZE.parquet   a row for each sample with a picture and a caption; a tar of another size
                                  gets another index

Indexes lie beside the tars, or in the user's cache folder where nothing can be written there.
"""

import errno
import hashlib
import json
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

import pyarrow as pa

from manifests.braces import expanded
from manifests.schema import FileRecord, Manifest, Shard, StageCount
from manifests.storage import can_list, read_table
from manifests.store import (
    MANIFEST_NAME,
    Dataset,
    DatasetError,
    content_hash,
    open_dataset,
    record_file,
    write_table,
)
from train.distributed import is_first, num_processes, rank

FOLDER = "index-of-tars"
NUM_THREADS = 8  # each with some megabytes of a tar that lies elsewhere
PICTURES = ("jpg", "jpeg", "png", "webp")
_SCHEMA = pa.schema(
    [("key", pa.string()), ("offset", pa.int64()), ("num_bytes", pa.int64()), ("caption", pa.string())]
)
_UNUSABLE = "sample_without_picture_or_caption"


@dataclass(frozen=True)
class PlainTars(Dataset):
    """Tars as a dataset; `indexes` is the folder that its indexes are told relative to."""

    indexes: Path

    def index_path(self, shard: Shard) -> Path:
        """Return where the shard's index lies."""
        return self.indexes / shard.index.path


def open_pairs(place: Path) -> Dataset:
    """Return the dataset at a place: one of ours, or tars, which are indexed where they were not: a folder of
    them, or names as a pattern of braces, such as https://host/{00000..00041}.tar.

    Raises DatasetError where there is neither.
    """
    if place.suffix == ".tar":
        return _of_tars(place.parent, [place.parent / name for name in expanded(place.name)])
    if (place / MANIFEST_NAME).exists() or not can_list(place):
        return open_dataset(place)
    tars = sorted(place.glob("*.tar"))
    return _of_tars(place, tars) if tars else open_dataset(place)


def _of_tars(root: Path, tars: Sequence[Path]) -> Dataset:
    if can_list(root):
        try:
            return _indexed_in(root, root, tars)
        except OSError as error:
            if not isinstance(error, PermissionError) and error.errno != errno.EROFS:
                raise
    return _indexed_in(_folder_here(root), root, tars)


def _indexed_in(indexes: Path, root: Path, tars: Sequence[Path]) -> Dataset:
    # Each process begins elsewhere, so that they share the work of the first time.
    first = rank() * len(tars) // num_processes()
    with ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="index tars") as threads:
        in_turn = [*tars[first:], *tars[:first]]
        found = dict(zip(in_turn, threads.map(lambda tar: _indexed(indexes, tar), in_turn), strict=True))
    shards = [found[tar][0] for tar in tars if found[tar][0].num_pairs]
    num_samples = sum(num_in for _, num_in in found.values())
    num_pairs = sum(shard.num_pairs for shard in shards)
    dropped = {_UNUSABLE: num_samples - num_pairs} if num_samples > num_pairs else {}
    if dropped and is_first():
        print(f"{root}: left out, of {num_samples:,} samples: {dropped}", file=sys.stderr)
    manifest = Manifest(
        name=root.name,
        created_at="",
        code_version="",
        config={},
        num_pairs=num_pairs,
        num_queries=0,
        queries_sha256="",
        funnel=(StageCount(stage="index", num_in=num_samples, num_out=num_pairs, dropped=dropped),),
        shards=tuple(shards),
        files=(),
        content_hash=content_hash(tuple(shards)),
    )
    return PlainTars(root, manifest, indexes)


def _folder_here(root: Path) -> Path:
    """Return the folder of this machine for what cannot be written where the tars are."""
    folder = os.environ.get("XDG_CACHE_HOME")
    name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
    return (Path(folder) if folder else Path.home() / ".cache") / "openwit" / "tars" / name


def _indexed(indexes: Path, tar: Path) -> tuple[Shard, int]:
    """Return a tar as a shard, and how many samples it has, usable or not."""
    try:
        num_bytes = tar.stat().st_size
    except FileNotFoundError as error:
        raise DatasetError(f"{tar} is not there. Next: name tars that are") from error
    index = indexes / FOLDER / f"{tar.stem}-{num_bytes}.parquet"
    if not index.exists():
        samples = list(_samples(tar))
        rows = [row for row in samples if row["caption"] is not None and row["offset"] is not None]
        table = pa.Table.from_pylist(rows, _SCHEMA.with_metadata({"num_samples": str(len(samples))}))
        write_table(index, table)
    table = read_table(index)
    record = record_file(indexes, index)
    # What is in the tar is told by its index: to hash it would read the whole of it at each start.
    identity = hashlib.sha256(f"{num_bytes} {record.sha256}".encode()).hexdigest()
    shard = Shard(
        tar=FileRecord(path=tar.name, num_bytes=num_bytes, sha256=identity),
        index=record,
        num_pairs=len(table),
    )
    return shard, int(table.schema.metadata[b"num_samples"])


def _samples(tar: Path) -> Iterator[dict[str, str | int | None]]:
    """Give the samples of a tar: neighbouring members whose names are equal up to the first dot. Keys hold
    the tar's name, since many datasets number the samples of every tar from 0."""
    with tar.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as members:
        files = (member for member in members if member.isfile())
        for name, parts in groupby(files, lambda member: _split(member.name)[0]):
            row: dict[str, str | int | None] = dict.fromkeys(_SCHEMA.names) | {"key": f"{tar.stem}/{name}"}
            for member in parts:
                kind = _split(member.name)[1].lower()
                if kind in PICTURES:
                    row |= {"offset": member.offset_data, "num_bytes": member.size}
                elif kind in ("txt", "json") and (kind == "txt" or row["caption"] is None):
                    content = members.extractfile(member)
                    assert content is not None, member.name
                    row["caption"] = _caption(kind, content.read())
            yield row


def _split(name: str) -> tuple[str, str]:
    """Return the key and the extension, as webdataset takes a name apart.

    >>> _split("train/0001.seg.png")
    ('train/0001', 'seg.png')
    """
    path = PurePosixPath(name)
    stem, _, kind = path.name.partition(".")
    return (path.parent / stem).as_posix(), kind


def _caption(kind: str, content: bytes) -> str | None:
    """Return the text of a sample, or the caption of its record; None for what is neither."""
    try:
        text = content.decode()
        found = text if kind == "txt" else json.loads(text).get("caption")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and found.strip() else None
