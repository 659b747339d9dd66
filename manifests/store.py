"""Reading and writing a dataset's files: atomic writes, hashes, the manifest's JSON. Checks: `verify`."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.protocols import first_line, store_errors
from manifests.schema import (
    SCHEMA_VERSION,
    Change,
    Dates,
    FileRecord,
    Manifest,
    Shard,
    SourceRecord,
    StageCount,
)
from manifests.storage import location, read_bytes, read_table, written_whole

MANIFEST_NAME = "manifest.json"


class DatasetError(ValueError):
    """A dataset that is absent, unfinished or of a version that this code does not know."""


def clear_cut_short(dataset: Path) -> None:
    """Remove what killed processes were writing in a dataset's folders. Nobody may be writing there now."""
    for folder in (".", "shards", "index", "fetch_times", "rejections", "takedowns"):
        for path in (dataset / folder).glob(".*.tmp"):
            path.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(data)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a parquet file whole or not at all; equal tables give equal bytes."""
    with written_whole(path) as temporary:
        write_parquet(table, temporary)


def parquet_bytes(table: pa.Table) -> bytes:
    """Return what `write_table` would write."""
    sink = pa.BufferOutputStream()
    write_parquet(table, sink)
    return bytes(sink.getvalue())


def write_parquet(table: pa.Table, where: Any) -> None:
    """Write a table to a path or a sink in the one way that all of a dataset's tables are written."""
    pq.write_table(table, where, compression="zstd", row_group_size=10_000)


def sha256_of_file(path: Path) -> str:
    """Return the file's SHA-256 as 64 hex digits, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_file(root: Path, path: Path) -> FileRecord:
    """Return the size and hash of a file of the dataset at `root`."""
    return FileRecord(
        path=path.relative_to(root).as_posix(), num_bytes=path.stat().st_size, sha256=sha256_of_file(path)
    )


def content_hash(shards: tuple[Shard, ...]) -> str:
    """Return the hash that two datasets share when their shards and indexes are the same bytes in order."""
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(f"{shard.tar.sha256} {shard.index.sha256}\n".encode())
    return digest.hexdigest()


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """Serialise a manifest; `checksum`, its last field, covers every byte before it.

    There is one way to write a given manifest, so that a single changed byte is found (see `verify`).
    """
    fields = asdict(manifest)
    if manifest.schema_version == 1:
        _without_later_fields(fields)
    body = json.dumps(fields, indent=1, ensure_ascii=False)
    checksum = hashlib.sha256(body.encode()).hexdigest()
    return f'{body[:-2]},\n "checksum": "{checksum}"\n}}\n'.encode()


def _without_later_fields(fields: dict[str, Any]) -> None:
    """Take out what version 1 did not write, so that its manifests keep their bytes."""
    del fields["sources"], fields["dates"]
    for change in fields["history"]:
        del change["at"]
    if not fields["history"]:
        del fields["history"]


def manifest_from_bytes(data: bytes) -> Manifest:
    """Parse a manifest of any version so far. Raises DatasetError if it is none, or of a later version."""
    try:
        fields: dict[str, Any] = json.loads(data)
        version = fields["schema_version"]
        fields.pop("checksum")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"not a dataset manifest: {error!r}") from error
    if version not in range(1, SCHEMA_VERSION + 1):
        raise DatasetError(
            f"manifest has schema_version {version!r}, this code reads 1 to {SCHEMA_VERSION}: update openwit"
        )
    try:
        fields["funnel"] = tuple(StageCount(**stage) for stage in fields["funnel"])
        fields["history"] = tuple(Change(**change) for change in fields.get("history", ()))
        fields["sources"] = tuple(
            SourceRecord(**source | {"read": tuple(source["read"])}) for source in fields.get("sources", ())
        )
        fields["dates"] = Dates(**fields["dates"]) if fields.get("dates") else None
        fields["files"] = tuple(FileRecord(**file) for file in fields["files"])
        fields["shards"] = tuple(
            Shard(
                tar=FileRecord(**shard["tar"]),
                index=FileRecord(**shard["index"]),
                num_pairs=shard["num_pairs"],
            )
            for shard in fields["shards"]
        )
        return Manifest(**fields)
    except (KeyError, TypeError) as error:
        raise DatasetError(f"manifest lacks a field or has one too many: {error}") from error


def read_manifest(root: Path) -> Manifest:
    """Return the manifest of the dataset at `root`. Raises DatasetError where there is none."""
    try:
        return manifest_from_bytes(read_bytes(root / MANIFEST_NAME))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(
            f"{root} holds no {MANIFEST_NAME}: it is not a dataset, or its build has not ended. "
            f"Next: python -m pipeline build --dataset {root}"
        ) from error
    except store_errors() as error:
        raise DatasetError(f"{root} cannot be read: {first_line(error)}") from error


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Publish a dataset: the last file written, so that present means complete. It is of the current version,
    also where `manifest` was read from an earlier one."""
    current = replace(manifest, schema_version=SCHEMA_VERSION)
    write_bytes(root / MANIFEST_NAME, manifest_to_bytes(current))


@dataclass(frozen=True)
class Dataset:
    """A finished dataset on disk."""

    root: Path
    manifest: Manifest

    def read_index(self, shard: Shard, columns: list[str] | None = None) -> pa.Table:
        """Return the rows of one shard (INDEX_SCHEMA), in the order of its tar."""
        return read_table(self.index_path(shard), columns)

    def index_path(self, shard: Shard) -> Path:
        """Return where the shard's index lies."""
        return self.root / shard.index.path

    def tar_path(self, shard: Shard) -> Path:
        """Return where the shard's tar lies."""
        return self.root / shard.tar.path

    def read_picture(self, shard: Shard, row: dict[str, Any]) -> bytes:
        """Return the encoded picture of an index row, read straight from its offset in the tar."""
        return read_bytes(self.tar_path(shard), row["offset"], row["offset"] + row["num_bytes"])


def open_dataset(root: Path | str) -> Dataset:
    """Open a finished dataset. Raises DatasetError where there is none."""
    return Dataset(location(root), read_manifest(location(root)))
