"""A dataset in the words of MLCommons Croissant 1.0: JSON-LD that search engines and mlcroissant read.

Derived from the manifest and the columns of the index; no part of a dataset's content. Source:
https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from manifests.croissant.records import Node, record_sets
from manifests.schema import FileRecord, Manifest
from manifests.storage import read_bytes
from manifests.store import MANIFEST_NAME, Dataset

NAME = "croissant.json"
# Of more shards the files are described as sets alone, and pictures are not records: mlcroissant would take
# hours over so many nodes, and reads all of a record set into memory. manifest.json has the hash of each.
MAX_LISTED_SHARDS = 1000
TAR, PARQUET = "application/x-tar", "application/x-parquet"
ENCODINGS = {".tar": TAR, ".parquet": PARQUET, ".json": "application/json"}
PICTURES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
CONTEXT: Node = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty"),
            *(
                "fileSet",
                "format",
                "includes",
                "isLiveDataset",
                "jsonPath",
                "key",
                "md5",
                "parentField",
                "path",
            ),
            *("recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator"),
            *("source", "subField", "transform"),
        )
    },
}


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What only the publisher of a dataset knows. Empty: not said."""

    url: str = ""
    licence: str = ""
    creator: str = ""
    cite_as: str = ""


def croissant(dataset: Dataset, said: Publication) -> bytes:
    """Return the description of a dataset, for NAME in its root: paths are relative to it."""
    manifest = dataset.manifest
    listed = len(manifest.shards) <= MAX_LISTED_SHARDS
    node = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest.name,
        "description": _description(manifest),
        "datePublished": manifest.created_at,
        "version": f"1.{len(manifest.history)}.0",  # each change of a dataset is a new minor version
        **_said(said),
        "distribution": list(_files(dataset, listed)),
        "recordSet": list(record_sets(dataset, with_pictures=listed)),
    }
    return json.dumps(node, indent=1, ensure_ascii=False).encode()


def _said(said: Publication) -> Node:
    fields: Node = {"url": said.url, "license": said.licence, "citeAs": said.cite_as}
    if said.creator:
        fields["creator"] = {"@type": "sc:Organization", "name": said.creator}
    return {name: value for name, value in fields.items() if value}


def _description(manifest: Manifest) -> str:
    return (
        f"{manifest.num_pairs:,} pairs of a picture and a text, found with {manifest.num_queries:,} search "
        f"terms: {len(manifest.shards):,} webdataset shards and an index of all facts. The rights to "
        f"pictures and texts are their authors'; the column licence has what the sources say of them. "
        f"Content {manifest.content_hash}, made by {manifest.code_version}."
    )


def _files(dataset: Dataset, listed: bool) -> Iterator[Node]:
    manifest = dataset.manifest
    data = read_bytes(dataset.root / MANIFEST_NAME)
    own = FileRecord(path=MANIFEST_NAME, num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    yield from (_file(file) for file in (own, *manifest.files) if "/" not in file.path)
    yield _file_set("index-files", "index/*.parquet", PARQUET)
    if any(file.path.startswith("rejections/") for file in manifest.files):
        yield _file_set("rejection-files", "rejections/*.parquet", PARQUET)
    if listed:
        yield from (_file(shard.tar) for shard in manifest.shards)
        inside = [{"@id": shard.tar.path} for shard in manifest.shards]
        ending = picture_ending(dataset)
        yield _file_set("picture-files", f"*{ending}", PICTURES[ending]) | {"containedIn": inside}
    else:
        yield _file_set("shard-files", "shards/*.tar", TAR)


def _file(file: FileRecord) -> Node:
    path = PurePosixPath(file.path)
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": path.name,
        "contentUrl": file.path,
        "contentSize": f"{file.num_bytes} B",
        "encodingFormat": ENCODINGS[path.suffix],
        "sha256": file.sha256,
    }


def _file_set(name: str, includes: str, encoding: str) -> Node:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "includes": includes,
        "encodingFormat": encoding,
    }


def picture_ending(dataset: Dataset) -> str:
    """Return what the names of the pictures in the shards end with; all are of one format."""
    path = dataset.tar_path(dataset.manifest.shards[0])
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
        first = tar.next()
    assert first is not None, dataset.root
    return PurePosixPath(first.name).suffix
