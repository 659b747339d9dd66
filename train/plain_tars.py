"""Plain webdataset tars, without a manifest, as a dataset that the reader takes. Each is indexed once:

index-of-tars/NAME-SIZE.parquet beside the tars: a row for each sample with a picture and a caption. A tar of
another size gets another index.
"""

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath

import pyarrow as pa

from manifests.schema import FileRecord, Manifest, Shard, StageCount
from manifests.storage import can_list, read_table
from manifests.store import MANIFEST_NAME, Dataset, content_hash, open_dataset, record_file, write_table
from train.distributed import is_first

FOLDER = "index-of-tars"
PICTURES = ("jpg", "jpeg", "png", "webp")
_SCHEMA = pa.schema(
    [("key", pa.string()), ("offset", pa.int64()), ("num_bytes", pa.int64()), ("caption", pa.string())]
)
_UNUSABLE = "sample_without_picture_or_caption"


def open_pairs(root: Path) -> Dataset:
    """Return the dataset at `root`: one of ours, or a folder of tars, which are indexed where they were not.

    Raises DatasetError where there is neither.
    """
    if (root / MANIFEST_NAME).exists() or not can_list(root):
        return open_dataset(root)
    tars = sorted(root.glob("*.tar"))
    if not tars:
        return open_dataset(root)
    shards, num_samples = [], 0
    for tar in tars:
        shard, num_in = _indexed(root, tar)
        num_samples += num_in
        shards += [shard] if shard.num_pairs else []
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
    return Dataset(root, manifest)


def _indexed(root: Path, tar: Path) -> tuple[Shard, int]:
    """Return a tar as a shard, and how many samples it has, usable or not."""
    num_bytes = tar.stat().st_size
    index = root / FOLDER / f"{tar.stem}-{num_bytes}.parquet"
    if not index.exists():
        samples = list(_samples(tar))
        rows = [row for row in samples if row["caption"] is not None and row["offset"] is not None]
        table = pa.Table.from_pylist(rows, _SCHEMA.with_metadata({"num_samples": str(len(samples))}))
        write_table(index, table)
    table = read_table(index)
    record = record_file(root, index)
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
